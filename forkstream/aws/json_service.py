"""A service of AWS that speaks a JSON protocol, asked over a wire of our own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, Literal, Self

import msgspec
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError

from forkstream.aws.answer import Answer
from forkstream.aws.endpoint import Endpoint
from forkstream.aws.errors import classify
from forkstream.aws.pool import ConnectionPool
from forkstream.aws.renewed_credentials import RenewedCredentials
from forkstream.aws.session import AwsSession
from forkstream.aws.signing import Signer
from forkstream.errors import DeliveryError

_SKEW_SECONDS = 240
"""A clock this far off explains a refusal: AWS takes signatures made within five minutes of its own time."""
_REMEMBERED = 1024
"""Bytes of a request's body that is worth a comparison with the next one: receives are, what holds events is not kept."""
_REFUSALS_OF_A_SIGNATURE = frozenset({"clock_skew", "credentials", "denied"})


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """How a service is asked: what botocore takes from the service's model."""

    name: Literal["sqs", "dynamodb"]
    target_prefix: str
    """What stands before the operation in ``X-Amz-Target``."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers of every request, lower case."""


class _Signed(msgspec.Struct, frozen=True):
    body: bytes
    at: int
    credentials: ReadOnlyCredentials
    request: bytes


class JsonService:
    """Asks one service: signs, sends, and gives the body of the answer or raises one of the three kinds of DeliveryError.

    A request that AWS refused for its signature is signed anew and sent once more, if that could help: its clock is
    off by the answer's Date, or the session has other credentials by now. Such a request had no effect.
    """

    def __init__(self, service: Service, endpoint: Endpoint, credentials: RenewedCredentials) -> None:
        self._service = service
        self._credentials = credentials
        self._signer = Signer(service.name, endpoint.region, endpoint.authority, endpoint.path)
        self._skew = 0.0
        """Seconds by which AWS's clock is ahead of ours."""
        self._preludes: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {}
        self._last: dict[str, _Signed] = {}
        """The last small request of each operation."""
        self._start = (
            f"POST {endpoint.path} HTTP/1.1\r\nHost: {endpoint.authority}\r\n"
            f"User-Agent: forkstream/{version('forkstream')}\r\n"
        )
        self.endpoint = endpoint

    @classmethod
    @asynccontextmanager
    async def open(cls, service: Service, session: AwsSession) -> AsyncIterator[Self]:
        """Find the endpoint and credentials; raises :class:`~forkstream.errors.UnavailableError` where there are none."""
        credentials = RenewedCredentials(session)
        endpoint = await Endpoint.resolve(session, service.name)
        await credentials.open()
        try:
            yield cls(service, endpoint, credentials)
        finally:
            credentials.close()

    async def ask(
        self,
        pool: ConnectionPool,
        operation: str,
        body: bytes,
        *,
        permission: str,
        resource: str,
        repeatable: bool,
        taking: str = "",
    ) -> bytes:
        """Ask for one operation. ``permission`` and ``resource`` stand in an error's detail, see :func:`classify`.

        ``repeatable`` says that asking twice does no harm, see :meth:`ConnectionPool.ask`. ``taking`` names a refusal
        that is an answer too, and is given back as one.
        """
        credentials = self._credentials.current()
        try:
            answer = await pool.ask(self._request(operation, body, credentials), repeatable=repeatable)
            if answer.status == 200 or (taking and _is(answer, taking)):
                return answer.body
            error = _classified(answer, operation, permission, resource)
            if await self._mended(answer, error, credentials):
                again = self._request(operation, body, self._credentials.current())
                answer = await pool.ask(again, repeatable=repeatable)
                if answer.status == 200 or (taking and _is(answer, taking)):
                    return answer.body
                error = _classified(answer, operation, permission, resource)
        except OSError as lost:
            error = classify(lost, action=permission, resource=resource)
        raise error

    def _request(self, operation: str, body: bytes, credentials: ReadOnlyCredentials) -> bytes:
        at = int(time.time() + self._skew)
        last = self._last.get(operation)
        if last is not None and last.body == body and last.at == at and last.credentials is credentials:
            return last.request  # receives ask for the same again and again
        prelude = self._preludes.get(operation)
        if prelude is None:
            prelude = self._preludes[operation] = self._prelude(operation)
        start, signed = prelude
        signature = self._signer.sign(signed, body, credentials, at)
        request = f"{start}{signature}Content-Length: {len(body)}\r\n\r\n".encode() + body
        if len(body) <= _REMEMBERED:
            self._last[operation] = _Signed(body, at, credentials, request)
        return request

    def _prelude(self, operation: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        signed = (
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", f"{self._service.target_prefix}.{operation}"),
            *self._service.headers,
        )
        return self._start + "".join(f"{name.title()}: {value}\r\n" for name, value in signed), signed

    async def _mended(self, answer: Answer, error: DeliveryError, used: ReadOnlyCredentials) -> bool:
        """Remove the reason why a signature was refused, if it can be; tell whether it was."""
        if error.code not in _REFUSALS_OF_A_SIGNATURE:
            return False
        with suppress(ValueError):
            skew = parsedate_to_datetime(answer.headers.get("date", "")).timestamp() - time.time()
            if abs(skew - self._skew) > _SKEW_SECONDS:
                self._skew = skew
                return True
        return error.code == "credentials" and await self._credentials.replace(used)


class _Refusal(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(name="__type", default="")
    message: str = ""
    other_message: str = msgspec.field(name="Message", default="")


def _is(answer: Answer, kind: str) -> bool:
    """Tell whether a refusal is of this kind."""
    try:
        return msgspec.json.decode(answer.body, type=_Refusal).kind.partition(":")[0].rpartition("#")[2] == kind
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _classified(answer: Answer, operation: str, permission: str, resource: str) -> DeliveryError:
    """Tell what a refusal means. With its query-mode header SQS names errors as it did before it spoke JSON."""
    try:
        refusal = msgspec.json.decode(answer.body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):  # a load balancer's page
        refusal = _Refusal()
    name = answer.headers.get("x-amzn-query-error", "").partition(";")[0] or refusal.kind
    name = name or answer.headers.get("x-amzn-errortype", "")  # where a gateway answers in the service's place
    response: Any = {
        "Error": {"Code": name or str(answer.status), "Message": refusal.message or refusal.other_message},
        "ResponseMetadata": {"HTTPStatusCode": answer.status, "HTTPHeaders": answer.headers},
    }
    return classify(ClientError(response, operation), action=permission, resource=resource)
