"""Buyers against an API that does as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from forkstream.demo.buyers import Buyers, Posting
from forkstream.errors import CommandError

ORDERS = [b"order %d" % number for number in range(20)]


class Api(ThreadingHTTPServer):
    """Takes orders; answers ``status``, or hangs up on the first request of each order in ``flaky``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 201
        self.flaky: set[bytes] = set()
        self.taken: list[bytes] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/checkout"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def do_POST(self) -> None:
        order = self.rfile.read(int(self.headers["content-length"]))
        with self.server.lock:
            if order in self.server.flaky:
                self.server.flaky.discard(order)
                self.close_connection = True
                return
            if self.server.status < 300:
                self.server.taken.append(order)
        self.send_response(self.server.status)
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"told")

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def finish(posting: Posting) -> None:
    deadline = time.monotonic() + 60
    while not posting.done:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_order_is_posted_once() -> None:
    with api() as server:
        with Buyers(server.url, 1000).posting(ORDERS) as posting:
            finish(posting)
        assert posting.accepted == len(ORDERS)
        assert sorted(server.taken) == sorted(ORDERS)


def test_an_order_whose_connection_broke_is_posted_again() -> None:
    with api() as server:
        server.flaky = set(ORDERS[:5])
        with Buyers(server.url, 1000).posting(ORDERS) as posting:
            finish(posting)
        assert sorted(server.taken) == sorted(ORDERS)


def test_an_api_that_takes_no_order_is_an_error_that_says_why() -> None:
    with api() as server:
        server.status = 502
        with (
            pytest.raises(CommandError, match="the API did not take an order: status 502, told"),
            Buyers(server.url, 1000).posting(ORDERS) as posting,
        ):
            finish(posting)


def test_an_api_that_is_not_there_is_an_error_too() -> None:
    with api() as server:
        url = server.url
    with (
        pytest.raises(CommandError, match="the API did not take an order: ConnectionRefusedError"),
        Buyers(url, 1000).posting(ORDERS) as posting,
    ):
        finish(posting)


def test_who_leaves_early_leaves_the_rest_unposted() -> None:
    with api() as server:
        with Buyers(server.url, 0.001).posting(ORDERS) as posting:  # the second is due in a quarter of an hour
            deadline = time.monotonic() + 60
            while not posting.accepted:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finish(posting)
        assert server.taken == ORDERS[:1]
