"""A good source, and one for each rule that breaks just that. The rules of every plugin are tried with event sinks."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import cast

import anyio.lowlevel
import msgspec

from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.event import Event
from forkstream.ports import Backlog, Context, Receipt, Refusal, Source
from forkstream.settings import Settings
from forkstream.sources.memory import MemoryConfig, MemorySource
from forkstream.testing.conformance import SourceConformance

Received = Sequence[tuple[Event, Receipt]]


class Pond(MemorySource):
    """Keeps every rule: the source in memory, with a place that can be away or gone."""

    place = "here"
    max_receive = 10

    async def check(self) -> None:
        if self.place == "gone":
            raise UnavailableError("missing", "the pond is gone")

    async def receive(self, limit: int, *, hold: float, wait: float) -> Received:
        self.reach()
        return await super().receive(limit, hold=hold, wait=wait)

    def reach(self) -> None:
        if self.place == "away":
            raise TransientError("lost_connection")
        if self.place == "gone":
            raise UnavailableError("missing", "the pond is gone")


class PondSuite(SourceConformance):
    turn_cpu = 0.2
    short_hold = 0.02
    patience = 0.2

    def __init__(self, kind: type[Pond] = Pond, *, ordered: bool = False) -> None:
        self.kind = kind
        self.ordered = ordered

    def plugin(self) -> Pond:
        return self.at("here")

    def at(self, place: str) -> Pond:
        pond = self.kind(MemoryConfig(ordered=self.ordered), Context(fork="test"))
        pond.place = place
        return pond

    def send(self, plugin: Source[Settings], events: Sequence[Event]) -> None:
        assert isinstance(plugin, Pond)
        plugin.put(events)

    def unreachable(self) -> Pond:
        return self.at("away")

    def unusable(self) -> Pond:
        return self.at("gone")


class NeverCounts(Pond):
    """Counts a first receive as 0."""

    async def receive(self, limit: int, *, hold: float, wait: float) -> Received:
        received = await super().receive(limit, hold=hold, wait=wait)
        return [
            (event if event.receive_count > 1 else msgspec.structs.replace(event, receive_count=0), receipt)
            for event, receipt in received
        ]


class IgnoresLimit(Pond):
    async def receive(self, limit: int, *, hold: float, wait: float) -> Received:
        return await super().receive(10 if limit == 3 else limit, hold=hold, wait=wait)


class NoneForNothing(Pond):
    async def receive(self, limit: int, *, hold: float, wait: float) -> Received:
        received = await super().receive(limit, hold=hold, wait=wait)
        return received if received or self._messages or self.settled else cast("Received", None)


class NewIdsAfterRelease(Pond):
    async def receive(self, limit: int, *, hold: float, wait: float) -> Received:
        received = await super().receive(limit, hold=hold, wait=wait)
        released = any(seconds == 0 for _, seconds in self.released)
        if not released or self.settled:
            return received
        return [(Event(e.body, id=f"{e.id}-again", receive_count=e.receive_count), receipt) for e, receipt in received]


class ForgetsDeletes(Pond):
    """Deletes by hiding, and a release of others shows everything."""

    async def delete(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:
        deleted = [
            self._messages[self._by_receipt[receipt]].event for receipt in receipts if receipt in self._by_receipt
        ]
        refused = await super().delete(receipts)
        if len(self._messages) == 3 and len(receipts) == 3:
            self.put(deleted[:1])
        return refused


class HoldsForEver(Pond):
    async def receive(self, limit: int, *, hold: float, wait: float) -> Received:
        return await super().receive(limit, hold=9999 if hold == 0.02 and len(self._messages) == 2 else hold, wait=wait)


class IgnoresExtensions(Pond):
    async def hold(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        return () if seconds else await super().hold(receipts, seconds)


class RefusesAll(Pond):
    async def delete(self, receipts: Sequence[Receipt]) -> Collection[Refusal]:
        refused = await super().delete(receipts)
        return [Refusal(receipt, lost=False, code="one_refused") for receipt in receipts] if refused else ()


class LosesWhenCancelled(Pond):
    async def receive(self, limit: int, *, hold: float, wait: float) -> Received:
        received = await super().receive(limit, hold=hold, wait=wait)
        gone = [receipt for _, receipt in received]
        try:
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
        except BaseException:
            for receipt in gone:
                self._messages.pop(self._by_receipt.pop(receipt))
            raise
        return received


class SharesEvents(Pond):
    last: Received = ()
    under_way = 0

    async def receive(self, limit: int, *, hold: float, wait: float) -> Received:
        self.under_way += 1
        try:
            await anyio.lowlevel.checkpoint()
            if self.under_way > 1 and self.last:
                return self.last
            self.last = await super().receive(limit, hold=hold, wait=wait)
            return self.last
        finally:
            self.under_way -= 1


class TrimsBodies(Pond):
    async def receive(self, limit: int, *, hold: float, wait: float) -> Received:
        received = await super().receive(limit, hold=hold, wait=wait)
        return [(event.with_(body=event.body.strip()), receipt) for event, receipt in received]


class ForgetsOrder(Pond):
    """Says that it is ordered, and is not."""

    def __init__(self, config: MemoryConfig, context: Context) -> None:
        super().__init__(MemoryConfig(ordered=False), context)
        self._says_so = True

    @property
    def ordered(self) -> bool:
        return getattr(self, "_says_so", False) and not self._taking

    @ordered.setter
    def ordered(self, value: bool) -> None:
        pass

    _taking = False

    def _take(self, limit: int, hold: float) -> list[tuple[Event, Receipt]]:
        self._taking = True
        try:
            return super()._take(limit, hold)
        finally:
            self._taking = False


class NegativeBacklog(Pond):
    async def backlog(self) -> Backlog:
        return Backlog(ready=-1, in_flight=0)


class OtherErrorOutOfReach(Pond):
    def reach(self) -> None:
        if self.place == "away":
            raise OSError("no answer")
        super().reach()


class BlamesEvents(Pond):
    def reach(self) -> None:
        if self.place == "gone":
            raise PermanentError("missing")
        super().reach()


class ReadsFiles(Pond):
    async def hold(self, receipts: Sequence[Receipt], seconds: float) -> Collection[Refusal]:
        Path(__file__).read_bytes()  # noqa: ASYNC240  # that is what is bad
        return await super().hold(receipts, seconds)


class BurnsCpu(Pond):
    async def receive(self, limit: int, *, hold: float, wait: float) -> Received:
        if len(self._messages) == 20:
            end = time.thread_time() + 0.25
            while time.thread_time() < end:
                pass
        return await super().receive(limit, hold=hold, wait=wait)


BROKEN: dict[type[Pond], str] = {
    NeverCounts: "test_every_event_is_received_once",
    IgnoresLimit: "test_a_receive_keeps_to_its_limit",
    NoneForNothing: "test_an_empty_source_answers_with_nothing",
    NewIdsAfterRelease: "test_a_released_event_comes_again",
    ForgetsDeletes: "test_a_deleted_event_never_comes_again",
    HoldsForEver: "test_a_hold_that_runs_out_brings_the_event_back",
    IgnoresExtensions: "test_a_hold_can_be_extended",
    RefusesAll: "test_refusals_name_the_receipts_given",
    LosesWhenCancelled: "test_a_cancelled_receive_loses_nothing",
    SharesEvents: "test_receives_at_once_do_not_share_events",
    TrimsBodies: "test_odd_bodies_are_received_as_they_are",
    ForgetsOrder: "test_an_ordered_source_keeps_a_group_in_order",
    NegativeBacklog: "test_the_backlog_is_an_estimate_or_none",
    OtherErrorOutOfReach: "test_a_source_out_of_reach_is_transient",
    BlamesEvents: "test_an_unusable_source_is_unavailable",
    ReadsFiles: "test_receiving_calls_nothing_that_blocks",
    BurnsCpu: "test_receiving_leaves_the_loop_to_others",
}
