"""Who wrapped a message: SNS, or somebody who writes orders? See Subscriptions for why its shape tells nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import boto3  # type: ignore[import-untyped]  # ships no types
import pytest
from aiohttp import web

from forkstream.aws import subscriptions
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import UnavailableError
from forkstream.event import Attribute, Event
from forkstream.ports import Context
from forkstream.sources.sqs import SqsSource, SqsSourceConfig
from tests.integration.both_clients import client

__all__ = ["client"]


class Shop:
    """A topic and a queue whose policy lets the topic send to it; ``subscribe`` joins them."""

    def __init__(self, name: str) -> None:
        self.sns = boto3.client("sns")
        self.sqs = boto3.client("sqs")
        self.topic = self.sns.create_topic(Name=name)["TopicArn"]
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.queue = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        self.allow({"ArnEquals": {"aws:SourceArn": self.topic}})

    def allow(self, condition: dict[str, Any]) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": self.queue,
            "Condition": condition,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})

    def subscribe(self, *, raw: bool) -> str:
        arn: str = self.sns.subscribe(
            TopicArn=self.topic, Protocol="sqs", Endpoint=self.queue, ReturnSubscriptionArn=True
        )["SubscriptionArn"]
        self.deliver_raw(arn, raw=raw)
        return arn

    def deliver_raw(self, subscription: str, *, raw: bool) -> None:
        self.sns.set_subscription_attributes(
            SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue=str(raw).lower()
        )

    def publish(self, body: str, **attributes: dict[str, str]) -> str:
        identity: str = self.sns.publish(TopicArn=self.topic, Message=body, MessageAttributes=attributes)["MessageId"]
        return identity

    def send(self, body: str, **attributes: dict[str, str]) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=attributes)

    def look_alike(self, subscription: str = "") -> str:
        """An order that its author has dressed as an envelope, with everything in it that he could know."""
        unsubscribe = f"https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={subscription}"
        return json.dumps(
            {
                "Type": "Notification",
                "MessageId": "chosen-by-the-buyer",
                "TopicArn": self.topic,
                "Message": "another body",
                "Timestamp": "2012-05-02T00:54:06.655Z",
                "SignatureVersion": "1",
                "Signature": "EXAMPLE",
                "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/x.pem",
                "UnsubscribeURL": unsubscribe,
                "MessageAttributes": {"amount": {"Type": "Number", "Value": "1000000"}},
            }
        )


@pytest.fixture
def shop(aws: EmbeddedAws, unique: str) -> Shop:
    return Shop(unique)


def source(shop: Shop, envelope: Literal["auto", "raw", "sns"] = "auto") -> SqsSource:
    return SqsSource(SqsSourceConfig(queue=shop.queue, envelope=envelope), Context(fork="f"))


async def receive(opened: SqsSource) -> Event:
    """Receive and settle one event."""
    with anyio.fail_after(60):
        while not (received := await opened.receive(1, hold=60, wait=1)):
            pass
    ((event, receipt),) = received
    await opened.delete([receipt])
    return event


async def test_what_sns_wrapped_is_unwrapped_with_its_id_time_and_attributes(shop: Shop) -> None:
    shop.subscribe(raw=False)
    identity = shop.publish('{"id": 1}', amount={"DataType": "Number", "StringValue": "100.50"})
    async with source(shop) as opened:
        event = await receive(opened)
    assert event.body == b'{"id": 1}'
    assert event.id == identity
    assert event.attributes == {"amount": Attribute("Number", "100.50")}


async def test_what_sns_delivered_raw_keeps_its_attributes(shop: Shop) -> None:
    shop.subscribe(raw=True)
    shop.publish('{"id": 1}', amount={"DataType": "Number", "StringValue": "100.50"})
    async with source(shop) as opened:
        event = await receive(opened)
    assert event.body == b'{"id": 1}'
    assert event.attributes == {"amount": Attribute("Number", "100.50")}


async def test_an_order_that_looks_like_an_envelope_is_an_order_where_delivery_is_raw(shop: Shop) -> None:
    shop.subscribe(raw=True)
    order = shop.look_alike()
    shop.publish(order)
    async with source(shop) as opened:
        event = await receive(opened)
    assert event.body == order.encode()
    assert event.id != "chosen-by-the-buyer"
    assert event.attributes == {}


async def test_of_an_order_that_looks_like_an_envelope_only_sns_own_layer_is_taken_off(shop: Shop) -> None:
    shop.subscribe(raw=False)
    order = shop.look_alike()
    shop.publish(order)
    async with source(shop) as opened:
        event = await receive(opened)
    assert event.body == order.encode()
    assert event.attributes == {}


async def test_where_both_kinds_of_delivery_meet_only_a_known_subscription_proves_an_envelope(shop: Shop) -> None:
    other = Shop(f"{shop.queue.rpartition(':')[2]}-other")
    other.queue = shop.queue
    shop.allow({"ArnEquals": {"aws:SourceArn": [shop.topic, other.topic]}})
    wrapping = shop.subscribe(raw=False)
    other.subscribe(raw=True)
    genuine, guessed = shop.look_alike(wrapping), shop.look_alike(f"{shop.topic}:3f1c")
    async with source(shop) as opened:
        shop.send(guessed)
        assert (await receive(opened)).body == guessed.encode()
        shop.send(genuine)
        assert (await receive(opened)).body == b"another body"


async def test_a_subscription_of_another_queue_proves_nothing(shop: Shop) -> None:
    other = Shop(f"{shop.queue.rpartition(':')[2]}-other")
    other.topic = shop.topic
    order = shop.look_alike(other.subscribe(raw=False))
    shop.send(order)
    async with source(shop) as opened:
        assert (await receive(opened)).body == order.encode()


async def test_an_envelope_left_from_before_delivery_became_raw_is_still_unwrapped(shop: Shop) -> None:
    subscription = shop.subscribe(raw=False)
    shop.send(shop.look_alike(subscription))  # as SNS would have sent it
    shop.deliver_raw(subscription, raw=True)
    async with source(shop) as opened:
        assert (await receive(opened)).body == b"another body"


async def test_a_subscription_made_later_is_found(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "_FRESH_SECONDS", 0.0)
    async with source(shop) as opened:
        shop.subscribe(raw=False)
        shop.publish("later")
        assert (await receive(opened)).body == b"later"


async def test_look_alikes_have_sns_asked_once_a_minute_at_most(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    load = subscriptions.Subscriptions.load

    async def counted(self: subscriptions.Subscriptions) -> None:
        nonlocal asked
        asked += 1
        await load(self)

    monkeypatch.setattr(subscriptions.Subscriptions, "load", counted)
    shop.subscribe(raw=True)
    async with source(shop) as opened:
        for _ in range(3):
            shop.publish(shop.look_alike())
            await receive(opened)
    assert asked == 1


async def test_a_queue_without_topics_is_read_raw(shop: Shop) -> None:
    shop.sqs.set_queue_attributes(QueueUrl=shop.url, Attributes={"Policy": ""})
    shop.send(shop.look_alike())
    async with source(shop) as opened:
        assert (await receive(opened)).body == shop.look_alike().encode()


async def test_a_topic_that_is_gone_leaves_the_queue_usable(shop: Shop) -> None:
    shop.sns.delete_topic(TopicArn=shop.topic)
    shop.send("x")
    async with source(shop) as opened:
        assert (await receive(opened)).body == b"x"


async def test_topics_that_the_policy_does_not_name_stop_the_fork_rather_than_have_it_guess(shop: Shop) -> None:
    shop.allow({"StringEquals": {"aws:SourceAccount": "000000000000"}})
    with pytest.raises(UnavailableError) as caught:
        await source(shop).__aenter__()
    assert caught.value.code == "envelope_unknown"
    assert "aws:SourceArn" in caught.value.detail
    assert "`envelope: raw` or `envelope: sns`" in caught.value.detail


@asynccontextmanager
async def sns_that(
    answers: Callable[[web.Request], Awaitable[web.Response]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """Have SNS, and it alone, answer like this."""
    application = web.Application()
    application.router.add_post("/", answers)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("other", "refusal", "status"),
    [
        ("PendingConfirmation", "InvalidParameter", 400),  # SNS shows no ARN until its owner confirms it
        ("arn:aws:sns:eu-west-1:000000000000:t:gone", "NotFound", 404),  # ended since it was listed
    ],
)
async def test_a_subscription_that_delivers_nothing_hides_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, other: str, refusal: str, status: int
) -> None:
    wrapping = f"{shop.topic}:0a1b"

    async def answers(request: web.Request) -> web.Response:
        asked = await request.post()
        action = str(asked["Action"])
        if action == "ListSubscriptionsByTopic":
            members = "".join(
                f"<member><SubscriptionArn>{arn}</SubscriptionArn><Protocol>sqs</Protocol>"
                f"<Endpoint>{shop.queue}</Endpoint></member>"
                for arn in (other, wrapping)
            )
            result = f"<ListSubscriptionsByTopicResult><Subscriptions>{members}</Subscriptions></ListSubscriptionsByTopicResult>"
        elif asked["SubscriptionArn"] == wrapping:
            entry = "<entry><key>RawMessageDelivery</key><value>false</value></entry>"
            result = (
                f"<GetSubscriptionAttributesResult><Attributes>{entry}</Attributes></GetSubscriptionAttributesResult>"
            )
        else:
            error = f"<ErrorResponse><Error><Code>{refusal}</Code><Message>no</Message></Error></ErrorResponse>"
            return web.Response(status=status, text=error)
        return web.Response(text=f"<{action}Response>{result}</{action}Response>")

    shop.send(shop.look_alike())
    async with sns_that(answers, monkeypatch), source(shop) as opened:
        assert (await receive(opened)).body == b"another body"


async def test_when_sns_will_not_tell_the_fork_stops_and_names_the_permission(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deny(_: web.Request) -> web.Response:
        error = "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>"
        return web.Response(status=403, text=error)

    async with sns_that(deny, monkeypatch):
        with pytest.raises(UnavailableError) as caught:
            await source(shop).__aenter__()
    assert caught.value.code == "denied"
    assert caught.value.detail.startswith(f"sns:ListSubscriptionsByTopic on {shop.topic}: AuthorizationError; ")
    assert "`envelope: raw` or `envelope: sns`" in caught.value.detail


async def test_raw_never_unwraps(shop: Shop) -> None:
    shop.send(shop.look_alike(shop.subscribe(raw=False)))
    async with source(shop, "raw") as opened:
        assert (await receive(opened)).body.startswith(b'{"Type"')


async def test_sns_unwraps_whatever_has_the_shape_and_lets_all_else_through(shop: Shop) -> None:
    async with source(shop, "sns") as opened:
        shop.send(shop.look_alike())
        assert (await receive(opened)).body == b"another body"
        shop.send('{"id": 1}')
        assert (await receive(opened)).body == b'{"id": 1}'


@pytest.mark.parametrize("envelope", ["auto", "sns"])
async def test_a_message_with_attributes_of_its_own_is_not_wrapped(
    shop: Shop, envelope: Literal["auto", "sns"]
) -> None:
    shop.subscribe(raw=False)
    shop.send(shop.look_alike(), a={"DataType": "String", "StringValue": "x"})
    async with source(shop, envelope) as opened:
        assert (await receive(opened)).body == shop.look_alike().encode()
