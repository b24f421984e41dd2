"""The conformance suite of object stages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from forkstream.errors import DeliveryError, TransientError, UnavailableError
from forkstream.ports import ObjectInfo, ObjectStage, Payload
from forkstream.settings import Settings
from forkstream.testing.cancellation import TURNS, cancel_after
from forkstream.testing.conformance.checks import forget_turns, longest_turn, require_kind
from forkstream.testing.conformance.plugin import PluginConformance
from forkstream.testing.loop_watch import blocking_calls
from forkstream.testing.make_events import ODD_BODIES
from forkstream.testing.name_of import name_of
from forkstream.testing.rule import BrokenRuleError, require, rule

_PLAIN = b'{"name":"plain to read"}\n' * 100


class ObjectStageConformance(PluginConformance[ObjectStage[Settings]]):
    """Every rule that an object stage keeps. See :class:`PluginConformance` for how to use it; here you also say how it is undone."""

    async def undo(self, payload: Payload, about: ObjectInfo) -> bytes:  # noqa: ARG002  # for those who override it
        """Give back what went into the stage, as a reader of the object would: with other software, if there is some."""
        pytest.skip("not tried: write undo(), or nothing can tell whether an object can be read again")

    @rule
    async def test_what_goes_in_comes_out_again(self) -> None:
        """Whatever the bytes are: empty, binary, 1 MiB."""
        async with self.opened() as stage:
            for oddity, body in {"plain": _PLAIN, "binary": bytes(range(256)), **ODD_BODIES}.items():
                info = about(stage, 1)
                try:
                    result = await run(stage, info, body)
                except BrokenRuleError:
                    raise
                except Exception as error:  # noqa: BLE001  # whatever it is, an object is lost
                    require(None, f"bytes that are {oddity} raise {name_of(error)}")
                else:
                    require(await self.undo(result, info) == body, f"bytes that are {oddity} come out as others")

    @rule
    async def test_the_suffix_is_fixed_and_starts_with_a_dot(self) -> None:
        """Keys are made of it before an object is rendered: ``.zst``, or empty. Known before the stage is opened."""
        stage = self.plugin()
        before = stage.suffix
        require(re.fullmatch(r"(\.[A-Za-z0-9_-]+)*", before), f"the suffix {before!r} is neither empty nor like .zst")
        async with stage:
            await run(stage, about(stage, 1), _PLAIN)
            require(stage.suffix == before, f"the suffix changes from {before!r} to {stage.suffix!r}")

    @rule
    async def test_metadata_is_kept(self) -> None:
        """A stage may add metadata and change the type; what earlier steps noted stays, and their payload as it was."""
        async with self.opened() as stage:
            payload = Payload(_PLAIN, "application/x-ndjson", {"fork": "test"})
            step = await stage.prepare(about(stage, 1))
            result = await asyncio.to_thread(step, payload)
        require(payload == Payload(_PLAIN, "application/x-ndjson", {"fork": "test"}), "the payload given is changed")
        require(result.metadata.get("fork") == "test", "the metadata of earlier steps is lost")
        require(result.content_type, "the result has no content type")

    @rule
    async def test_an_encrypted_object_does_not_show_its_content(self) -> None:
        """A stage that says ``encrypts`` is trusted with what must not be read."""
        async with self.opened() as stage:
            result = await run(stage, about(stage, 1), _PLAIN)
        hidden = not stage.encrypts or b"plain to read" not in result.data
        require(hidden, "the stage says that it encrypts, and the content stands there in the clear")

    @rule
    async def test_the_prepared_step_is_pure_cpu(self) -> None:
        """All I/O is done in ``prepare``: the step runs in a worker thread, where nothing could time it out."""
        async with self.opened() as stage:
            await run(stage, about(stage, 1), _PLAIN)  # what is read once does not count
            step = await stage.prepare(about(stage, 2))
            found = await asyncio.to_thread(_blocking_calls_of, step, _PLAIN)
        require(not found, f"the step does I/O: {'; '.join(found)}")

    @rule
    async def test_preparing_calls_nothing_that_blocks(self) -> None:
        """No sleep, no file, no blocking socket in the loop's thread."""
        async with self.opened() as stage:
            await stage.prepare(about(stage, 1))
            with blocking_calls() as found:
                await stage.prepare(about(stage, 2))
        require(not found, f"prepare holds up every fork: {'; '.join(found)}")

    @rule
    async def test_preparing_leaves_the_loop_to_others(self) -> None:
        """``prepare`` keeps the loop for ``turn_cpu`` seconds of CPU at a time, at most: the work belongs into the step."""
        async with self.opened() as stage:
            await stage.prepare(about(stage, 1))
            forget_turns()
            await stage.prepare(about(stage, 2))
            took = longest_turn()
        require(took <= self.turn_cpu, f"prepare keeps the loop for {took:.2f} s of CPU, {self.turn_cpu} s is the most")

    @rule
    async def test_objects_rendered_at_once_do_not_mix(self) -> None:
        """Several objects are prepared and rendered at once, in several threads."""
        async with self.opened() as stage:
            infos = [about(stage, number) for number in range(8)]
            steps = await asyncio.gather(*(stage.prepare(info) for info in infos))
            bodies = [_PLAIN + bytes([number]) * 1000 for number in range(8)]
            with ThreadPoolExecutor(8) as threads:
                results = list(threads.map(_made, steps, bodies))
        for info, body, result in zip(infos, bodies, results, strict=True):
            require(await self.undo(result, info) == body, "objects rendered at once come out as each other")

    @rule
    async def test_a_cancelled_prepare_can_be_repeated(self) -> None:
        """Wherever it is cancelled, the same object can be prepared again on the same plugin."""
        async with self.opened() as stage:
            for turns in TURNS:
                info = about(stage, turns)
                await cancel_after(turns, partial(_prepare, stage, info))
                try:
                    await run(stage, info, _PLAIN)
                except Exception as error:  # noqa: BLE001  # whatever it is, the object cannot be had any more
                    require(None, f"after a cancelled prepare: {name_of(error)}")

    @rule
    async def test_a_service_out_of_reach_is_transient(self) -> None:
        """What ``prepare`` asks does not answer: TransientError. It is tried again."""
        await _require_failure(self.unreachable(), TransientError)

    @rule
    async def test_an_unusable_service_is_unavailable(self) -> None:
        """A disabled key, a denied permission: UnavailableError. The fork halts, and no event is blamed."""
        await _require_failure(self.unusable(), UnavailableError)


