"""A Lambda function, invoked and waited for."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

import msgspec

from forkstream.aws.errors import translating
from forkstream.aws.session import AwsSession
from forkstream.errors import DeliveryError, PermanentError, TransientError, UnavailableError
from forkstream.settings import AwsSettings

if TYPE_CHECKING:
    from types_aiobotocore_lambda import LambdaClient

MAX_PAYLOAD = 6_291_456
"""Bytes of a synchronous invocation's request, and of its response, see "Lambda quotas" (6 MB each)."""
MAX_SECONDS = 900
"""How long a function can run, see the same place."""
_REFERENCE = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):\d{12}:function:)?[A-Za-z0-9_-]{1,64}(?::[A-Za-z0-9_$-]{1,128})?"
)
# Its code cannot even be loaded: no event is to blame, and no other event would fare better.
_BROKEN = re.compile(
    r"Runtime\.(?:ImportModuleError|HandlerNotFound|MalformedHandlerName|UserCodeSyntaxError|InvalidEntrypoint"
    r"|InvalidRuntime|InvalidWorkingDir|NoHandler)|Extension\..*"
)


class _Fault(msgspec.Struct, rename={"kind": "errorType", "message": "errorMessage"}):
    kind: str = ""
    message: str = ""


class LambdaFunction:
    """One function; ``async with LambdaFunction.open(reference, settings, seconds=60) as function``. Needs ``lambda:InvokeFunction``."""

    def __init__(self, reference: str, client: LambdaClient) -> None:
        self._reference = reference
        self._client = client

    @staticmethod
    def region_of(reference: str) -> str | None:
        """Give the region that an ARN states; raises ValueError for what is neither a name nor an ARN, each with a qualifier or none."""
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise ValueError(f"lambda: expected a function's name or ARN, found {reference!r}")
        return found["region"]

    @classmethod
    @asynccontextmanager
    async def open(cls, reference: str, settings: AwsSettings, *, seconds: float) -> AsyncIterator[Self]:
        """Open a client; ``seconds`` is how long an answer is waited for."""
        region = cls.region_of(reference)
        if region is not None:
            settings = msgspec.structs.replace(settings, region=region)
        async with AwsSession(settings).client("lambda", read_timeout=seconds) as client:
            yield cls(reference, client)

    async def __call__(self, payload: bytes) -> bytes:
        """Invoke with JSON and give the JSON that it returned.

        Raises one of the three kinds. A function that ran out of time is transient; what it raised itself is a
        PermanentError ``function_error``, since any of the events in the payload may be why; one whose code cannot be
        loaded is unavailable.
        """
        with translating("lambda:InvokeFunction", self._reference):
            # a BytesIO is sent in pieces, so that megabytes do not hold up the loop
            answer = await self._client.invoke(FunctionName=self._reference, Payload=io.BytesIO(payload))
            returned = await answer["Payload"].read()
        if "FunctionError" in answer:
            raise self._fault(returned)
        return returned

    async def check(self) -> None:
        """Ask by a dry run, which runs nothing, whether it is there and may be invoked."""
        with translating("lambda:InvokeFunction", self._reference):
            await self._client.invoke(FunctionName=self._reference, InvocationType="DryRun")

    def _fault(self, returned: bytes) -> DeliveryError:
        try:
            fault = msgspec.json.decode(returned, type=_Fault)
        except msgspec.DecodeError:
            fault = _Fault()
        detail = f"{self._reference}: {fault.kind}: {fault.message}"
        if fault.kind == "Sandbox.Timedout" or "Task timed out after" in fault.message:
            return TransientError("function_timeout", detail)
        if _BROKEN.fullmatch(fault.kind):
            return UnavailableError("function_broken", f"{self._reference}: {fault.kind}")
        return PermanentError("function_error", detail)
