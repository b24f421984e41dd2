"""What several workers tell becomes what one service tells, whichever of them answers first."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from forkstream.status import ForkStatus
from forkstream.supervisor.combined import STATES, combined
from forkstream.supervisor.worker_metrics import WorkerMetrics

codes = st.none() | st.sampled_from(["denied", "throttled"])
statuses = st.builds(
    ForkStatus,
    name=st.just("orders"),
    state=st.sampled_from(STATES),
    code=codes,
    last_failure=codes,
    dead_letters=codes,
    received=st.integers(0, 9),
    in_flight=st.integers(0, 9),
    lag=st.none() | st.integers(0, 9),
    event_age=st.none() | st.floats(0, 9),
    budget_events=st.none() | st.integers(0, 9),
    pollers=st.none() | st.integers(0, 9),
    concurrency=st.none() | st.integers(0, 9),
    concurrency_reason=codes,
    stalled=st.booleans(),
    paused=st.booleans(),
)


@given(st.lists(statuses, min_size=1, max_size=5), st.randoms())
def test_neither_the_order_nor_the_grouping_of_workers_matters(told: list[ForkStatus], dice: object) -> None:
    whole = combined("orders", told)
    assert combined("orders", reversed(told)) == whole
    half = len(told) // 2
    assert combined("orders", [combined("orders", told[:half]), combined("orders", told[half:])]) == whole


@given(st.lists(statuses, min_size=1, max_size=5))
def test_totals_are_added_up_and_nothing_bad_is_hidden(told: list[ForkStatus]) -> None:
    whole = combined("orders", told)
    assert whole.received == sum(fork.received for fork in told)
    assert whole.in_flight == sum(fork.in_flight for fork in told)
    assert STATES.index(whole.state) == max(STATES.index(fork.state) for fork in told)
    assert (whole.state, whole.code) in {(fork.state, fork.code) for fork in told}
    assert whole.stalled == any(fork.stalled for fork in told)
    assert whole.lag == max((fork.lag for fork in told if fork.lag is not None), default=None)
    assert whole.event_age == max((fork.event_age for fork in told if fork.event_age is not None), default=None)
    known = [fork.concurrency for fork in told if fork.concurrency is not None]
    assert whole.concurrency == (sum(known) if known else None)


@given(statuses)
def test_one_worker_tells_its_own_status(fork: ForkStatus) -> None:
    assert combined("orders", [fork]) == msgspec.structs.replace(fork)


def page(received: int) -> str:
    registry = CollectorRegistry()
    counter = Counter("forkstream_received", 'Events "received"', ["fork"], registry=registry)
    counter.labels('se"ar\\ch').inc(received)
    Gauge("forkstream_backlog_events", "Events waiting", ["fork"], registry=registry).labels("search").set(7)
    Histogram("forkstream_batch_events", "Events a batch", ["fork"], registry=registry).labels("search").observe(3)
    return generate_latest(registry).decode()


def test_every_series_of_every_worker_has_its_label() -> None:
    metrics = WorkerMetrics()
    metrics.tell({1: page(10), 2: page(5)}, {1: 0, 2: 3})
    registry = metrics.registry
    for worker, received in (("1", 10), ("2", 5)):
        labels = {"worker": worker, "fork": 'se"ar\\ch'}
        assert registry.get_sample_value("forkstream_received_total", labels) == received
        assert registry.get_sample_value("forkstream_backlog_events", {"worker": worker, "fork": "search"}) == 7
        assert registry.get_sample_value("forkstream_batch_events_sum", {"worker": worker, "fork": "search"}) == 3
    assert registry.get_sample_value("forkstream_worker_restarts_total", {"worker": "2"}) == 3
    assert generate_latest(registry).decode().count("# TYPE forkstream_received_total counter") == 1
    text = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]  # it has no types
    families = list(read_openmetrics(text))  # type: ignore[no-untyped-call]  # it has no types
    assert "forkstream_received" in {family.name for family in families}
