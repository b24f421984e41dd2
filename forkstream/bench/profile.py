"""Where the time of the hot path goes: a run of its own under a profiler, summed up by function and by part of the code."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import msgspec

from forkstream.bench.consumer import ServiceConsumer, wait_for
from forkstream.bench.figures import Hot, Measurement
from forkstream.bench.job import Job
from forkstream.bench.measure import FIRST_SECONDS, Tell
from forkstream.bench.profiled import Function
from forkstream.bench.stub_process import StubProcess

SHOWN = 30
_WAITING = ("epoll", "select")
_PACKAGES = (
    "forkstream/flow", "forkstream/aws", "forkstream/sources", "forkstream/stages", "forkstream/sinks", "forkstream",
    "anyio", "aiohttp", "aiobotocore", "botocore", "opensearchpy", "msgspec", "uvloop", "asyncio", "prometheus_client",
)  # fmt: skip


def profile_of(
    found: Measurement,
    stub: StubProcess,
    job: Job,
    *,
    directory: Path,
    cores: Collection[int],
    seconds: float,
    tell: Tell,
) -> Measurement:
    """Add a profile of ``seconds`` to a measurement. Its shares are right to a few points: a profiler costs by the call."""
    target = directory / "profile.json"
    target.unlink(missing_ok=True)
    stub.restart()
    with ServiceConsumer(job, directory / "profiled.log", cores, profile=target) as consumer:
        tell("starting", 0.0)
        wait_for(lambda: stub.look().tally.deleted > 0, FIRST_SECONDS, f"nothing settled:\n{consumer.log_tail()}")
        _pass(1.0, consumer)
        before = stub.look().tally.deleted
        consumer.signal(signal.SIGUSR1)
        tell("profiling", 0.3)
        _pass(seconds, consumer)
        consumer.signal(signal.SIGUSR2)
        settled = stub.look().tally.deleted - before
        wait_for(target.exists, 20.0, f"no profile was written:\n{consumer.log_tail()}")
        tell("draining", 0.9)
        consumer.stop()
    functions = msgspec.json.decode(target.read_bytes(), type=list[Function])
    return msgspec.structs.replace(found, profile=_hottest(functions, settled), areas=_areas(functions))


def _pass(seconds: float, consumer: ServiceConsumer) -> None:
    """Let time pass, unless the consumer ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and consumer.running:
        time.sleep(0.05)


def _hottest(functions: list[Function], settled: int) -> list[Hot]:
    busy = [one for one in functions if not any(word in one.name for word in _WAITING)]
    whole = sum(one.own for one in busy) or 1.0
    busy.sort(key=lambda one: one.own, reverse=True)
    return [
        Hot(where=_where(one), share=one.own / whole, calls_per_message=one.calls / settled if settled else 0.0)
        for one in busy[:SHOWN]
    ]


def _areas(functions: list[Function]) -> dict[str, float]:
    shares: Counter[str] = Counter()
    for one in functions:
        if not any(word in one.name for word in _WAITING):
            shares[_area(one)] += one.own  # type: ignore[assignment]  # typeshed's Counter holds whole numbers
    whole = sum(shares.values()) or 1.0
    return {area: own / whole for area, own in shares.most_common()}


def _where(one: Function) -> str:
    if one.file == "~":
        return one.name.strip("<>")
    for package in ("forkstream", "site-packages"):
        _, found, rest = one.file.rpartition(f"/{package}/")
        if found:
            return f"{'forkstream/' if package == 'forkstream' else ''}{rest}:{one.line} {one.name}"
    return f"{Path(one.file).name}:{one.line} {one.name}"


def _area(one: Function) -> str:
    text = one.name if one.file == "~" else one.file
    return next((package for package in _PACKAGES if package in text), "Python and C" if one.file == "~" else "others")
