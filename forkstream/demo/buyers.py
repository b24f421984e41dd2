"""Buyers: orders posted to the shop's API at a steady rate."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from forkstream.errors import CommandError

_AT_ONCE = 4
"""The embedded AWS starts a process for each: on two cores 200 orders took 3.2 s with 2 at once, 3.9 with 4, 4.3 with 16."""
_TRIES = 3
_ANSWER_SECONDS = 60


class Buyers:
    """Posts orders to ``url``, at most ``rate`` a second."""

    def __init__(self, url: str, rate: float) -> None:
        self._url = url
        self._rate = rate

    @contextmanager
    def posting(self, orders: Sequence[bytes]) -> Iterator[Posting]:
        """Post orders while the block runs; what it leaves unposted is never posted."""
        posting = Posting(self._url, self._rate, orders)
        try:
            yield posting
        finally:
            posting.stop()


class Posting:
    """Orders on their way to the API, posted by threads: ``accepted`` counts those that it took."""

    def __init__(self, url: str, rate: float, orders: Sequence[bytes]) -> None:
        self._url = urlsplit(url)
        self._rate = rate
        self._orders = enumerate(orders)
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._troubles: list[str] = []
        self.accepted = 0
        # nobody waits for daemons: one may stand in a request when the demo is told to end
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(min(_AT_ONCE, len(orders)))]
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        """Whether every order is posted; raises :class:`CommandError` if the API did not take one."""
        if self._troubles:
            raise CommandError(f"the API did not take an order: {self._troubles[0]}")
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Post no more."""
        self._stopping.set()

    def _work(self) -> None:
        connection = http.client.HTTPConnection(self._url.netloc, timeout=_ANSWER_SECONDS)
        try:
            while order := self._next():
                status, answer = self._post(connection, order)
                if status >= 300:
                    self._give_up(f"status {status}, {answer[:200].decode(errors='replace')}")
                else:
                    with self._lock:
                        self.accepted += 1
        except (OSError, http.client.HTTPException) as error:
            self._give_up(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def _give_up(self, trouble: str) -> None:
        self._troubles.append(trouble)
        self.stop()

    def _next(self) -> bytes | None:
        with self._lock:
            number, order = next(self._orders, (0, None))
        due = self._started + number / self._rate - time.monotonic()
        return None if self._stopping.wait(max(0.0, due)) else order

    def _post(self, connection: http.client.HTTPConnection, order: bytes) -> tuple[int, bytes]:
        for attempt in range(1, _TRIES + 1):
            try:
                connection.request("POST", self._url.path, order, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()  # the next request opens it anew
                if attempt == _TRIES:
                    raise
        raise AssertionError("not reached")
