"""Passing: received events on their way through the chain. What fails for now is held and tried again.

chain ─┬─ through                                            ▶ on_through
       ├─ dropped                                            ▶ landing.dropped
       └─ stopped ─┬─ permanent                              ▶ landing.condemned
                   └─ transient, unavailable, or too many    ▶ the same steps again, beside the pollers;
                      are condemned                            ▶ landing.again when patience ends
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from anyio.abc import TaskGroup

from forkstream.errors import (
    WISHES_TO_END,
    DeliveryError,
    PermanentError,
    TransientError,
    UnavailableError,
    as_delivery_error,
)
from forkstream.event import Event
from forkstream.flow.aside import Aside, Place
from forkstream.flow.chain import Chain, Passage, Stopped
from forkstream.flow.custody import Held
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.gate import TOO_MANY_DEAD, Gate
from forkstream.flow.landing import SINK, ForkLanding
from forkstream.flow.loop_time import loop_time
from forkstream.flow.ordering import behind
from forkstream.flow.patience import Patience
from forkstream.ports import Sink


class Passing:
    """Takes events from their receive to their partition. ``on_through`` takes those that go on to the sink."""

    def __init__(
        self,
        chain: Chain,
        partition: Callable[[Event], str],
        *,
        gate: Gate,
        aside: Aside,
        retry: RetryPolicy,
        landing: ForkLanding,
        ordered: bool,
        on_through: Callable[[Sequence[Held]], None],
        on_failure: Callable[[str, DeliveryError, int], None],
        on_retry: Callable[[str, DeliveryError], None],
    ) -> None:
        self._chain = chain
        # most event sinks have but one
        self._partition = None if getattr(partition, "__func__", None) is Sink.partition else partition
        self._gate = gate
        self._aside = aside
        self._retry_policy = retry
        self._landing = landing
        self._ordered = ordered
        self._on_through = on_through
        self._on_failure = on_failure
        self._on_retry = on_retry
        self.waiting = 0
        """How many groups of events are held to be tried again."""

    async def run(self, held: list[Held], retries: TaskGroup) -> None:
        """Take the events of one receive through; what has to be tried again is left to a task of ``retries``."""
        passage = await self._chain.run(held)
        if self._gate.draining:  # an async stage took its time: nothing more can be written, nor buried
            self._landing.release(held)
            return
        stopped = self._decide(held, passage)
        if stopped:
            self.waiting += 1
            retries.start_soon(self._retry, stopped)

    async def _retry(self, stopped: list[Stopped]) -> None:
        patience = Patience(self._gate, self._retry_policy, [one.held for one in stopped])
        try:
            with self._aside.place() as place:
                while stopped:
                    held, error = [one.held for one in stopped], _decisive(stopped)
                    pause = patience.pause(error, held)
                    if pause is None or place.leaves:
                        patience.end(error)
                        self._give_up(stopped, leaves=place.leaves)
                        return
                    self._on_retry(next((one.step for one in stopped if one.error is error), stopped[0].step), error)
                    if patience.stands_aside(error, condemned=isinstance(error, PermanentError)):
                        place.take()
                    await self._rest(pause, place, patience.hold_ends(held))
                    if place.leaves:
                        continue
                    async with self._gate.turn():
                        late = loop_time() >= patience.hold_ends(held)
                        passage = None if late or self._gate.draining else await self._chain.resume(stopped)
                    if passage is None or self._gate.draining:
                        self._landing.release(held)
                        return
                    stopped = self._decide(held, passage)
        finally:
            self.waiting -= 1

    async def _rest(self, pause: float, place: Place, until: float) -> None:
        await (place.rest(pause, until) if place.taken else self._gate.rest(pause))

    def _decide(self, held: Sequence[Held], passage: Passage) -> list[Stopped]:
        """Send on what came through, give what ended here its outcome; returns what has to be tried again."""
        self._place(passage)
        ended = 0
        for reason, dropped in passage.dropped.items():
            self._landing.dropped(dropped, reason)
            ended += len(dropped)
        self._gate.passed(len(passage.through) + ended)
        if not passage.stopped:
            self._on_through(passage.through)
            return []
        counts = Counter((one.step, type(one.error), one.error.code) for one in passage.stopped)
        errors = {(one.step, type(one.error), one.error.code): one.error for one in passage.stopped}
        for alike, count in counts.items():
            self._on_failure(alike[0], errors[alike], count)
        again = [one for one in passage.stopped if not self._condemn(one)]
        if self._ordered:
            again = self._in_order(held, passage, again)
        self._on_through([one for one in passage.through if one.outcome is None])
        return again

    def _in_order(self, held: Sequence[Held], passage: Passage, again: Sequence[Stopped]) -> list[Stopped]:
        """Let nothing overtake: what comes after a stopped event of its group comes again behind it.

        An event is tried again only at the head of its group: one before it may yet fail in the sink.
        """
        stopped = {one.held for one in passage.stopped}
        self._landing.release(behind(held, first=stopped, except_=stopped - {one.held for one in again}))
        going = {one.group for one in passage.through if one.outcome is None} - {None}
        for one in again:
            if one.held.outcome is None and one.held.group in going:
                self._landing.again([one.held], one.error.code)
        return [one for one in again if one.held.outcome is None]

    def _place(self, passage: Passage) -> None:
        """Name each event's partition; one that has none fails alone."""
        if self._partition is None:
            return
        nowhere: set[Held] = set()
        for one in passage.through:
            try:
                partition = self._partition(one.event)
                if not isinstance(partition, str):
                    raise TypeError(f"partition returned {type(partition).__name__}, not a str")  # noqa: TRY301
                one.partition = partition
            except WISHES_TO_END:
                raise
            except BaseException as error:  # noqa: BLE001  # accuses this event alone
                passage.stopped.append(Stopped(one, SINK, as_delivery_error(error), sanitised=True))
                nowhere.add(one)
        if nowhere:
            passage.through = [one for one in passage.through if one not in nowhere]

    def _condemn(self, stopped: Stopped) -> bool:
        """Let an event die here, if it is to blame and not too many are; False if it has to be tried again."""
        if isinstance(stopped.error, UnavailableError):
            self._gate.halt(stopped.error)
        if isinstance(stopped.error, UnavailableError | TransientError) or not self._gate.may_bury(1, in_stages=True):
            return False
        self._landing.condemned(stopped)
        return True

    def _give_up(self, stopped: Sequence[Stopped], *, leaves: bool) -> None:
        for one in stopped:
            if self._may_die(one, leaves=leaves):
                self._landing.condemned(one)
            else:
                self._landing.again([one.held], one.error.code)

    def _may_die(self, stopped: Stopped, *, leaves: bool) -> bool:
        if isinstance(stopped.error, TransientError):
            return not leaves and self._retry_policy.then_dead and self._gate.may_bury(1)
        return isinstance(stopped.error, PermanentError) and self._aside.may_die(stopped.held, leaves=leaves)


def _decisive(stopped: Sequence[Stopped]) -> DeliveryError:
    """Of several failures choose the one that tells how long to wait: what someone has to mend waits longest."""
    for one in stopped:
        if isinstance(one.error, UnavailableError):
            return one.error
    transient = [one.error for one in stopped if isinstance(one.error, TransientError)]
    return max(transient, key=lambda error: error.retry_after or 0.0, default=PermanentError(TOO_MANY_DEAD))
