"""How the stub behaves today: slow, failing, throttling. Drawn from a seed, so that two runs meet the same."""

from __future__ import annotations

import enum
import random

import msgspec


class Fault(enum.Enum):
    """What strikes a request as a whole, or one entry of a batch."""

    THROTTLE = "throttle"
    ERROR = "error"
    RESET = "reset"  # the connection breaks before the request has an effect
    LOST = "lost"  # the request has its effect, and the connection breaks before anybody is told


class Climate(msgspec.Struct, frozen=True, kw_only=True):
    """What to expect: ``latency`` is the median in seconds, ``errors`` and ``throttle`` are shares of requests from 0 to 1.

    Latencies are log-normal: 1 % of them are more than three times the median. Half of the errors break the connection,
    half of those when all is done; the entries of a batch fail one by one with the same shares.
    """

    latency: float = 0.0
    sink_latency: float = 0.0
    """More of it for everything but SQS: a slow destination."""
    errors: float = 0.0
    throttle: float = 0.0
    seed: int = 1


class Weather:
    """Draws what happens to each request."""

    def __init__(self, climate: Climate) -> None:
        self._climate = climate
        self._dice = random.Random(climate.seed)  # noqa: S311  # not for secrets: a run is to be repeated
        self.calm = not (climate.latency or climate.sink_latency or climate.errors or climate.throttle)
        """True if nothing ever happens: nobody need ask."""

    def delay(self, *, sink: bool) -> float:
        """Seconds that the next answer takes; ``sink`` if it is not SQS's."""
        latency = self._climate.latency + (self._climate.sink_latency if sink else 0.0)
        return latency * self._dice.lognormvariate(0.0, 0.5) if latency else 0.0

    def fault(self) -> Fault | None:
        """What strikes the next request, if anything does."""
        throw = self._dice.random()
        if throw < self._climate.throttle:
            return Fault.THROTTLE
        if throw < self._climate.throttle + self._climate.errors:
            return self._dice.choice((Fault.RESET, Fault.LOST, Fault.ERROR, Fault.ERROR))
        return None

    def struck(self, entries: int) -> list[int]:
        """Which entries of a batch fail, by position."""
        share = self._climate.errors + self._climate.throttle
        return [place for place in range(entries) if self._dice.random() < share] if share else []
