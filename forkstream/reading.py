"""Reading objects back: what formats and object stages did, undone by what the object's key says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio.from_thread
import anyio.to_thread
import msgspec

from forkstream.aws.data_keys import KEY_ENTRY, DataKeys, WrappedKey
from forkstream.aws.encrypted_message import SUFFIX, decrypt
from forkstream.envelope import Envelope
from forkstream.errors import PermanentError, UnavailableError, UndecodableError
from forkstream.event import Event
from forkstream.stages.codec import decompress


async def read_object(key: str, data: bytes, keys: Sequence[DataKeys] = (), *, stored_at: float = 0.0) -> list[Event]:
    """Read the events of an object, in their order.

    Enveloped events come back whole, byte for byte. Of others the object knows only the bodies: their id is the
    object's key and their number in it, from 1 (``orders/01J….ndjson.zst#1``), the same at every reading, and
    ``stored_at`` is taken for the time they were sent. Raises as :func:`open_object` does.
    """
    name, content = await open_object(key, data, keys)
    return await anyio.to_thread.run_sync(_events, key, name, content, stored_at)


async def open_object(key: str, data: bytes, keys: Sequence[DataKeys] = ()) -> tuple[str, bytes]:
    """Decrypt and decompress an object as its suffixes say; give the key without them, and the content.

    ``keys`` are open sources of data keys, tried in turn. The work is done in a worker thread. Raises
    :class:`~forkstream.errors.PermanentError` for an object that is damaged, tampered with or under another object's
    name, :class:`~forkstream.errors.UnavailableError` where no key fits or one cannot be used, and
    :class:`~forkstream.errors.TransientError`.
    """

    def unwrap(wrapped: Sequence[WrappedKey], context: Mapping[str, str]) -> bytes:
        return anyio.from_thread.run(_unwrap, keys, key, wrapped, context)

    name = key
    while True:
        stem, dot, ending = name.rpartition(".")
        if dot + ending == SUFFIX:
            data = await anyio.to_thread.run_sync(decrypt, data, unwrap)
        else:
            plain = await anyio.to_thread.run_sync(decompress, data, dot + ending)
            if plain is None:
                return name, data
            data = plain
        name = stem


async def _unwrap(
    keys: Sequence[DataKeys], key: str, wrapped: Sequence[WrappedKey], context: Mapping[str, str]
) -> bytes:
    # Only an object's last name is compared: a copy of an archive under another prefix is still read, but one object
    # put in another's place is not.
    bound = context.get(KEY_ENTRY, key)
    if _last(bound) != _last(key):
        raise PermanentError("misplaced_object", f"{key} was encrypted as {bound}")
    for source in keys:
        plaintext = await source.unwrap(wrapped, context)
        if plaintext is not None:
            return plaintext
    names = ", ".join(f"{one.provider} {one.name.decode(errors='replace')}" for one in wrapped)
    raise UnavailableError("missing_key", f"{key} takes the key {names}")


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _events(key: str, name: str, content: bytes, stored_at: float) -> list[Event]:
    stem, _, form = name.rpartition(".")
    try:
        if form == "ndjson":
            items = [line for line in content.split(b"\n") if line]
        elif form == "json":
            items = [bytes(item) for item in msgspec.json.decode(content, type=list[msgspec.Raw])]
        else:
            raise PermanentError("unknown_suffix", f"{key}: expected .ndjson or .json, found .{form}")
        if stem.endswith(".envelope"):
            return [msgspec.json.decode(item, type=Envelope).event() for item in items]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UndecodableError("damaged_object", f"{key}: {error}") from None
    return [Event(item, id=f"{key}#{number}", sent_at=stored_at) for number, item in enumerate(items, start=1)]
