"""OpenSearch as the stub speaks it: bulk requests are read, answered document by document, and forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from isal import igzip

from forkstream.bench.stub.connection import Reply, Request, answer, query_of
from forkstream.bench.stub.tally import Tally
from forkstream.bench.stub.weather import Fault, Weather

_HEADERS = "content-type: application/json; charset=UTF-8\r\n"
_ABOUT = {
    "name": "bench",
    "cluster_name": "forkstream-bench",
    "cluster_uuid": "forkstream-bench",
    "version": {"distribution": "opensearch", "number": "2.19.6", "lucene_version": "9.12.1"},
    "tagline": "The OpenSearch Project: https://opensearch.org/",
}
_REJECTED = {"type": "rejected_execution_exception", "reason": "rejected execution of coordinating operation"}
_CALLS_WITHOUT_SOURCE = {"delete"}


class _Place(msgspec.Struct):
    index: str = msgspec.field(name="_index", default="")
    id: str = msgspec.field(name="_id", default="")


_read_action = msgspec.json.Decoder(dict[str, _Place]).decode
_encode = msgspec.json.Encoder().encode


class OpenSearch:
    """Answers requests."""

    def __init__(self, weather: Weather, tally: Tally) -> None:
        self._weather = weather
        self._tally = tally
        self._taken: dict[int, bytes] = {}

    def serve(self, request: Request, reply: Reply) -> None:
        """Answer one request."""
        path, query = query_of(request.target)
        if path.endswith("/_bulk"):
            reply(self._bulk(request, path.split("/")[1], filtered="filter_path" in query))
        elif path in {"", "/"}:
            body = _encode(_ABOUT)
            reply(answer(200, b"" if request.method == b"HEAD" else body, _HEADERS, length=len(body)))
        elif request.method == b"HEAD":
            reply(answer(200, b"", _HEADERS))
        else:
            reply(answer(200, _encode({"acknowledged": True, "status": "green"}), _HEADERS))

    def strike(self, fault: Fault) -> bytes:
        """What a request is answered that goes wrong."""
        if fault is Fault.THROTTLE:
            return answer(429, _encode({"error": _REJECTED, "status": 429}), _HEADERS)
        return answer(503, _encode({"error": {"type": "node_not_connected_exception"}, "status": 503}), _HEADERS)

    def _bulk(self, request: Request, index: str, *, filtered: bool) -> bytes:
        body = request.body
        if b"\r\ncontent-encoding: gzip" in request.head:
            body = igzip.decompress(body)  # type: ignore[no-untyped-call]  # ships no types
        if not body.endswith(b"\n"):
            error = {"type": "illegal_argument_exception", "reason": "The bulk request must be terminated by a newline"}
            return answer(400, _encode({"error": error, "status": 400}), _HEADERS)
        self._tally.bulks += 1
        if filtered and self._weather.calm and body.startswith((b'{"index"', b'{"create"')):
            count = body.count(b"\n") // 2
            self._tally.documents += count
            return self._all_taken(count)
        return self._by_document(list(_actions(body)), index, filtered=filtered)

    def _all_taken(self, count: int) -> bytes:
        found = self._taken.get(count)
        if found is None:
            items = [{"index": {"status": 201}}] * count
            found = self._taken[count] = answer(200, _encode({"errors": False, "items": items}), _HEADERS)
        return found

    def _by_document(self, actions: Sequence[tuple[str, _Place]], index: str, *, filtered: bool) -> bytes:
        struck = self._weather.struck(len(actions))
        items = []
        for place, (action, where) in enumerate(actions):
            result: dict[str, object] = {} if filtered else {"_index": where.index or index, "_id": where.id or "x"}
            if action == "update":
                error = {"type": "document_missing_exception", "reason": "document missing"}
                result |= {"status": 404, "error": error}
            elif place in struck:
                result |= {"status": 429, "error": _REJECTED}
            else:
                result |= {"status": 201}
                if not filtered:
                    shards = {"total": 1, "successful": 1, "failed": 0}
                    result |= {"_version": 1, "result": "created", "_shards": shards, "_seq_no": 0, "_primary_term": 1}
            items.append({action: result})
        self._tally.documents += len(actions) - len(struck)
        answered = {"errors": any("error" in result for item in items for result in item.values()), "items": items}
        return answer(200, _encode(answered if filtered else {"took": 1} | answered), _HEADERS)


def _actions(body: bytes) -> Iterator[tuple[str, _Place]]:
    lines = iter(body.split(b"\n"))
    for line in lines:
        if line:
            ((action, place),) = _read_action(line).items()
            if action not in _CALLS_WITHOUT_SOURCE:
                next(lines, None)
            yield action, place