def about(stage: ObjectStage[Settings], number: int) -> ObjectInfo:
    """Describe an object as the runtime does: the key has every suffix."""
    return ObjectInfo(fork="test", key=f"orders/{number:026}.ndjson{stage.suffix}", events=100)


async def run(stage: ObjectStage[Settings], info: ObjectInfo, body: bytes) -> Payload:
    """Prepare and render one object, the latter in a worker thread."""
    step: object = await stage.prepare(info)
    if not callable(step):
        raise BrokenRuleError(f"prepare returns {type(step).__name__}, where a function from Payload to Payload is due")
    return await asyncio.to_thread(_made, step, body)


async def _prepare(stage: ObjectStage[Settings], info: ObjectInfo) -> object:
    return await stage.prepare(info)


def _made(step: Callable[[Payload], Payload], body: bytes) -> Payload:
    made: object = step(Payload(body, "application/x-ndjson", {"fork": "test"}))
    if not isinstance(made, Payload):
        raise BrokenRuleError(f"the prepared step gives {type(made).__name__}, where a Payload is due")
    return made


def _blocking_calls_of(step: Callable[[Payload], Payload], body: bytes) -> list[str]:
    with blocking_calls() as found:
        _made(step, body)
    return found


async def _require_failure(plugin: ObjectStage[Settings] | None, kind: type[DeliveryError]) -> None:
    if plugin is None:
        return
    error: Exception | None = None
    try:
        async with plugin:
            await run(plugin, about(plugin, 1), _PLAIN)
    except Exception as raised:  # noqa: BLE001  # judged below
        error = raised
    require_kind((), error, kind)
