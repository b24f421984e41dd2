"""A claim is an object that only one can create, whatever its sink makes of finding one there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from forkstream import Context, ObjectSink, Payload, PermanentError, Settings
from forkstream.dlq.shelf import Listed, Shelf, fixed_start


class Credulous(ObjectSink[Settings]):
    """Takes what it finds for its own, as a sink may whose store keeps no checksum; or says that it is another's."""

    def __init__(self, *, telling: bool) -> None:
        super().__init__(Settings(), Context(fork="f"))
        self.telling = telling
        self.objects: dict[str, bytes] = {}

    async def put(self, key: str, payload: Payload, *, attempt: int) -> None:
        if self.objects.setdefault(key, payload.data) != payload.data and self.telling:
            raise PermanentError("key_taken")
        if key == "refused":
            raise PermanentError("key_too_long")


class Seen(Shelf):
    name = "seen"

    def __init__(self, sink: Credulous) -> None:
        super().__init__(sink, "")
        self.sink = sink

    async def listed(self) -> AsyncIterator[Listed]:
        for key in self.sink.objects:
            yield Listed(key, 0.0)

    async def get(self, key: str) -> bytes:
        return self.sink.objects[key]


@pytest.mark.parametrize("telling", [True, False])
async def test_only_the_first_creates_it_and_may_say_so_again(telling: bool) -> None:
    shelf = Seen(Credulous(telling=telling))
    assert await shelf.create("key", b"mine")
    assert not await shelf.create("key", b"your")
    assert await shelf.create("key", b"mine")


async def test_what_else_goes_wrong_is_no_claim_of_anybodys() -> None:
    with pytest.raises(PermanentError, match="key_too_long"):
        await Seen(Credulous(telling=True)).create("refused", b"mine")


@pytest.mark.parametrize(
    ("prefix", "start"),
    [("", ""), ("dead/", "dead/"), ("dead/%Y/x", "dead/"), ("d-{customer.id}/", "d-"), ("100%%/", "100")],
)
def test_a_prefix_starts_with_what_is_the_same_for_all_events(prefix: str, start: str) -> None:
    assert fixed_start(prefix) == start
