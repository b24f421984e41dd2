"""Which SNS subscriptions feed a queue, and so which messages SNS has wrapped."""

from __future__ import annotations

import time

from forkstream.aws.envelope import Envelope
from forkstream.aws.feeding_subscriptions import delivers_raw, feeding_subscriptions
from forkstream.aws.queue import QueueClient
from forkstream.aws.queue_policy import sending_topics
from forkstream.errors import UnavailableError
from forkstream.settings import AwsSettings

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
        self.owed = False
        """Whether to ``load`` again before more is received, since an answer that was needed did not come.

        Otherwise, while SNS does not answer, each receive would burn one of its messages' receives.
        """

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
                feeding = await feeding_subscriptions(topic, found["QueueArn"], self._settings)
            except UnavailableError as error:
                raise UnavailableError(error.code, f"{error.detail}; {_ADVICE}") from None
            raw |= {subscription: delivers_raw(attributes) for subscription, attributes in feeding.items()}
            if feeding:
                subscribed.add(topic)
        self._raw, self._topics, self._asked_at = raw, frozenset(subscribed), time.monotonic()
        self.owed = False

    async def wrapped(self, envelope: Envelope) -> bool:
        """Tell whether SNS made this envelope. One that is not recognised has SNS asked again, once a minute at most."""
        if not self._recognises(envelope) and time.monotonic() - self._asked_at > _FRESH_SECONDS:
            self.owed = True
            await self.load()
        return self._recognises(envelope)

    def _recognises(self, envelope: Envelope) -> bool:
        if envelope.subscription in self._raw:  # raw now, perhaps, but not when it delivered this
            return True
        return envelope.topic in self._topics and not any(self._raw.values())
