"""The compress stage: an object's bytes made smaller, in a format that stock tools read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from forkstream.ports import Context, ObjectInfo, ObjectStage, Payload
from forkstream.settings import Settings
from forkstream.stages.codec import Algorithm, codec


class CompressConfig(Settings):
    """How objects are compressed."""

    algorithm: Annotated[
        Algorithm,
        Meta(
            description="zstd (.zst), gzip (.gz), snappy in its framing format (.sz), zip of one file (.zip), or none"
        ),
    ] = "zstd"
    level: Annotated[
        int | None,
        Meta(
            description="higher is smaller and slower: zstd 1 to 22, usually 3; gzip 1 to 9, usually 2; "
            "zip 1 to 9, usually 6; snappy and none have no levels"
        ),
    ] = None


class Compress(ObjectStage[CompressConfig]):
    """Compress each object.

    The suffix of the key says how. There is no ``Content-Encoding``: a client that honours it would store the object
    decompressed under a name that says it is not, and one that compresses by name would do it twice.
    """

    compresses: ClassVar[bool] = True
    """Tells the config that this stage is of no use after one that encrypts."""

    def __init__(self, config: CompressConfig, context: Context) -> None:
        super().__init__(config, context)
        self._codec = codec(config.algorithm)
        self._level = self._checked_level()

    def _checked_level(self) -> int:
        levels = self._codec.levels if self._codec else None
        level = self.config.level
        if levels is None:
            if level is not None:
                raise ValueError(f"level: {self.config.algorithm} has no levels; leave it out, found {level}")
            return 0
        least, usual, most = levels
        if level is not None and not least <= level <= most:
            raise ValueError(f"level: {self.config.algorithm} takes {least} to {most}, found {level}")
        return usual if level is None else level

    @property
    def suffix(self) -> str:
        """The suffix that the algorithm's own tools use; none without compression."""
        return self._codec.suffix if self._codec else ""

    async def prepare(self, about: ObjectInfo) -> Callable[[Payload], Payload]:
        """Nothing to fetch: return what compresses one payload."""
        name = self._inner_name(about.key)

        def compress(payload: Payload) -> Payload:
            if self._codec is None:
                return payload
            data = self._codec.compress(payload.data, self._level, name)
            return msgspec.structs.replace(payload, data=data, content_type=self._codec.content_type)

        return compress

    def _inner_name(self, key: str) -> str:
        """Name the file within an archive: the key's last part as it was before this stage and those after it."""
        name = key.rpartition("/")[2]
        return name.rpartition(self.suffix)[0] or name if self.suffix else name
