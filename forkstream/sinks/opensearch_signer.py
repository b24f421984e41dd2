"""Signatures of AWS for requests to OpenSearch Service and OpenSearch Serverless."""

from __future__ import annotations

from typing import Literal

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from forkstream.aws.errors import translating
from forkstream.aws.session import AwsSession
from forkstream.errors import UnavailableError
from forkstream.settings import AwsSettings


class OpenSearchSigner:
    """Signs requests with Signature Version 4 as ``service``; credentials are renewed before they expire."""

    def __init__(self, service: Literal["es", "aoss"], aws: AwsSettings) -> None:
        self._service = service
        self._aws = AwsSession(aws)

    async def sign(self, method: str, url: str, headers: dict[str, str], digest: str) -> dict[str, str]:
        """Give the headers with those of the signature; ``digest`` is the hexadecimal SHA-256 of the body as sent.

        Raises :class:`~forkstream.errors.UnavailableError` where no credentials or no region can be found.
        """
        session = self._aws._session  # noqa: SLF001  # nobody else needs the credentials themselves, so it offers no door to them
        with translating("signing", "OpenSearch"):
            credentials = await session.get_credentials()
            if credentials is None:
                raise UnavailableError("credentials", "no AWS credentials were found")
            if session.region_name is None:
                raise UnavailableError("misconfigured", "no AWS region is set")
            frozen = await credentials.get_frozen_credentials()
        # OpenSearch Serverless demands the header; botocore signs it and takes the digest from it
        request = AWSRequest(method, url, headers | {"X-Amz-Content-SHA256": digest})
        SigV4Auth(frozen, self._service, session.region_name).add_auth(request)
        return dict(request.headers.items())
