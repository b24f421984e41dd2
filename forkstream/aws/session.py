"""Sessions and clients of AWS, opened from :class:`~forkstream.settings.AwsSettings`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

import aioboto3  # type: ignore[import-untyped]  # ships no types; `client` below gives them
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError, NoRegionError
from botocore.loaders import Loader, create_loader

from forkstream.aws.certificates import VerifyingSession
from forkstream.aws.errors import translating
from forkstream.settings import AwsSettings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_kms import KMSClient
    from types_aiobotocore_lambda import LambdaClient
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_ssm import SSMClient

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0
CONNECTIONS = 50
"""Connections of one client. botocore's default is 10: the eleventh request would wait for one of the ten, unseen."""


class ClientOptions(TypedDict, total=False):
    """What may differ between clients: seconds of silence on a connection, connections, and single botocore settings."""

    read_timeout: float
    connections: int
    config: AioConfig


class AwsSession:
    """One identity in AWS, and the clients that act as it: ``async with AwsSession(settings).client("s3") as s3``.

    Credentials come from the whole chain of the AWS SDKs (environment, profile, SSO, container, instance); with
    ``role_arn`` they are used to assume that role, and the role's own are renewed before they expire. Without
    ``endpoint_url`` the SDKs' own settings hold (``AWS_ENDPOINT_URL``, ``AWS_ENDPOINT_URL_SQS``, the profile's
    ``services``); with it every service is reached there, STS too. Clients of one session share its credentials.
    """

    def __init__(self, settings: AwsSettings) -> None:
        self.settings = settings

    @overload
    def client(
        self, service: Literal["s3"], **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[S3Client]: ...
    @overload
    def client(
        self, service: Literal["sqs"], **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[SQSClient]: ...
    @overload
    def client(
        self, service: Literal["dynamodb"], **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[DynamoDBClient]: ...
    @overload
    def client(
        self, service: Literal["kms"], **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[KMSClient]: ...
    @overload
    def client(
        self, service: Literal["lambda"], **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[LambdaClient]: ...
    @overload
    def client(
        self, service: Literal["sns"], **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[SNSClient]: ...
    @overload
    def client(
        self, service: Literal["ssm"], **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[SSMClient]: ...
    @overload
    def client(
        self, service: Literal["secretsmanager"], **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[Any]: ...  # asked for one thing, which is not worth another package of types
    @overload
    def client(
        self, service: Literal["ecs"], **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[Any]: ...  # as above

    def client(self, service: str, **options: Unpack[ClientOptions]) -> AbstractAsyncContextManager[Any]:
        """Open a client with a connection pool of its own; it never retries, since the runtime owns every retry.

        Opening raises :class:`~forkstream.errors.UnavailableError` where region, profile or credentials cannot be
        found; a call of the client raises botocore's errors: wrap it in ``translating``.
        """
        return self._open(service, _config(**options))

    async def credentials(self) -> ReadOnlyCredentials:
        """Give the credentials to sign a request with. Ask anew for every request: they are renewed before they expire.

        Raises :class:`~forkstream.errors.UnavailableError` where none can be found.
        """
        with translating("finding credentials", self.settings.role_arn or self.settings.profile or "the default chain"):
            found = await self._session.get_credentials()
            if found is None:
                raise NoCredentialsError
            frozen: ReadOnlyCredentials = await found.get_frozen_credentials()
        return frozen

    @property
    def region(self) -> str:
        """The region that its clients talk to; raises :class:`~forkstream.errors.UnavailableError` where none is set."""
        with translating("finding a region", self.settings.profile or "the default chain"):
            found: str | None = self._session.region_name
            if found is None:
                raise NoRegionError
        return found

    @asynccontextmanager
    async def _open(self, service: str, config: AioConfig) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            with translating(f"opening {service}", self.settings.region or "the default region"):
                client = await stack.enter_async_context(
                    self._session.client(service, endpoint_url=self.settings.endpoint_url, config=config)
                )
            yield client

    @cached_property
    def _session(self) -> Any:
        """Build the aioboto3 session: the chain's, or one that acts as the role."""
        own = self._chain()
        if self.settings.role_arn is None:
            return aioboto3.Session(botocore_session=own)
        acting = self._chain()
        acting.register_component("credential_provider", _AssumedRole(self.settings, own))
        return aioboto3.Session(botocore_session=acting)

    def _chain(self) -> AioSession:
        session = VerifyingSession()
        if self.settings.profile is not None:
            session.set_config_variable("profile", self.settings.profile)
        # botocore alone of all SDKs knows AWS_DEFAULT_REGION only
        region = self.settings.region or os.environ.get("AWS_REGION") or None
        if region is not None:
            session.set_config_variable("region", region)
        session.register_component("data_loader", _models(session.get_config_variable("data_path")))
        return session


class _AssumedRole:
    """The credential provider of a session that acts as a role; botocore asks it once for credentials that renew themselves."""

    def __init__(self, settings: AwsSettings, own: AioSession) -> None:
        self._settings = settings
        self._own = own

    async def load_credentials(self) -> AioDeferredRefreshableCredentials:
        credentials = await self._own.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        arguments = {"RoleSessionName": "forkstream"}
        if self._settings.external_id is not None:
            arguments["ExternalId"] = self._settings.external_id
        fetcher = AioAssumeRoleCredentialFetcher(
            client_creator=partial(  # type: ignore[arg-type]  # the stubs have the synchronous client's type
                self._own.create_client,
                endpoint_url=self._settings.endpoint_url,
                config=_config(),
            ),
            source_credentials=credentials,
            role_arn=self._settings.role_arn or "",
            extra_args=arguments,
            cache={},
        )
        return AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _config(
    read_timeout: float = READ_TIMEOUT, connections: int = CONNECTIONS, config: AioConfig | None = None
) -> AioConfig:
    ours = AioConfig(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        max_pool_connections=connections,
        retries={"total_max_attempts": 1},
        user_agent_extra=f"forkstream/{version('forkstream')}",
    )
    return ours if config is None else ours.merge(config)


@lru_cache
def _models(data_path: str | None) -> Loader:
    """Load each service's model once a process: reading it is most of a client's 50-150 ms, and it never changes."""
    return create_loader(data_path)
