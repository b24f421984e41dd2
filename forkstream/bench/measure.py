"""One run: a consumer is started, left to warm up, watched for a while, and ended in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import msgspec

from forkstream.bench.consumer import Consumer, Metrics, wait_for
from forkstream.bench.figures import Percentiles, Repeat, Sample, added, slope
from forkstream.bench.process_tree import Use
from forkstream.bench.stub.tally import Look, Tally
from forkstream.bench.stub_process import StubProcess
from forkstream.errors import CommandError

FIRST_SECONDS = 60.0
"""How long a consumer may take until its first message is settled."""
_SAMPLE_SECONDS = 0.5
_PER_MESSAGE = (
    "requests", "receives", "deletes", "visibility_changes", "puts", "put_bytes", "bulks", "documents", "writes", "items",
    "sends", "sent", "faults",
)  # fmt: skip

Tell = Callable[[str, float], None]
"""Told what is done now, and how much of the run is over, from 0 to 1."""


class Timing(msgspec.Struct, frozen=True):
    """Seconds: those before anything counts, and those that count."""

    warm_up: float
    measured: float


class _Moment(msgspec.Struct, frozen=True):
    look: Look
    use: Use


def measure(stub: StubProcess, consumer: Consumer, timing: Timing, tell: Tell) -> Repeat:
    """Measure one run; raises CommandError if the consumer never settles anything or ends by itself."""
    stub.restart()
    with consumer:
        tell("starting", 0.0)
        _wait_for_first(stub, consumer)
        _sleep(timing.warm_up, lambda gone: tell("warming up", gone / (timing.warm_up + timing.measured)))
        before = consumer.metrics()
        moments = _watch(stub, consumer, timing, tell)
        after = consumer.metrics()
        tell("draining", 1.0)
        in_order = consumer.stop()
        left = stub.look()
    repeat = _repeat(moments, left.held if in_order else -1)
    return msgspec.structs.replace(repeat, service=_service(before, after))


def _wait_for_first(stub: StubProcess, consumer: Consumer) -> None:
    def settled() -> bool:
        look = stub.look()
        if look.tally.refused:
            raise CommandError(
                f"it asked the stub for what the stub does not know: {look.unknown}\n{consumer.log_tail()}"
            )
        if not consumer.running:
            raise CommandError(f"it ended by itself:\n{consumer.log_tail()}")
        return look.tally.deleted > 0

    try:
        wait_for(settled, FIRST_SECONDS, f"it settled nothing within {FIRST_SECONDS:.0f} s:")
    except CommandError as error:
        told = f"\n{consumer.log_tail()}" if str(error).endswith(":") else ""
        raise CommandError(f"{error}{told}") from None


def _watch(stub: StubProcess, consumer: Consumer, timing: Timing, tell: Tell) -> list[_Moment]:
    moments = [_Moment(stub.look(), consumer.use())]
    began = time.monotonic()
    whole = timing.warm_up + timing.measured
    while (gone := time.monotonic() - began) < timing.measured:
        time.sleep(min(_SAMPLE_SECONDS, timing.measured - gone))
        moments.append(_Moment(stub.look(), consumer.use()))
        tell("measuring", (timing.warm_up + time.monotonic() - began) / whole)
        if not consumer.running:
            raise CommandError(f"it ended by itself while it was measured:\n{consumer.log_tail()}")
    return moments


def _sleep(seconds: float, tell: Callable[[float], None]) -> None:
    began = time.monotonic()
    while (gone := time.monotonic() - began) < seconds:
        tell(gone)
        time.sleep(min(0.25, seconds - gone))


def _repeat(moments: list[_Moment], left_behind: int) -> Repeat:
    first, last = moments[0], moments[-1]
    seconds = last.look.at - first.look.at
    counted = _difference(first.look.tally, last.look.tally)
    settled = counted["deleted"]
    cpu = last.use.cpu - first.use.cpu
    # what is held more than at first has cost about half of its whole way: without it a run would gain or lose a batch
    work = settled + (last.look.held - first.look.held) / 2
    waited = None
    if first.use.waited is not None and last.use.waited is not None:
        waited = max(0.0, last.use.waited - first.use.waited) / seconds
    samples = [_sample(one, other, first.look.at) for one, other in pairwise(moments)]
    return Repeat(
        seconds=seconds,
        settled=settled,
        settled_per_s=settled / seconds,
        cpu_us=cpu / work * 1e6 if work > 0 else 0.0,
        cpu_share=cpu / seconds,
        stub_share=(last.look.cpu - first.look.cpu) / seconds,
        waited_share=waited,
        bytes_out=counted["bytes_in"],
        rss=max(moment.use.rss for moment in moments),
        largest_rss=max(moment.use.largest_rss for moment in moments),
        rss_growth=slope([(moment.look.at, float(moment.use.rss)) for moment in moments]),
        receive_fill=counted["received"] / (10 * counted["receives"]) if counted["receives"] else 0.0,
        latency=Percentiles.of(added([moment.look.tally.latencies for moment in moments[1:]])),
        requests={name: counted[name] / settled for name in _PER_MESSAGE} if settled else {},
        delete_fill=settled / (10 * counted["deletes"]) if counted["deletes"] else 0.0,
        empty_receives=counted["empty_receives"],
        repeated=counted["repeated"],
        refused=counted["refused"],
        left_behind=left_behind,
        backlog=last.look.waiting,
        samples=samples,
    )


def _difference(first: Tally, last: Tally) -> dict[str, int]:
    names = [name for name in Tally.__struct_fields__ if name != "latencies"]
    return {name: getattr(last, name) - getattr(first, name) for name in names}


def _sample(one: _Moment, other: _Moment, began: float) -> Sample:
    seconds = other.look.at - one.look.at
    ages = Percentiles.of(other.look.tally.latencies)
    return Sample(
        seconds=other.look.at - began,
        settled_per_s=(other.look.tally.deleted - one.look.tally.deleted) / seconds,
        cpu_share=(other.use.cpu - one.use.cpu) / seconds,
        stub_share=(other.look.cpu - one.look.cpu) / seconds,
        rss=other.use.rss,
        largest_rss=other.use.largest_rss,
        p50=ages.p50 if ages else None,
        p99=ages.p99 if ages else None,
    )


def _service(before: Metrics, after: Metrics) -> dict[str, float]:
    """What the service counted meanwhile, by names without its own: ``batch_closed_total bytes``."""
    found: dict[str, float] = {}
    for (name, label), value in after.items():
        if name.startswith("forkstream_") and "_bucket" not in name and not name.endswith("_created"):
            short = f"{name.removeprefix('forkstream_')} {label}".strip()
            grows = name.endswith(("_total", "_sum", "_count"))
            change = value - before[name, label] if grows else value
            if change:
                found[short] = change
    return found
