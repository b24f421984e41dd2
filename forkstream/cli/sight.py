"""What running services told when they were last looked at, and how fast they are, from two looks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec

from forkstream.cli.admin_client import AdminClient
from forkstream.cli.ecs import Target, ask_each
from forkstream.errors import CommandError
from forkstream.status import ForkStatus, ServiceStatus
from forkstream.supervisor.combined import combined


class Sight(msgspec.Struct, frozen=True):
    """One service at one moment (monotonic seconds); without a status ``trouble`` says why."""

    name: str
    at: float
    status: ServiceStatus | None
    trouble: str = ""


class Rates(msgspec.Struct, frozen=True):
    """Events a second since the look before: received, written, given back to the source, failed in a step."""

    received: float
    written: float
    retried: float
    failed: float


class Row(msgspec.Struct, frozen=True):
    """One fork of one service, or of all that have it; ``rates`` are None until there are two looks at one run of it."""

    service: str
    fork: ForkStatus
    rates: Rates | None


def look(targets: Sequence[Target]) -> list[Sight]:
    """Ask all at once; one that does not answer is told with the reason."""
    return [
        Sight(target.name, time.monotonic(), None, str(answer))
        if isinstance(answer, CommandError)
        else Sight(target.name, time.monotonic(), answer)
        for target, answer in ask_each(list(targets), _status)
    ]


def rows(now: Sequence[Sight], before: Sequence[Sight]) -> Iterator[list[Row]]:
    """Order what was told by fork: all services together, then each one if there are several."""
    earlier = {sight.name: sight for sight in before}
    by_fork: dict[str, list[Row]] = {}
    for sight in now:
        for fork in sight.status.forks if sight.status else ():
            rates = _rates(fork, sight, earlier.get(sight.name))
            by_fork.setdefault(fork.name, []).append(Row(sight.name, fork, rates))
    for name, single in by_fork.items():
        if len(single) > 1:
            whole = combined(name, [row.fork for row in single])
            yield [Row("", whole, _sum([row.rates for row in single])), *single]
        else:
            yield single


def _status(client: AdminClient) -> ServiceStatus:
    status, body = client.ask("GET", "/forks")
    if status != 200:
        raise CommandError(f"{client.url} answers HTTP {status}")
    try:
        return msgspec.json.decode(body, type=ServiceStatus)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CommandError(f"no admin endpoint at {client.url}") from None


def _rates(fork: ForkStatus, sight: Sight, before: Sight | None) -> Rates | None:
    if before is None or before.status is None or sight.status is None or sight.at <= before.at:
        return None
    then = next((each for each in before.status.forks if each.name == fork.name), None)
    if then is None or before.status.run != sight.status.run:
        return None
    seconds = sight.at - before.at
    moved = {name: (getattr(fork, name) - getattr(then, name)) / seconds for name in Rates.__struct_fields__}
    return None if min(moved.values()) < 0 else Rates(**moved)  # a worker was started again, and counts from 0


def _sum(rates: Sequence[Rates | None]) -> Rates | None:
    known = [rate for rate in rates if rate]
    if not known:
        return None
    return Rates(**{name: sum(getattr(rate, name) for rate in known) for name in Rates.__struct_fields__})
