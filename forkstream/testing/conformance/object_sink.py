"""The conformance suite of object sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

import pytest

from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError
from forkstream.ports import ObjectSink, Payload
from forkstream.settings import Settings
from forkstream.testing.cancellation import TURNS, cancel_after
from forkstream.testing.conformance.checks import (
    forget_turns,
    longest_turn,
    require_kind,
    require_stable_code,
)
from forkstream.testing.conformance.sink import SinkConformance
from forkstream.testing.loop_watch import blocking_calls
from forkstream.testing.make_events import ODD_BODIES
from forkstream.testing.name_of import name_of
from forkstream.testing.rule import require, rule

ODD_KEYS = ("plain.ndjson", "a/b/c.ndjson.zst", "dt=2026-01-31/é 100% + &?.ndjson", "x" * 200 + ".ndjson")
"""Keys as prefixes and suffixes make them, the longest within the 255 bytes that file systems take for a name."""


class ObjectSinkConformance(SinkConformance[ObjectSink[Settings]]):
    """Every rule that an object sink keeps. See :class:`PluginConformance` for how to use it; here you also say what is stored."""

    def stored(self) -> Mapping[str, bytes]:
        """Look into the destination, not into the plugin: the objects that are there, by their key."""
        pytest.skip("not tried: write stored(), or nothing can tell whether an object was lost")

    def refused_key(self) -> str | None:
        """Name a key that the destination never takes, such as one that is too long; None if it takes every key."""
        pytest.skip("not tried: write refused_key(), or let it return None if the sink takes every key")

    @rule
    async def test_an_object_is_stored_under_its_key(self) -> None:
        """The bytes are durable when ``put`` returns, under that very key."""
        async with self.opened() as sink:
            for key in ODD_KEYS:
                await sink.put(key, payload(key.encode()), attempt=1)
                self._require_stored(key, payload(key.encode()))

    @rule
    async def test_odd_payloads_are_stored_as_they_are(self) -> None:
        """Bytes are bytes: empty, binary, 1 MiB and 6 MiB."""
        async with self.opened() as sink:
            for number, body in enumerate([*ODD_BODIES.values(), bytes(range(256)) * 4096 * 6]):
                await sink.put(f"odd/{number}", payload(body), attempt=1)
                self._require_stored(f"odd/{number}", payload(body))

    @rule
    async def test_a_repeated_put_succeeds(self) -> None:
        """From attempt 2 on an earlier answer was lost: finding the object there is success, and it is there once."""
        async with self.opened() as sink:
            for attempt in (1, 2, 3):
                await sink.put("repeated", payload(b"one"), attempt=attempt)
        self._require_stored("repeated", payload(b"one"))
        require(list(self.stored()) == ["repeated"], f"a repeated put leaves {len(self.stored())} objects")

    @rule
    async def test_a_cancelled_put_leaves_all_or_nothing(self) -> None:
        """Wherever ``write_timeout`` cancels it: never a part of an object under its key."""
        body = payload(b"0123456789" * 1000)
        async with self.opened() as sink:
            for turns in TURNS:
                key = f"cancelled/{turns}"
                done = await cancel_after(turns, partial(sink.put, key, body, attempt=1))
                found = self.stored().get(key)
                require(found in (None, body.data), "a cancelled put leaves a part of an object")
                require(found is not None or not done.finished, "a cancelled put returns, and nothing is there")

    @rule
    async def test_a_cancelled_put_can_be_repeated(self) -> None:
        """After a cancellation the same key comes again with the same payload, as attempt 2, to the same plugin."""
        body = payload(b"0123456789" * 1000)
        async with self.opened() as sink:
            for turns in TURNS:
                key = f"repeated/{turns}"
                await cancel_after(turns, partial(sink.put, key, body, attempt=1))
                await sink.put(key, body, attempt=2)
                self._require_stored(key, body)

    @rule
    async def test_objects_put_at_once_do_not_mix(self) -> None:
        """Several puts are under way at once, on one plugin."""
        bodies = {f"at-once/{number}": payload(bytes([number]) * 10_000) for number in range(8)}
        async with self.opened() as sink:
            await asyncio.gather(*(sink.put(key, body, attempt=1) for key, body in bodies.items()))
        for key, body in bodies.items():
            self._require_stored(key, body)

    @rule
    async def test_a_refused_key_is_permanent(self) -> None:
        """It is about this object: PermanentError, with a code that quotes nothing of the key."""
        key = self.refused_key()
        if key is None:
            return
        async with self.opened() as sink:
            try:
                await sink.put(key, payload(b"x"), attempt=1)
            except PermanentError as error:
                require_stable_code(error.code)
            except Exception as error:  # noqa: BLE001  # any other kind is the finding
                require(None, f"{name_of(error)} where PermanentError is due")
            else:
                require(None, "a key that cannot be is taken")

    @rule
    async def test_a_destination_out_of_reach_is_transient(self) -> None:
        """A lost connection, a throttle, a time-out: TransientError. It is tried again."""
        await _require_failure(self.unreachable(), TransientError)

    @rule
    async def test_an_unusable_destination_is_unavailable(self) -> None:
        """A missing bucket, a full disk, a denied permission: UnavailableError. The fork halts, and no event is blamed."""
        await _require_failure(self.unusable(), UnavailableError)

    @rule
    async def test_putting_calls_nothing_that_blocks(self) -> None:
        """No sleep, no file, no blocking socket in the loop's thread: files belong into ``anyio.to_thread``."""
        async with self.opened() as sink:
            await sink.put("first", payload(b"x"), attempt=1)  # what is read once does not count
            with blocking_calls() as found:
                await sink.put("second", payload(b"x"), attempt=1)
        require(not found, f"put holds up every fork: {'; '.join(found)}")

    @rule
    async def test_putting_leaves_the_loop_to_others(self) -> None:
        """5 MiB keep the loop for ``turn_cpu`` seconds of CPU at a time, at most."""
        async with self.opened() as sink:
            await sink.put("first", payload(b"x"), attempt=1)
            body = payload(bytes(5 * 2**20))
            forget_turns()
            await sink.put("large", body, attempt=1)
            took = longest_turn()
        require(took <= self.turn_cpu, f"put keeps the loop for {took:.2f} s of CPU, {self.turn_cpu} s is the most")

    def _require_stored(self, key: str, body: Payload) -> None:
        found = self.stored().get(key)
        require(found is not None, f"nothing is there under the key {key!r}")
        require(found == body.data, f"the object at {key!r} is not what was put there")


def payload(data: bytes) -> Payload:
    """Make a payload as the format renders it."""
    return Payload(data, "application/x-ndjson", {"fork": "test", "events": "1"})


async def _require_failure(plugin: ObjectSink[Settings] | None, kind: type[DeliveryError]) -> None:
    if plugin is None:
        return
    error: Exception | None = None
    try:
        async with plugin:
            await plugin.put("key.ndjson", payload(b"x"), attempt=1)
    except Exception as raised:  # noqa: BLE001  # judged below
        error = raised
    require_kind((), error, kind)
