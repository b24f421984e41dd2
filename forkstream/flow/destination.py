"""A destination: what a delivery needs to know of where its events go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from forkstream.errors import DeliveryError
from forkstream.flow.aside import Aside
from forkstream.flow.custody import Held
from forkstream.flow.gate import Gate
from forkstream.flow.writers import Writer


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long one attempt may take, how long a batch is retried in place (seconds), and whether it is dead then."""

    write_timeout: float = 60.0
    max_elapsed: float = 300.0
    then_dead: bool = False


class Accused(msgspec.Struct, frozen=True):
    """One event with the error that is its own. ``detail`` may quote values."""

    held: Held
    code: str
    detail: str


class Landing(Protocol):
    """Where events end up; each method decides their outcome."""

    def written(self, held: Sequence[Held]) -> None:
        """These are durable."""

    def dead(self, accused: Sequence[Accused]) -> None:
        """These will never go through."""

    def again(self, held: Sequence[Held], code: str) -> None:
        """These may go through another time."""


async def _rest(wait: Awaitable[None]) -> None:
    await wait


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A sink behind its writer, its gate, and the landing of its events.

    ``on_failure`` is told of each failed attempt and each failed event, with how many events it was about. ``rest`` waits
    before another attempt, as long as it is told to, of events that must not keep others from the sink meanwhile. ``on_attempt`` is told of each attempt that has
    ended: how many events, when it began, and its error, a transient one also if a tenth of them has to come again.
    ``on_timed`` is told how it ended (written, partial, failed) and after how many seconds, ``on_retry`` of each error
    that is answered with another attempt.
    """

    writer: Writer
    gate: Gate
    aside: Aside
    retry: RetryPolicy
    landing: Landing
    on_failure: Callable[[DeliveryError, int], None]
    ordered: bool = False
    rest: Callable[[Awaitable[None]], Awaitable[None]] = _rest
    on_attempt: Callable[[int, float, DeliveryError | None], None] = lambda *_: None
    on_timed: Callable[[str, float], None] = lambda *_: None
    on_retry: Callable[[DeliveryError], None] = lambda _: None

    def bury(self, accused: Sequence[Accused]) -> bool:
        """Let events die, unless so many have died lately that something else must be wrong: then they are still in hand."""
        if not self.gate.may_bury(len(accused)):
            return False
        self.landing.dead(accused)
        return True

    def bury_refused(self, accused: Sequence[Accused], *, leaves: bool = False) -> set[Held]:
        """Of those that may not die since too many do, let one that was refused to the end; returns which died."""
        dying = [one for one in accused if self.aside.may_die(one.held, leaves=leaves)]
        self.landing.dead(dying)
        return {one.held for one in dying}
