"""The conformance suites over the built-ins that need no service."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from forkstream.aws.data_keys import DataKeys
from forkstream.aws.key_file import KeyFile
from forkstream.event import Event, Json
from forkstream.ports import Context, ObjectInfo, ObjectStage, Payload, Source
from forkstream.reading import open_object
from forkstream.settings import Settings
from forkstream.sinks.blackhole import BlackholeConfig, BlackholeSink
from forkstream.sinks.file import FileConfig, FileSink
from forkstream.sinks.stdout import StdoutConfig, StdoutSink
from forkstream.sources.memory import MemoryConfig, MemorySource
from forkstream.stages.codec import Algorithm
from forkstream.stages.compress import Compress, CompressConfig
from forkstream.stages.encrypt import Encrypt, EncryptConfig
from forkstream.stages.index import Index, IndexConfig
from forkstream.stages.sanitize import AttributeRules, DetectRules, Sanitize, SanitizeConfig
from forkstream.testing.conformance import (
    EventSinkConformance,
    EventStageConformance,
    ObjectSinkConformance,
    ObjectStageConformance,
    SourceConformance,
)
from forkstream.testing.make_events import make_events

CONTEXT = Context(fork="test")


class TestFileSink(ObjectSinkConformance):
    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self.root = tmp_path / "objects"
        self.blocked = tmp_path / "a-file"
        self.blocked.write_bytes(b"")

    def plugin(self) -> FileSink:
        return FileSink(FileConfig(directory=str(self.root), prefix="dt=%Y/{name}/"), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"directory": ""}, {"directory": "x", "prefix": "{"}, {"directories": "x"}]

    def unreachable(self) -> None:
        return None

    def unusable(self) -> FileSink:
        return FileSink(FileConfig(directory=str(self.blocked / "below")), CONTEXT)

    def refused_key(self) -> str:
        return "../outside"

    def stored(self) -> Mapping[str, bytes]:
        files = [path for path in self.root.rglob("*") if path.is_file() and not path.name.startswith(".")]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}


class TestStdoutSink(EventSinkConformance):
    idempotent = False

    @pytest.fixture(autouse=True)
    def output(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self.captured = capfdbinary
        self.printed = b""

    def plugin(self) -> StdoutSink:
        return StdoutSink(StdoutConfig(), CONTEXT)

    def unreachable(self) -> None:
        return None

    def unusable(self) -> None:
        return None

    def refused_event(self) -> None:
        return None

    def stored(self) -> Iterable[str]:
        self.printed += self.captured.readouterr().out
        for line in self.printed.splitlines():
            if line.startswith(b'{"id":') and line.endswith(b".5}"):
                yield str(json.loads(line)["id"])


class TestBlackholeSink(EventSinkConformance):
    def plugin(self) -> BlackholeSink:
        return BlackholeSink(BlackholeConfig(), CONTEXT)

    def unreachable(self) -> None:
        return None

    def unusable(self) -> None:
        return None

    def refused_event(self) -> None:
        return None

    def stored(self) -> Iterable[str]:
        """Nothing is, on purpose."""
        pytest.skip("what goes in there is gone")


class TestMemorySource(SourceConformance):
    short_hold = 0.02

    def plugin(self) -> MemorySource:
        return MemorySource(MemoryConfig(), CONTEXT)

    def send(self, plugin: Source[Settings], events: Sequence[Event]) -> None:
        assert isinstance(plugin, MemorySource)
        plugin.put(events)

    def unreachable(self) -> None:
        return None

    def unusable(self) -> None:
        return None


class TestOrderedMemorySource(TestMemorySource):
    def plugin(self) -> MemorySource:
        return MemorySource(MemoryConfig(ordered=True), CONTEXT)


class LocalStage(EventStageConformance):
    """A stage that asks nobody."""

    def unreachable(self) -> None:
        return None

    def unusable(self) -> None:
        return None

    def refused_event(self) -> Event:
        (event,) = make_events(1, start=4_711)
        return event.with_(body=b"[4711]")


class TestSanitize(LocalStage):
    turn_cpu = 1.0  # every string of 1 MiB is searched, under coverage too

    def plugin(self) -> Sanitize:
        config = SanitizeConfig(
            drop=("payment.card-*",), mask=("name",), detect=DetectRules(card_numbers="mask", emails="drop"),
            attributes=AttributeRules(drop=("secret-*",)),
        )  # fmt: skip
        return Sanitize(config, CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{"drop": ["a..b"]}, {"drop": "a"}, {}]


class TestIndex(LocalStage):
    def plugin(self) -> Index:
        return Index(IndexConfig(name="orders", rotation="month", id=("id",), version="id"), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"name": "Orders"}, {"name": "orders", "rotation": "year"}, {"name": "orders", "id": []}]


class LocalObjectStage(ObjectStageConformance):
    """An object stage that asks nobody; what it made is read by forkstream's reader, which goes by the suffixes."""

    def unreachable(self) -> None:
        return None

    def unusable(self) -> ObjectStage[Settings] | None:
        return None

    keys: tuple[DataKeys, ...] = ()

    async def undo(self, payload: Payload, about: ObjectInfo) -> bytes:
        async with AsyncExitStack() as stack:
            keys = [await stack.enter_async_context(key) for key in self.keys]
            return (await open_object(about.key, payload.data, keys))[1]


class TestCompressWithZstd(LocalObjectStage):
    algorithm: Algorithm = "zstd"

    def plugin(self) -> Compress:
        return Compress(CompressConfig(algorithm=self.algorithm), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{"algorithm": "rar"}, {"level": 99}, {"algorithm": "snappy", "level": 1}, {"level": "high"}]


class TestCompressWithGzip(TestCompressWithZstd):
    algorithm = "gzip"


class TestCompressWithSnappy(TestCompressWithZstd):
    algorithm = "snappy"


class TestCompressWithZip(TestCompressWithZstd):
    algorithm = "zip"


class TestCompressWithNone(TestCompressWithZstd):
    algorithm = "none"


class TestEncryptWithKeyFile(LocalObjectStage):
    @pytest.fixture(autouse=True)
    def key_file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "backup.key"
        self.path.write_bytes(bytes(range(32)))
        self.missing = tmp_path / "missing.key"
        self.keys = (KeyFile(self.path),)

    def plugin(self) -> Encrypt:
        return Encrypt(EncryptConfig(key_file=self.path), CONTEXT)

    def unusable(self) -> Encrypt:
        return Encrypt(EncryptConfig(key_file=self.missing), CONTEXT)

    def wrong_settings(self) -> Sequence[Mapping[str, Json]]:
        return [{}, {"key_file": "x", "kms_key": "y"}, {"key_file": "x", "data_key_cache": {}}]
