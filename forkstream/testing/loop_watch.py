"""What a plugin does to the loop that all forks share: blocking calls by audit events, and CPU time turn by turn."""

from __future__ import annotations

import asyncio
import selectors
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from socket import socket
from types import FrameType
from typing import TypeAlias

_Hook: TypeAlias = Callable[[str, tuple[object, ...]], None]

_OTHERS = frozenset({
    "open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.link", "os.symlink", "os.truncate",
    "subprocess.Popen", "os.system", "os.posix_spawn", "sqlite3.connect", "fcntl.flock", "fcntl.lockf",
    "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr",
})  # fmt: skip
_WIRES = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
"""Harmless on a socket that does not block."""
_BLOCKING_SOCKET_CALLS = frozenset({"connect", "accept", "recv", "recv_into", "recvfrom", "send", "sendall", "sendto"})
_LIBRARY = sysconfig.get_path("stdlib")
_EXEMPT = ("<frozen importlib", "linecache.py")
"""A first import and a traceback read files once, which is no plugin's doing."""


class _Listeners(threading.local):
    """Who listens to the audit events of this thread."""

    hook: _Hook | None = None


@cache
def _listeners() -> _Listeners:
    """Add the one audit hook: Python never takes one away, so it is added when first needed and passes on from then."""
    listeners = _Listeners()

    def hear(event: str, args: tuple[object, ...]) -> None:
        if listeners.hook is not None:
            listeners.hook(event, args)

    sys.addaudithook(hear)
    return listeners


class _Watch:
    """Notes what blocks, by Python's audit events and, where there is none, by calls of C functions."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        """Take an audit event, see Python's "Audit events table"."""
        if event in _WIRES and isinstance(args[0], socket):
            if args[0].gettimeout() == 0:
                return
        elif event not in _OTHERS or (event == "open" and isinstance(args[0], int)):  # a descriptor is open already
            return
        self._note(event, sys._getframe(2))  # noqa: SLF001  # the one way to see who calls

    def see(self, frame: FrameType, event: str, function: object) -> None:
        """Take a call as ``sys.setprofile`` reports it: by whatever name it was imported."""
        if event != "c_call":
            return
        if function is time.sleep:  # it has no audit event before Python 3.13
            self._note("time.sleep", frame)
            return
        name, owner = getattr(function, "__name__", ""), getattr(function, "__self__", None)
        if name in _BLOCKING_SOCKET_CALLS and isinstance(owner, socket) and owner.gettimeout() != 0:
            self._note(f"socket.{name}", frame)

    def _note(self, called: str, frame: FrameType | None) -> None:
        place = _place(frame)
        if place:
            self.found.append(f"{called} at {place}")


@contextmanager
def blocking_calls() -> Iterator[list[str]]:
    """List what this thread does in the block that can hold it up: sleep, files, names, blocking sockets, processes.

    Each line says what was called and from where. It does not measure time, so a busy machine changes nothing. What a
    library in C does on its own account (a database file, a DNS query of its own) is out of its sight.
    """
    watch = _Watch()
    listeners = _listeners()
    before, profile = listeners.hook, sys.getprofile()
    listeners.hook = watch.hear
    sys.setprofile(watch.see)
    try:
        yield watch.found
    finally:
        sys.setprofile(profile)
        listeners.hook = before


def _place(frame: FrameType | None) -> str:
    """Say where the call comes from: the nearest line that is not of Python's own library. Empty for what is exempt."""
    nearest = place = ""
    while frame is not None:
        code = frame.f_code
        if any(part in code.co_filename for part in _EXEMPT):
            return ""
        here = f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"
        nearest = nearest or here
        if not place and (not code.co_filename.startswith(_LIBRARY) or "site-packages" in code.co_filename):
            place = here
        frame = frame.f_back
    return place or nearest


class WatchedLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that knows how long it was kept from its other work: ``longest_turn``, seconds of its thread's CPU.

    A turn is what runs between two looks at the sockets. CPU time of the thread, not of the clock on the wall: neither
    waiting nor a busy machine counts.
    """

    def __init__(self) -> None:
        self._longest = 0.0
        self._woken = time.thread_time()
        super().__init__(_NotingSelector(self._turned, self._wake))

    def forget(self) -> None:
        """Start anew: what was measured until now does not count, the turn under way from now on."""
        self._longest = 0.0
        self._wake()

    @property
    def longest_turn(self) -> float:
        """The longest since the start or the last ``forget``, the one under way included."""
        return max(self._longest, time.thread_time() - self._woken)

    def _turned(self) -> None:
        self._longest = self.longest_turn

    def _wake(self) -> None:
        self._woken = time.thread_time()


class _NotingSelector(selectors.DefaultSelector):
    def __init__(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        super().__init__()
        self._before = before
        self._after = after

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._before()
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        self._after()
        return ready
