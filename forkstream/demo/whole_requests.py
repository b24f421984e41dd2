"""ministack as AWS answers: a request whose client hung up in the middle of its body has no effect.

``python -m forkstream.demo.whole_requests`` runs ministack. By itself it takes the end of a connection for the end of a
body, and stores an empty or half object where S3 refuses an IncompleteBody (seen with 1.4.21, when a client was killed).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
"""What ASGI 3 calls so."""


class _HungUp(BaseException):
    """The client is gone. No Exception: the application answers those, and has done something by then."""


def whole_requests(application: Application) -> Application:
    """Wrap an ASGI application so that it never sees the end of a request that has not come whole."""

    async def wrapped(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        whole = False

        async def received() -> Message:
            nonlocal whole
            message = await receive()
            if message["type"] == "http.disconnect" and not whole:
                raise _HungUp
            whole = whole or (message["type"] == "http.request" and not message.get("more_body", False))
            return message

        try:
            await application(scope, received, send)
        except _HungUp:
            return  # to nobody

    return wrapped


def main() -> None:
    """Run ministack, behind this."""
    from ministack import app  # type: ignore[import-untyped]  # noqa: PLC0415  # ships no types; the extra `local` brings it

    app.app = whole_requests(app.app)
    app.main()


if __name__ == "__main__":
    main()
