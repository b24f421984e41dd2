"""Order: in a fork with an ordered source, one batch is under way per group, and nothing overtakes within a group."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from forkstream.flow.batcher import Batch
from forkstream.flow.custody import Held, Outcome


class Freed(msgspec.Struct):
    """What waited behind a batch: events that may go on now, and events behind one that was not done."""

    onward: list[Held] = []
    behind: list[Held] = []


class Groups:
    """Knows which groups are in a batch, open or under way, and parks the events that come meanwhile."""

    def __init__(self) -> None:
        self._partition: dict[str, str] = {}  # of the open batch that a group is in
        self._under_way: set[str] = set()
        self._parked: dict[str, list[Held]] = {}

    def admits(self, held: Held) -> bool:
        """Tell whether an event may join its partition's batch now; if not, it is parked until its group is free."""
        group, partition = held.group, held.partition
        if group is None:
            return True
        if group in self._under_way or self._partition.get(group, partition) != partition:
            self._parked.setdefault(group, []).append(held)
            return False
        self._partition[group] = partition
        return True

    def partition_of(self, group: str | None) -> str | None:
        """Name the open batch that a group is in: close it when something waits behind it."""
        return self._partition.get(group) if group is not None else None

    def closed(self, batch: Batch) -> None:
        """A batch goes on its way with its groups."""
        for group in _groups(batch.held):
            self._partition.pop(group, None)
            self._under_way.add(group)

    def finished(self, batch: Batch) -> Freed:
        """A batch is decided: its groups are free again."""
        freed = Freed()
        not_done = set(_groups(one for one in batch.held if one.outcome is not Outcome.DONE))
        for group in _groups(batch.held):
            self._under_way.discard(group)
            parked = self._parked.pop(group, [])
            (freed.behind if group in not_done else freed.onward).extend(parked)
        return freed


def _groups(held: Iterable[Held]) -> list[str]:
    return list(dict.fromkeys(one.group for one in held if one.group is not None))


def behind(held: Sequence[Held], *, first: Collection[Held], except_: Collection[Held]) -> list[Held]:
    """Of the events of one receive, in its order, name those without an outcome that come after one of ``first`` in
    their group. ``except_`` are on a way of their own, and hold back the others all the same.
    """
    blocked: set[str] = set()
    later = []
    for one in held:
        if one.group is None:
            continue
        if one.group in blocked and one.outcome is None and one not in except_:
            later.append(one)
        elif one in first:
            blocked.add(one.group)
    return later
