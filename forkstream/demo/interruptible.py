"""Work that a signal ends in order, with all the time that its end needs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_AGAIN_SECONDS = 2.0


class Interrupted(KeyboardInterrupt):
    """A signal has come, of this ``number``. Not a plain KeyboardInterrupt: CPython ends on that by SIGINT, even if it was caught."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def hold_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP wait until :func:`interruptible`: some extension modules abort when they are imported."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise :class:`Interrupted` in the block for SIGINT, SIGTERM and SIGHUP. Once it has ended they are ignored.

    So nothing cuts short what ends the block's work, which has to be short itself.
    """
    told: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        told.append(number)
        # it comes again: a destructor or an extension module may swallow an exception
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        raise Interrupted(told[0])

    signal.signal(signal.SIGALRM, interrupt)
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish
            signal.signal(number, interrupt)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        yield
    except Exception:
        if told:  # something made an error of its own of the interrupt
            raise Interrupted(told[0]) from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (*_SIGNALS, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
