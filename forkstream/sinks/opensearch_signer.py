"""Signatures of AWS for requests to OpenSearch Service and OpenSearch Serverless."""

from __future__ import annotations

from typing import Literal

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from forkstream.aws.session import AwsSession
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
        credentials = await self._aws.credentials()
        # OpenSearch Serverless demands the header; botocore signs it and takes the digest from it
        request = AWSRequest(method, url, headers | {"X-Amz-Content-SHA256": digest})
        SigV4Auth(credentials, self._service, self._aws.region).add_auth(request)
        return dict(request.headers.items())
