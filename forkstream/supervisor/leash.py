"""A process that never outlives the one that started it, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # prctl(2)


def bind_to(parent: int, pipe: int) -> None:
    """End this process by SIGKILL as soon as ``parent`` has ended or closes its end of ``pipe``.

    On Linux the kernel does it, even while this process is stuck; everywhere a thread waits for the end of the pipe.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended before the kernel knew
            _end()
    threading.Thread(target=_follow, args=(pipe, _end), name="leash", daemon=True).start()


def _follow(pipe: int, end: Callable[[], None]) -> None:
    while os.read(pipe, 4096):
        pass
    end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
