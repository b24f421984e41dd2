"""KMS as the stub speaks it: JSON 1.1, one key of every name, whose data keys protect nothing."""

from __future__ import annotations

import base64
import os
from typing import Any

import msgspec

from forkstream.bench.stub.connection import Reply, Request, answer
from forkstream.bench.stub.tally import Tally

_HEADERS = (
    "x-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n"
    "Content-Type: application/x-amz-json-1.1\r\nConnection: keep-alive\r\n"
)


class Kms:
    """Answers requests."""

    def __init__(self, tally: Tally, region: str) -> None:
        self._tally = tally
        self._key = f"arn:aws:kms:{region}:000000000000:key/00000000-0000-4000-8000-000000000000"

    def serve(self, operation: str, request: Request, reply: Reply) -> None:
        """Answer one request; ``operation`` is in lower case."""
        asked: dict[str, Any] = msgspec.json.decode(request.body)
        key = asked.get("KeyId", self._key)
        arn = key if key.startswith("arn:") and ":alias/" not in key else self._key
        if operation == "generatedatakey":
            plain = os.urandom(32)
            blob = _text(b"stub" + plain)  # so that Decrypt needs to remember nothing
            reply(_json({"CiphertextBlob": blob, "Plaintext": _text(plain), "KeyId": arn}))
        elif operation == "decrypt":
            plain = base64.b64decode(asked["CiphertextBlob"])[4:]
            reply(_json({"Plaintext": _text(plain), "KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}))
        elif operation == "describekey":
            about = {"KeyId": arn.rpartition("/")[2], "Arn": arn, "KeyState": "Enabled", "Enabled": True}
            reply(_json({"KeyMetadata": about}))
        else:
            self._tally.refused += 1
            reply(_json({"__type": "UnsupportedOperationException", "message": "the stub does not know it"}, 400))


def _json(value: object, status: int = 200) -> bytes:
    return answer(status, msgspec.json.encode(value), _HEADERS)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
