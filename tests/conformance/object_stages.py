"""A good object stage, and one for each rule that breaks just that. The rules of every plugin are tried with event sinks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import msgspec

from forkstream.errors import PermanentError, TransientError, UnavailableError
from forkstream.ports import Context, ObjectInfo, ObjectStage, Payload
from forkstream.settings import Settings
from forkstream.testing.conformance import ObjectStageConformance

Step = Callable[[Payload], Payload]


class Veil(ObjectStage[Settings]):
    """Keeps every rule: it turns each byte over, with a "key" for each object that it fetches first."""

    encrypts: ClassVar[bool] = True

    def __init__(self, place: str) -> None:
        super().__init__(Settings(), Context(fork="test"))
        self.place = place

    @property
    def suffix(self) -> str:
        return ".veil"

    async def check(self) -> None:
        self.reach()

    async def prepare(self, about: ObjectInfo) -> Step:
        self.reach()
        await asyncio.sleep(0)
        return lambda payload: self.veil(payload, key_of(about))

    def veil(self, payload: Payload, key: int) -> Payload:
        return msgspec.structs.replace(payload, data=turned(payload.data, key))

    @staticmethod
    def unveil(data: bytes, key: int) -> bytes:
        return turned(data, key)

    def reach(self) -> None:
        if self.place == "away":
            raise TransientError("lost_connection")
        if self.place == "gone":
            raise UnavailableError("missing", "the key is gone")


def key_of(about: ObjectInfo) -> int:
    return 1 + sum(about.key.encode()) % 255


def turned(data: bytes, key: int) -> bytes:
    return data.translate(bytes(number ^ key for number in range(256)))


class VeilSuite(ObjectStageConformance):
    turn_cpu = 0.2

    def __init__(self, kind: type[Veil] = Veil) -> None:
        self.kind = kind

    def plugin(self) -> Veil:
        return self.kind("here")

    def unreachable(self) -> Veil:
        return self.kind("away")

    def unusable(self) -> Veil:
        return self.kind("gone")

    async def undo(self, payload: Payload, about: ObjectInfo) -> bytes:
        return self.kind.unveil(payload.data, key_of(about))


class RefusesEmpty(Veil):
    def veil(self, payload: Payload, key: int) -> Payload:
        if not payload.data:
            raise PermanentError("empty")
        return super().veil(payload, key)


class SuffixWithoutDot(Veil):
    @property
    def suffix(self) -> str:
        return "veil"


class ForgetsMetadata(Veil):
    def veil(self, payload: Payload, key: int) -> Payload:
        return Payload(super().veil(payload, key).data, payload.content_type)


class ShowsContent(Veil):
    def veil(self, payload: Payload, key: int) -> Payload:
        return payload

    @staticmethod
    def unveil(data: bytes, key: int) -> bytes:  # noqa: ARG004  # there is none
        return data


class FetchesInTheStep(Veil):
    def veil(self, payload: Payload, key: int) -> Payload:
        Path(__file__).read_bytes()
        return super().veil(payload, key)


class Sleeps(Veil):
    async def prepare(self, about: ObjectInfo) -> Step:
        time.sleep(0.001)  # noqa: ASYNC251  # that is what is bad
        return await super().prepare(about)


class BurnsCpu(Veil):
    async def prepare(self, about: ObjectInfo) -> Step:
        if about.key.startswith(f"orders/{2:026}"):
            end = time.thread_time() + 0.25
            while time.thread_time() < end:
                pass
        return await super().prepare(about)


class MixesKeys(Veil):
    current: ObjectInfo

    async def prepare(self, about: ObjectInfo) -> Step:
        self.current = about
        await super().prepare(about)
        return lambda payload: self.veil(payload, key_of(self.current))


class BusyAfterCancellation(Veil):
    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.busy: set[str] = set()

    async def prepare(self, about: ObjectInfo) -> Step:
        if about.key in self.busy:
            raise TransientError("busy")
        self.busy.add(about.key)
        step = await super().prepare(about)
        self.busy.remove(about.key)
        return step


class OtherErrorOutOfReach(Veil):
    def reach(self) -> None:
        if self.place == "away":
            raise OSError("no answer")
        super().reach()


class BlamesObjects(Veil):
    async def check(self) -> None:
        super().reach()

    def reach(self) -> None:
        if self.place == "gone":
            raise PermanentError("missing")
        super().reach()


BROKEN: dict[type[Veil], str] = {
    RefusesEmpty: "test_what_goes_in_comes_out_again",
    SuffixWithoutDot: "test_the_suffix_is_fixed_and_starts_with_a_dot",
    ForgetsMetadata: "test_metadata_is_kept",
    ShowsContent: "test_an_encrypted_object_does_not_show_its_content",
    FetchesInTheStep: "test_the_prepared_step_is_pure_cpu",
    Sleeps: "test_preparing_calls_nothing_that_blocks",
    BurnsCpu: "test_preparing_leaves_the_loop_to_others",
    MixesKeys: "test_objects_rendered_at_once_do_not_mix",
    BusyAfterCancellation: "test_a_cancelled_prepare_can_be_repeated",
    OtherErrorOutOfReach: "test_a_service_out_of_reach_is_transient",
    BlamesObjects: "test_an_unusable_service_is_unavailable",
}
