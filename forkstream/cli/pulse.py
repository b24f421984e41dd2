"""The work of ``forkstream health``, without the command line's imports: a container asks every few seconds."""

from __future__ import annotations

import os

import msgspec

from forkstream.cli.admin_client import AdminClient, url_in
from forkstream.errors import CommandError


class _Answer(msgspec.Struct):
    reasons: dict[str, str]


def pulse(admin: str | None = None) -> int:
    """Ask a service whether a restart would help it, and print a line; returns 0 if not, 1 if so or if nobody answers."""
    try:
        status, body = AdminClient(admin or url_in(os.environ)).ask("GET", "/health")
    except CommandError as error:
        print(error)
        return 1
    print("healthy" if status == 200 else _reasons(status, body))
    return 0 if status == 200 else 1


def _reasons(status: int, body: bytes) -> str:
    try:
        reasons = msgspec.json.decode(body, type=_Answer).reasons
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"unhealthy: HTTP {status}"
    return "unhealthy: " + (", ".join(f"{fork} {reason}" for fork, reason in reasons.items()) or "the service itself")
