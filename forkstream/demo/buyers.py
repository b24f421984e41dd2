"""Buyers: orders posted to the shop's API at a steady rate."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

_AT_ONCE = 16
_TRIES = 3


class Buyers:
    """Posts orders to ``url``, ``rate`` a second; ``accepted`` counts those that the API took."""

    def __init__(self, url: str, rate: float) -> None:
        self._url = urlsplit(url)
        self._rate = rate
        self._connections = threading.local()
        self.accepted = 0
        self._counting = threading.Lock()

    def post(self, order: bytes) -> int:
        """Post one order; returns the status of the answer."""
        for attempt in range(1, _TRIES + 1):
            connection = self._connection(anew=attempt > 1)
            try:
                connection.request("POST", self._url.path, order, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                if attempt == _TRIES:
                    raise
                continue
            if answer.status < 300:
                with self._counting:
                    self.accepted += 1
            return answer.status
        raise AssertionError("not reached")

    def post_all(self, orders: Sequence[bytes], between: Callable[[], None] = lambda: None) -> None:
        """Post orders at the rate; ``between`` is called in this thread now and then meanwhile."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            posts = []
            for order in self._paced(orders):
                posts.append(pool.submit(self.post, order))
                between()
            refused = [status for status in (post.result() for post in posts) if status >= 300]
        if refused:
            raise RuntimeError(f"the API refused {len(refused)} orders, the first with status {refused[0]}")

    def _paced(self, orders: Sequence[bytes]) -> Iterator[bytes]:
        started = time.monotonic()
        for number, order in enumerate(orders):
            time.sleep(max(0.0, started + number / self._rate - time.monotonic()))
            yield order

    def _connection(self, *, anew: bool) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._connections, "one", None)
        if connection is None or anew:
            if connection:
                connection.close()
            connection = http.client.HTTPConnection(self._url.hostname or "127.0.0.1", self._url.port, timeout=60)
            self._connections.one = connection
        return connection
