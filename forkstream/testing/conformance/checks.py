"""What several suites require alike."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection

from forkstream.errors import DeliveryError, TransientError
from forkstream.event import Event, Failure, FailureKind, encode_json
from forkstream.testing.loop_watch import WatchedLoop
from forkstream.testing.name_of import name_of
from forkstream.testing.rule import require

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NUMBER = re.compile(r"[0-9]{4}")


def require_kind(failures: Collection[Failure], error: Exception | None, kind: type[DeliveryError]) -> None:
    """Require that a call on a failing destination failed as ``kind``: raised, or for transient ones named event by event."""
    if error is not None:
        require(isinstance(error, kind), f"{name_of(error)} where {kind.__name__} is due")
        return
    transient = kind is TransientError and failures and all(one.kind is FailureKind.TRANSIENT for one in failures)
    require(transient, f"no {kind.__name__}, though the destination fails")


def require_stable_code(code: str) -> None:
    """Require that a code can label a metric: snake_case without a number, which would be the event's."""
    require(_CODE.fullmatch(code), f"the code {code!r} is not short snake_case")
    require(not _NUMBER.search(code), f"the code {code!r} quotes the event: values belong into `detail`")


def longest_turn() -> float:
    """Tell the longest turn of the rule's loop since ``forget_turns``."""
    loop = asyncio.get_running_loop()
    return loop.longest_turn if isinstance(loop, WatchedLoop) else 0.0


def forget_turns() -> None:
    """Measure the loop's turns anew."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, WatchedLoop):
        loop.forget()


def picture(event: Event) -> tuple[object, ...]:
    """Take a picture of all that a plugin must leave as it was, the decoded body too."""
    try:
        data: bytes | None = encode_json(event.data)
    except (DeliveryError, ValueError, RecursionError):
        data = None
    return event.body, data, dict(event.attributes), event.target, event.id, event.sent_at, event.group
