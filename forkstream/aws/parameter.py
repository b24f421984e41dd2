"""A small document that several processes read and change, as one parameter of SSM's Parameter Store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from forkstream.aws.errors import translating
from forkstream.aws.session import AwsSession
from forkstream.errors import TransientError
from forkstream.settings import AwsSettings

if TYPE_CHECKING:
    from types_aiobotocore_ssm import SSMClient

ANSWER_SECONDS = 10.0
ATTEMPTS = 5
"""How often a change is made again because another one came between."""


class Parameter:
    """A document in a parameter, String or SecureString, of at most 4 KB (the standard tier, see PutParameter).

    Parameter Store cannot write on a condition. But it numbers a parameter's versions one by one and keeps the last
    100, so a put that did not become the next version has covered somebody else's: the change is then made again, on
    top of theirs. For that moment everybody sees the document without theirs. Creating is safe: it fails for the second.
    """

    interval = 15.0
    """11 s on average, by the spread. All of an account's GetParameter, GetParameters and PutParameter in a region share
    40 requests a second (see the quotas of Systems Manager): 100 workers ask 9 times."""

    def __init__(self, name: str, aws: AwsSettings) -> None:
        self._name = name
        self._session = AwsSession(aws)
        self.url = f"ssm:{name}"

    async def read(self) -> bytes | None:
        """Read the document, None if there is no such parameter; raises what AWS's errors mean."""
        async with self._client() as ssm:
            return (await self._get(ssm, self._name))[1]

    async def update(self, edit: Callable[[bytes | None], bytes]) -> None:
        """Replace the document by what ``edit`` makes of it; raises TransientError if others keep changing it."""
        async with self._client() as ssm:
            version, content = await self._get(ssm, self._name)
            for _ in range(ATTEMPTS):
                wanted = edit(content)
                if wanted == content:  # of many tasks that are told the same, one has to write it
                    return
                written = await self._put(ssm, wanted, create=version == 0)
                if written == version + 1:
                    return
                if written:  # had what ours covered covered another one in its turn, then its writer sees to that
                    version, (_, content) = written, await self._get(ssm, f"{self._name}:{written - 1}")
                else:
                    version, content = await self._get(ssm, self._name)
        raise TransientError("contended", f"{self.url}: others keep changing it; look at it and try again")

    def _client(self) -> AbstractAsyncContextManager[SSMClient]:
        return self._session.client("ssm", read_timeout=ANSWER_SECONDS)

    async def _get(self, ssm: SSMClient, name: str) -> tuple[int, bytes | None]:
        """Read a version's number and content; 0 and None if there is no such parameter."""
        with translating("ssm:GetParameter", self._name):
            try:
                answer = await ssm.get_parameter(Name=name, WithDecryption=True)
            except ssm.exceptions.ParameterNotFound:
                return 0, None
        return answer["Parameter"]["Version"], answer["Parameter"]["Value"].encode()

    async def _put(self, ssm: SSMClient, content: bytes, *, create: bool) -> int:
        """Write the next version; returns its number, 0 where somebody else was first to create the parameter."""
        with translating("ssm:PutParameter", self._name):
            try:
                if create:
                    answer = await ssm.put_parameter(Name=self._name, Value=content.decode(), Type="String")
                else:  # it stays a SecureString where it is one
                    answer = await ssm.put_parameter(Name=self._name, Value=content.decode(), Overwrite=True)
            except ssm.exceptions.ParameterAlreadyExists:
                return 0
        return answer["Version"]
