"""The stub: every service behind one address, told apart by what only its requests have."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from forkstream.bench.stub.arrivals import Arrivals
from forkstream.bench.stub.connection import Reply, Request, StubConnection, answer
from forkstream.bench.stub.dynamodb import DynamoDB
from forkstream.bench.stub.kms import Kms
from forkstream.bench.stub.messages import Messages
from forkstream.bench.stub.opensearch import OpenSearch
from forkstream.bench.stub.s3 import S3
from forkstream.bench.stub.sqs import Sqs
from forkstream.bench.stub.sts import ACTION, assume_role
from forkstream.bench.stub.stub_queue import StubQueue
from forkstream.bench.stub.tally import Look, Tally
from forkstream.bench.stub.weather import Climate, Fault, Weather

REGION = "eu-west-1"
LOOK, START = "/_bench/look", "/_bench/start"
_SEARCH_WORDS = ("/_bulk", "/_cluster", "/_cat", "/_index_template", "/_alias", "/_search", "/_nodes")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the stub is started. ``bodies`` names a file with one body a line."""

    port: int
    bodies: str
    rate: float | None = None
    deal: int | None = None
    """At most so many messages a receive, a random number from 1."""
    climate: Climate = Climate()
    certificate: str | None = None
    """A PEM file with certificate and key; then it speaks TLS."""


class Server:
    """Serves until it is cancelled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._weather = Weather(settings.climate)
        self._tally = Tally()
        self._queues: dict[str, StubQueue] = {}
        messages = Messages(_lines(Path(settings.bodies)))
        self._sqs = Sqs(messages, self._queue, self._weather, self._tally, REGION)
        self._dynamodb = DynamoDB(self._weather, self._tally, REGION)
        self._kms = Kms(self._tally, REGION)
        self._s3 = S3(self._tally, remembers=not self._weather.calm)
        self._opensearch = OpenSearch(self._weather, self._tally)
        self._unknown = ""

    async def run(self) -> None:
        """Listen on loopback until cancelled."""
        trust = None
        if self._settings.certificate:
            trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trust.load_cert_chain(self._settings.certificate)
        listening = await self._loop.create_server(
            lambda: StubConnection(self._serve), "127.0.0.1", self._settings.port, ssl=trust, backlog=512
        )
        async with listening:
            await listening.serve_forever()

    def _queue(self, name: str) -> StubQueue:
        queue = self._queues.get(name)
        if queue is None:
            arrivals = Arrivals(self._settings.rate)
            queue = self._queues[name] = StubQueue(arrivals, self._tally, self._settings.deal)
        return queue

    def _serve(self, request: Request, reply: Reply) -> None:
        if request.target.startswith("/_bench/"):
            reply(self._control(request))
            return
        tally = self._tally
        tally.requests += 1
        tally.bytes_in += len(request.head) + len(request.body)
        if not self._weather.calm:
            delay = self._weather.delay(sink=b"\r\nx-amz-target: amazonsqs." not in request.head)
            if delay:
                reply = self._later(reply, delay)
            fault = self._weather.fault()
            if fault is not None:
                tally.faults += 1
                if fault is Fault.LOST:
                    unheard, reply = reply, lambda _: unheard(b"")
                else:
                    reply(b"" if fault is Fault.RESET else self._strike(request, fault))
                    return
        try:
            self._dispatch(request, reply)
        except (msgspec.DecodeError, ValueError, KeyError, IndexError):
            tally.refused += 1
            self._unknown = f"{request.method.decode()} {request.target.partition('?')[0]}"
            body = b'{"__type":"com.amazon.coral.service#SerializationException"}'
            reply(answer(400, body, "Content-Type: application/x-amz-json-1.0\r\n"))

    def _dispatch(self, request: Request, reply: Reply) -> None:
        service, _, operation = request.header(b"x-amz-target").partition(".")
        refused = self._tally.refused
        match service:
            case "amazonsqs":
                self._sqs.serve(operation, request, reply)
            case "dynamodb_20120810":
                self._dynamodb.serve(operation, request, reply)
            case "trentservice":
                self._kms.serve(operation, request, reply)
            case _ if ACTION in request.body[:200]:
                assume_role(request, reply)
            case _ if _is_search(request):
                self._opensearch.serve(request, reply)
            case _:
                self._s3.serve(request, reply)
        if self._tally.refused != refused:
            self._unknown = operation or f"{request.method.decode()} {request.target.partition('?')[0]}"

    def _strike(self, request: Request, fault: Fault) -> bytes:
        service = request.header(b"x-amz-target").partition(".")[0]
        if service == "dynamodb_20120810":
            return self._dynamodb.strike(fault)
        if service:
            return self._sqs.strike(fault)
        return self._opensearch.strike(fault) if _is_search(request) else self._s3.strike(fault)

    def _later(self, reply: Reply, delay: float) -> Reply:
        def answer_later(answered: bytes) -> None:
            self._loop.call_later(delay, reply, answered)

        return answer_later

    def _control(self, request: Request) -> bytes:
        """Answer who measures: how it stands, and a new beginning."""
        if request.target == START:
            self._queues.clear()
            for name in self._tally.__struct_fields__:
                setattr(self._tally, name, {} if name == "latencies" else 0)
        look = Look(
            at=time.monotonic(),
            cpu=time.process_time(),
            tally=self._tally,
            held=sum(queue.held for queue in self._queues.values()),
            waiting=sum(queue.waiting for queue in self._queues.values()),
            unknown=self._unknown,
        )
        body = msgspec.json.encode(look)
        self._tally.latencies = {}
        return answer(200, body, "Content-Type: application/json\r\n")


def _is_search(request: Request) -> bool:
    path = request.target.partition("?")[0]
    return path == "/" or any(word in path for word in _SEARCH_WORDS)


def _lines(path: Path) -> Sequence[bytes]:
    return [line for line in path.read_bytes().split(b"\n") if line.strip()]
