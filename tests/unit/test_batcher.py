"""The batcher: whatever comes, no batch is beyond its limits, none is empty, and no event is lost or doubled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forkstream import Event
from forkstream.flow.batcher import Batch, Batcher, CloseReason, Limits
from forkstream.flow.custody import Held, Receive

ARRIVALS = st.lists(
    st.tuples(
        st.floats(0, 5),  # seconds since the one before
        st.sampled_from("abcd"),  # partition
        st.integers(0, 60),  # bytes
        st.sampled_from(["add", "add", "add", "fullest", "due"]),
    ),
    max_size=120,
)


@given(
    arrivals=ARRIVALS,
    max_events=st.integers(1, 8),
    max_bytes=st.integers(1, 100),
    max_age=st.floats(0.1, 10),
    max_open=st.integers(1, 4),
)
def test_every_limit_holds_for_any_arrivals(
    arrivals: list[tuple[float, str, int, str]], max_events: int, max_bytes: int, max_age: float, max_open: int
) -> None:
    limits = Limits(max_events=max_events, max_bytes=max_bytes, max_age=max_age, max_open=max_open)
    batcher, now, closed, added = Batcher(limits), 0.0, list[Batch](), list[Held]()
    for number, (pause, partition, size, action) in enumerate(arrivals):
        now += pause
        if action == "due":
            due = batcher.close_due(now)
            assert all(now >= batch.opened_at + max_age for batch in due)
            assert batcher.next_due is None or batcher.next_due > now
            closed += due
        elif action == "fullest":
            closed += batcher.close_fullest(CloseReason.PRESSURE)
        else:
            held = Held.of(Event(b"x" * size, id=str(number)), number, Receive(now, 60, 3600))
            added.append(held)
            closed += batcher.add(held, partition, now)
        assert batcher.open <= max_open
    closed += batcher.close_all(CloseReason.DRAIN)
    assert batcher.open == 0
    assert batcher.next_due is None
    for batch in closed:
        assert 1 <= len(batch.held) <= max_events
        assert batch.bytes == sum(len(one.event.body) for one in batch.held)
        # one event that is larger than the limit stands alone
        assert batch.bytes <= max_bytes or len(batch.held) == 1
        assert batch.reason is not None
    order = [one.receipt for batch in closed for one in batch.held]
    assert sorted(order) == [one.receipt for one in added], "an event was lost or doubled"  # type: ignore[type-var]
    for partition in "abcd":
        of_one = [one.receipt for batch in closed if batch.partition == partition for one in batch.held]
        assert of_one == sorted(of_one), "events of a partition changed places"  # type: ignore[type-var]


def test_the_reason_says_which_limit_closed() -> None:
    limits = Limits(max_events=2, max_bytes=100, max_age=10)

    def add(batcher: Batcher, size: int, at: float = 0.0) -> list[CloseReason | None]:
        held = Held.of(Event(b"x" * size, id="1"), 1, Receive(0, 60, 3600))
        return [batch.reason for batch in batcher.add(held, "", at)]

    batcher = Batcher(limits)
    assert add(batcher, 1) == []
    assert add(batcher, 1) == [CloseReason.COUNT]
    assert add(batcher, 60) == []
    assert add(batcher, 60) == [CloseReason.BYTES]
    assert [batch.reason for batch in batcher.close_due(10.0)] == [CloseReason.AGE]
    assert add(batcher, 100) == [CloseReason.BYTES]
