"""What SQS does not say of an entry does not count as done."""

from __future__ import annotations

from typing import Any, cast

from forkstream.aws.native_queue import NativeQueueClient
from forkstream.aws.queue import OutgoingMessage
from forkstream.testing.clock import run_on_fake_clock


class _Service:
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def ask(self, *_: Any, **__: Any) -> bytes:
        return self._answer


def test_an_entry_that_the_answer_does_not_name_is_not_sent() -> None:
    async def failed(answer: bytes) -> list[int]:
        client = NativeQueueClient(
            "q", "https://q", cast("Any", _Service(answer)), cast("Any", None), cast("Any", None)
        )
        refused = await client.send_batch([OutgoingMessage(body="x", attributes={}) for _ in range(3)])
        return sorted(one.position for one in refused)

    async def main() -> None:
        assert await failed(b"{}") == [0, 1, 2]
        assert await failed(b'{"Successful":[{"Id":"0"},{"Id":"2"}]}') == [1]
        assert await failed(b'{"Successful":[{"Id":"0"},{"Id":"2"}],"Failed":[{"Id":"1","Code":"InternalError"}]}') == [
            1
        ]
        assert await failed(b'{"Successful":[{"Id":"0"},{"Id":"1"},{"Id":"2"}]}') == []

    run_on_fake_clock(main)
