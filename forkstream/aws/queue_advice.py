"""What is wrong with a queue that works: its redrive, its retention, its key, and the SNS subscriptions that feed it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping

import msgspec

from forkstream.aws.feeding_subscriptions import delivers_raw, feeding_subscriptions
from forkstream.aws.message_limits import MAX_ATTRIBUTES
from forkstream.aws.open_queue import Client, open_queue
from forkstream.aws.queue import QueueClient
from forkstream.aws.queue_address import QueueAddress
from forkstream.aws.queue_policy import sending_topics
from forkstream.errors import DeliveryError
from forkstream.ports import Advice, Surroundings
from forkstream.settings import AwsSettings, Duration

FEWEST_RECEIVES = 10
"""Receives before a redrive that leave room for deployments, throttles and crashes, each of which can cost one."""
MAX_RETENTION = 14 * 86_400
"""Seconds that SQS keeps a message at most, see MessageRetentionPeriod."""
_ATTRIBUTES = ("QueueArn", "Policy", "RedrivePolicy", "MessageRetentionPeriod", "KmsMasterKeyId")
_AWS_MANAGED_KEY = "alias/aws/sqs"


class _Redrive(msgspec.Struct, rename="camel"):
    dead_letter_target_arn: str
    max_receive_count: int


class QueueAdvice:
    """Looks at one queue, and at what stands before and behind it, and changes nothing.

    Needs ``sqs:GetQueueAttributes`` on its redrive queue too, ``sns:ListSubscriptionsByTopic`` and
    ``sns:GetSubscriptionAttributes``; what is not allowed is told as unanswered.
    """

    def __init__(self, queue: QueueClient, client: Client, settings: AwsSettings, *, fifo: bool) -> None:
        self._queue = queue
        self._client = client
        self._settings = settings
        self._fifo = fifo

    async def of(self, fork: Surroundings, *, unwraps: bool) -> list[Advice]:
        """Give what hurts a fork that receives from the queue. ``unwraps`` says that its messages come in SNS's envelope."""
        found = await self._queue.attributes(*_ATTRIBUTES)
        advice = [*_on_retention(found, fork.longest_hold), *_on_key(found)]
        for question, answers in (
            ("its redrive queue", self._on_redrive(found)),
            ("the subscriptions that feed it", self._on_subscriptions(found, fork, unwraps=unwraps)),
        ):
            try:
                advice += [each async for each in answers]
            except DeliveryError as error:
                advice.append(Advice.unanswered(question, f"{error.code} ({error.detail})"))
        return advice

    async def _on_redrive(self, found: Mapping[str, str]) -> AsyncIterator[Advice]:
        if not found.get("RedrivePolicy"):
            yield Advice(
                code="no_redrive",
                found="the queue has no redrive policy",
                why="what can't be written, nor sanitised, is received again and again until its retention ends it unseen",
                do=f"give it a redrive queue, with a maxReceiveCount of {FEWEST_RECEIVES} or more",
            )
            return
        redrive = msgspec.json.decode(found["RedrivePolicy"], type=_Redrive, strict=False)
        if redrive.max_receive_count < FEWEST_RECEIVES:
            yield Advice(
                code="few_receives",
                found=f"the queue's maxReceiveCount is {redrive.max_receive_count}",
                why="each crash, deployment and throttle can cost a receive, so good events end in the redrive queue",
                do=f"set it to {FEWEST_RECEIVES} or more",
            )
        if self._fifo:  # its messages are as new as their move, see "Dead-letter queues and message retention"
            return
        address = QueueAddress.parse(redrive.dead_letter_target_arn)
        async with open_queue(self._client, address, self._settings) as target:
            kept = _retention(await target.attributes("MessageRetentionPeriod"))
        source = _retention(found)
        if kept <= source:
            longer = f"a retention above {Duration(source)}"
            yield Advice(
                code="redrive_retention",
                found=f"the redrive queue {address.name} keeps messages for {Duration(kept)}, the queue for {Duration(source)}",
                why="a message's age counts from its first sending, so it may be gone as soon as it is moved there",
                do=f"give the redrive queue {longer}"
                if source < MAX_RETENTION
                else f"shorten the queue's retention, since SQS keeps nothing longer than {Duration(MAX_RETENTION)}",
            )

    async def _on_subscriptions(
        self, found: Mapping[str, str], fork: Surroundings, *, unwraps: bool
    ) -> AsyncIterator[Advice]:
        raw = False
        for topic in sorted(sending_topics(found.get("Policy")) or ()):
            feeding = await feeding_subscriptions(topic, found["QueueArn"], self._settings)
            raw = raw or any(map(delivers_raw, feeding.values()))
            for subscription, attributes in feeding.items():
                if not attributes.get("RedrivePolicy"):
                    yield Advice(
                        code="subscription_without_redrive",
                        found=f"the subscription {subscription} has no redrive policy",
                        why="what SNS cannot deliver (a changed queue policy, a disabled key) is discarded without a word",
                        do="give it a RedrivePolicy with a queue that SNS may send to",
                    )
        if raw and not unwraps:
            for advice in advice_on_attributes(fork):
                yield advice


def advice_on_attributes(fork: Surroundings) -> Collection[Advice]:
    """Warn where the stages expect more message attributes than SNS delivers raw."""
    named = {name for stage in fork.after for name in getattr(stage, "attributes_named", ())}
    if len(named) <= MAX_ATTRIBUTES:
        return ()
    return [
        Advice(
            code="too_many_attributes",
            found=f"the stages name {len(named)} message attributes ({', '.join(sorted(named))}), and delivery is raw",
            why=f"SNS discards a message with more than {MAX_ATTRIBUTES} attributes instead of delivering it raw to a queue",
            do="turn raw delivery off (then `envelope: sns`), or publish fewer attributes",
        )
    ]


def _on_retention(found: Mapping[str, str], longest_hold: float) -> Collection[Advice]:
    kept = _retention(found)
    if kept >= longest_hold:
        return ()
    return [
        Advice(
            code="short_retention",
            found=f"the queue keeps messages for {Duration(kept)}, the fork may hold one for {Duration(longest_hold)}",
            why="SQS deletes what is too old also while it is held, so a crash or an outage of the sink loses it",
            do=f"give the queue a retention of {Duration(longest_hold)} or more, days rather than minutes",
        )
    ]


def _on_key(found: Mapping[str, str]) -> Collection[Advice]:
    key = found.get("KmsMasterKeyId", "")
    if key.rpartition(":")[2] != _AWS_MANAGED_KEY or sending_topics(found.get("Policy")) == frozenset():
        return ()
    return [
        Advice(
            code="sns_cannot_encrypt",
            found=f"the queue is encrypted with the AWS-managed key {key}, and its policy lets SNS send to it",
            why="SNS may not use that key, and nobody can allow it: it delivers nothing, without a word",
            do="encrypt with a customer managed key whose policy allows sns.amazonaws.com kms:GenerateDataKey* and"
            " kms:Decrypt, or with SSE-SQS",
        )
    ]


def _retention(found: Mapping[str, str]) -> int:
    return int(found.get("MessageRetentionPeriod", 4 * 86_400))
