"""A good object sink, and one for each rule that breaks just that. The rules of every plugin are tried with event sinks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.event import Event
from forkstream.ports import Context, ObjectSink, Payload
from forkstream.settings import Settings
from forkstream.testing.conformance import ObjectSinkConformance


class Cellar(ObjectSink[Settings]):
    """Keeps every rule. ``objects`` is the destination; a key that starts with a slash it does not take."""

    def __init__(self, objects: dict[str, bytes], place: str) -> None:
        super().__init__(Settings(), Context(fork="test"))
        self.objects = objects
        self.place = place

    async def check(self) -> None:
        if self.place == "gone":
            raise UnavailableError("missing", "the cellar is gone")

    def partition(self, event: Event) -> str:
        return "orders/"

    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        self.reach()
        for _ in range(5):
            await asyncio.sleep(0)
        if key.startswith("/"):
            raise PermanentError("key_refused", key)
        self.objects[key] = payload.data

    def reach(self) -> None:
        if self.place == "away":
            raise TransientError("lost_connection")
        if self.place == "gone":
            raise UnavailableError("missing", "the cellar is gone")


class CellarSuite(ObjectSinkConformance):
    turn_cpu = 0.2

    def __init__(self, kind: type[Cellar] = Cellar) -> None:
        self.kind = kind
        self.objects: dict[str, bytes] = {}

    def plugin(self) -> Cellar:
        return self.kind(self.objects, "here")

    def unreachable(self) -> Cellar:
        return self.kind(self.objects, "away")

    def unusable(self) -> Cellar:
        return self.kind(self.objects, "gone")

    def stored(self) -> Mapping[str, bytes]:
        return self.objects

    def refused_key(self) -> str:
        return "/etc/passwd"


class QuotesKeys(Cellar):
    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        await super().put(key.replace("%", "%25"), payload, attempt=attempt)


class DropsEmpty(Cellar):
    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        if payload.data:
            await super().put(key, payload, attempt=attempt)


class NamesAttempts(Cellar):
    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        await super().put(key, payload, attempt=attempt)
        if attempt == 3:
            self.objects[f"{key}.3"] = payload.data


class PutsHalves(Cellar):
    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        if attempt == 1 and len(payload.data) == 10_000 and key.startswith("cancelled"):
            self.objects[key] = payload.data[:100]
            await asyncio.sleep(0)
        await super().put(key, payload, attempt=attempt)


class RefusesSecondAttempts(Cellar):
    under_way: str = ""

    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        if self.under_way == key:
            raise PermanentError("under_way")
        self.under_way = key
        await super().put(key, payload, attempt=attempt)
        self.under_way = ""


class MixesObjects(Cellar):
    current = b""

    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        self.current = payload.data
        await asyncio.sleep(0)
        await super().put(key, Payload(self.current, ""), attempt=attempt)


class BugOnRefusedKey(Cellar):
    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        if key.startswith("/"):
            raise ValueError(key)
        await super().put(key, payload, attempt=attempt)


class OtherErrorOutOfReach(Cellar):
    def reach(self) -> None:
        if self.place == "away":
            raise UnavailableError("away", "wrong kind")
        super().reach()


class TriesAGoneCellar(Cellar):
    def reach(self) -> None:
        if self.place == "gone":
            raise TransientError("missing")
        super().reach()


class OpensFiles(Cellar):
    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        Path(__file__).read_bytes()  # noqa: ASYNC240  # that is what is bad
        await super().put(key, payload, attempt=attempt)


class BurnsCpu(Cellar):
    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        if key == "large":
            end = time.thread_time() + 0.25
            while time.thread_time() < end:
                pass
        await super().put(key, payload, attempt=attempt)


class PartitionsByBody(Cellar):
    def partition(self, event: Event) -> str:
        return event.body.decode()[:1]


BROKEN: dict[type[Cellar], str] = {
    QuotesKeys: "test_an_object_is_stored_under_its_key",
    DropsEmpty: "test_odd_payloads_are_stored_as_they_are",
    NamesAttempts: "test_a_repeated_put_succeeds",
    PutsHalves: "test_a_cancelled_put_leaves_all_or_nothing",
    RefusesSecondAttempts: "test_a_cancelled_put_can_be_repeated",
    MixesObjects: "test_objects_put_at_once_do_not_mix",
    BugOnRefusedKey: "test_a_refused_key_is_permanent",
    OtherErrorOutOfReach: "test_a_destination_out_of_reach_is_transient",
    TriesAGoneCellar: "test_an_unusable_destination_is_unavailable",
    OpensFiles: "test_putting_calls_nothing_that_blocks",
    BurnsCpu: "test_putting_leaves_the_loop_to_others",
    PartitionsByBody: "test_a_partition_is_a_pure_function_of_the_event",
}
