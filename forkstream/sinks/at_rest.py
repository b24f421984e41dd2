"""How an object's content is kept: what a sink of objects warns of."""

from __future__ import annotations

from collections.abc import Iterator

from forkstream.ports import Advice, ObjectStage, Surroundings

_ATHENA_READS = ("", ".gz", ".bz2", ".zst")
"""Suffixes of text that Athena decompresses by name, see "Athena compression support"; snappy only as Hadoop frames it."""


def in_the_clear(fork: Surroundings, *, found: str, do: str) -> Iterator[Advice]:
    """Warn that what was worth sanitizing is stored so that whoever reads the place reads it."""
    if fork.sanitized and not fork.encrypted:
        yield Advice(
            code="sanitized_in_the_clear",
            found=found,
            why="events here are delicate enough to be sanitized, and whoever may read the place reads what is left of them",
            do=do,
        )


def unreadable_for_athena(fork: Surroundings, *, setting: str) -> Iterator[Advice]:
    """Warn of each stage, and of a format, that Athena cannot see through; ``setting`` is the one that wants Athena."""
    causes = []
    for stage in fork.before:
        if isinstance(stage, ObjectStage) and stage.encrypts:
            causes.append(("encrypted on this side", "leave the stage out and let S3 encrypt: sse: {kms_key: …}"))
        elif isinstance(stage, ObjectStage) and stage.suffix not in _ATHENA_READS:
            causes.append((f"{stage.suffix} objects", "compress with zstd or gzip"))
    if fork.format == "json":
        causes.append(("one JSON array an object", "take the format ndjson, a line an event"))
    for what, instead in causes:
        yield Advice(
            code="not_for_athena",
            found=f"{setting} wants objects for Athena, found {what}",
            why="Athena finds no rows in them, or fails",
            do=f"{instead}; or say {setting}: false",
            setting=setting,
        )
