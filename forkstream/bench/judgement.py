"""What is to be thought of figures: which of a sweep is the best, and what makes them doubtful."""

from __future__ import annotations

from collections.abc import Iterator

from forkstream.bench.figures import Measurement, Report

BUSY = 0.9
"""The share of a core from which a process counts as being at its limit."""
_WAITED = 0.15
_APART = 0.15


def best_of(report: Report) -> Measurement | None:
    """The best of a sweep: by p99 in an open loop, else by CPU a message; None where there is no sweep."""
    if not report.sweep or len(report.measurements) < 2:
        return None
    if report.conditions.rate is not None:
        return min(report.measurements, key=lambda found: found.latency.p99 if found.latency else float("inf"))
    return min(report.measurements, key=lambda found: found.middle(lambda one: one.cpu_us))


def warnings(found: Measurement) -> Iterator[str]:
    """What makes the figures of a measurement doubtful, in words."""
    typical, apart = found.typical, found.spread(lambda one: one.cpu_us)
    if typical.stub_share > BUSY > typical.cpu_share:
        yield (
            f"the stub was the limit ({typical.stub_share:.0%} of its core, the consumer {typical.cpu_share:.0%}): "
            "messages/s are the stub's; CPU a message holds"
        )
    if typical.waited_share is not None and typical.waited_share > _WAITED:
        yield (
            f"others used this core too (ready to run without a core for {typical.waited_share:.0%} of the time): "
            "messages/s would be higher; CPU a message holds, with some noise"
        )
    if len(found.repeats) > 1 and apart > _APART:
        yield f"repeats lie {apart:.0%} apart: measure longer, or on a quieter machine"
    yield from dict.fromkeys(_of_repeats(found))
    if typical.repeated:
        yield f"{typical.repeated:,} messages were received again, since they were not deleted in time"
    if typical.backlog > typical.settled_per_s:
        yield f"it did not keep up: {typical.backlog:,} messages waited at the end, and their age is not in the percentiles"


def _of_repeats(found: Measurement) -> Iterator[str]:
    for repeat in found.repeats:
        if repeat.left_behind > 0:
            yield f"{repeat.left_behind:,} messages were still hidden after it had ended"
        if repeat.left_behind < 0:
            yield "it did not end when it was asked to, and was killed"
        if repeat.refused:
            yield f"{repeat.refused:,} requests asked for what the stub does not know"
