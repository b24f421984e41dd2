"""The part of the ECS API that finds a service's tasks, on a real socket: the embedded AWS knows no network interfaces."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CLUSTER, SERVICE = "production", "orders"
_ARN = f"arn:aws:ecs:eu-west-1:123456789012:task/{CLUSTER}/"


class FakeEcs:
    """Answers ListTasks, a page of two at a time, and DescribeTasks. ``tasks`` holds each task's address by its id."""

    def __init__(self) -> None:
        self.url = ""
        self.tasks: dict[str, str | None] = {}
        self.ended: set[str] = set()
        """Tasks that are listed, and gone when they are described."""
        self.refusal: tuple[int, str] | None = None
        self.asked: list[str] = []

    def answer(self, action: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(action)
        if self.refusal:
            return self.refusal[0], {"__type": self.refusal[1], "message": "by the test"}
        if body["cluster"] != CLUSTER:
            return 400, {"__type": "ClusterNotFoundException", "message": "Cluster not found."}
        return 200, self._list(body) if action == "ListTasks" else self._describe(body)

    def _list(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["serviceName"] == SERVICE
        start = int(body.get("nextToken", 0))
        arns = [_ARN + name for name in self.tasks]
        page = {"taskArns": arns[start : start + 2]}
        return page | ({"nextToken": str(start + 2)} if len(arns) > start + 2 else {})

    def _describe(self, body: dict[str, Any]) -> dict[str, Any]:
        there = [arn for arn in body["tasks"] if arn.rpartition("/")[2] not in self.ended]
        gone = [{"arn": arn, "reason": "MISSING"} for arn in body["tasks"] if arn not in there]
        return {"tasks": [self._task(arn) for arn in there], "failures": gone}

    def _task(self, arn: str) -> dict[str, Any]:
        address = self.tasks[arn.rpartition("/")[2]]
        details = [{"name": "subnetId", "value": "subnet-1"}, {"name": "macAddress", "value": "0a:00"}]
        if address:
            details.append({"name": "privateIPv4Address", "value": address})
        interface = {"id": "1", "type": "ElasticNetworkInterface", "status": "ATTACHED", "details": details}
        return {"taskArn": arn, "lastStatus": "RUNNING" if address else "PENDING", "attachments": [interface]}


@contextmanager
def fake_ecs() -> Iterator[FakeEcs]:
    """Start it on a free port of 127.0.0.1; it ends with the block."""
    ecs = FakeEcs()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, content = ecs.answer(self.headers["X-Amz-Target"].rpartition(".")[2], body)
            answer = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the overridden method's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ecs.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield ecs
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
