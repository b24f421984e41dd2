"""Which SNS subscriptions feed a queue, and so which messages SNS has wrapped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from forkstream.aws.envelope import Envelope
from forkstream.aws.errors import translating
from forkstream.aws.queue import QueueClient
from forkstream.aws.queue_policy import sending_topics
from forkstream.aws.session import AwsSession
from forkstream.errors import UnavailableError
from forkstream.settings import AwsSettings

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient

_ADVICE = "where this cannot be allowed, set `envelope: raw` or `envelope: sns`"
_FRESH_SECONDS = 60.0


class Subscriptions:
    """The subscriptions of one queue, asked of SNS. They tell SNS's own envelopes from bodies that only look like one.

    A body is written by whoever places an order, so its shape proves nothing: unwrapping a look-alike would let its
    author choose the event's id, time and attributes. Two things he cannot choose do prove it. The envelope names the
    subscription that it came through, whose ARN ends in a random UUID that only consumers of this queue ever see. And
    where no subscription of the queue delivers raw, whatever SNS delivers is wrapped, so its outermost layer is SNS's.
    """

    def __init__(self, queue: QueueClient, settings: AwsSettings) -> None:
        self._queue = queue
        self._settings = settings
        self._raw: dict[str, bool] = {}
        self._topics: frozenset[str] = frozenset()
        self._asked_at = 0.0

    async def load(self) -> None:
        """Ask the queue's policy for its topics, and SNS for their subscriptions to this queue.

        Needs ``sns:ListSubscriptionsByTopic`` and ``sns:GetSubscriptionAttributes``; raises UnavailableError where
        the answer cannot be had: guessing would either trust an order's author or let an envelope pass unsanitised.
        """
        found = await self._queue.attributes("QueueArn", "Policy")
        topics = sending_topics(found.get("Policy"))
        if topics is None:
            detail = f"the policy of {found['QueueArn']} admits SNS topics without naming them in aws:SourceArn"
            raise UnavailableError("envelope_unknown", f"{detail}; {_ADVICE}")
        raw: dict[str, bool] = {}
        subscribed: set[str] = set()
        for topic in sorted(topics):
            try:
                feeding = await self._feeding(topic, found["QueueArn"])
            except UnavailableError as error:
                raise UnavailableError(error.code, f"{error.detail}; {_ADVICE}") from None
            raw |= feeding
            if feeding:
                subscribed.add(topic)
        self._raw, self._topics, self._asked_at = raw, frozenset(subscribed), time.monotonic()

    async def wrapped(self, envelope: Envelope) -> bool:
        """Tell whether SNS made this envelope. One that is not recognised has SNS asked again, once a minute at most."""
        if not self._recognises(envelope) and time.monotonic() - self._asked_at > _FRESH_SECONDS:
            await self.load()
        return self._recognises(envelope)

    def _recognises(self, envelope: Envelope) -> bool:
        if envelope.subscription in self._raw:  # raw now, perhaps, but not when it delivered this
            return True
        return envelope.topic in self._topics and not any(self._raw.values())

    async def _feeding(self, topic: str, queue: str) -> dict[str, bool]:
        """Find the topic's subscriptions that feed the queue, each with whether it delivers raw; none if the topic is gone."""
        session = AwsSession(msgspec.structs.replace(self._settings, region=topic.split(":")[3]))
        try:
            async with session.client("sns") as sns:
                with translating("sns:ListSubscriptionsByTopic", topic):
                    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
                    found = [one async for page in pages for one in page["Subscriptions"]]
                with translating("sns:GetSubscriptionAttributes", topic):
                    return {
                        one["SubscriptionArn"]: await _delivers_raw(sns, one["SubscriptionArn"])
                        for one in found
                        if one["Protocol"] == "sqs" and one["Endpoint"] == queue
                    }
        except UnavailableError as error:
            if error.code == "missing":
                return {}
            raise


async def _delivers_raw(sns: SNSClient, subscription: str) -> bool:
    answer = await sns.get_subscription_attributes(SubscriptionArn=subscription)
    return answer["Attributes"].get("RawMessageDelivery") == "true"
