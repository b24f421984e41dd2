"""How a config names a queue: by its name, its URL or its ARN."""

from __future__ import annotations

import re
from typing import Self
from urllib.parse import urlsplit

import msgspec

from forkstream.settings import AwsSettings

_NAME = re.compile(r"(?=.{1,80}$)[A-Za-z0-9_-]+(?:\.fifo)?")
_ARN = re.compile(r"arn:aws[a-z-]*:sqs:([a-z0-9-]+):(\d{12}):([^:/]+)")
_ACCOUNT = re.compile(r"/(\d{12})/[^/]+$")
_REGIONAL_HOST = re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z]+(?:-[a-z]+)+-\d+)\.")


class QueueAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A queue, and what its spelling tells of it. Of a URL, SQS uses the path; the host is chosen by the AWS settings."""

    name: str
    url: str | None = None
    account: str | None = None
    region: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name, URL or ARN; raises ValueError with what would fit."""
        if arn := _ARN.fullmatch(text):
            address = cls(name=arn[3], account=arn[2], region=arn[1])
        elif text.startswith(("http://", "https://")):
            parts = urlsplit(text)
            host = _REGIONAL_HOST.search(parts.hostname or "")
            address = cls(name=parts.path.rpartition("/")[2], url=text, region=host[1] if host else None)
        else:
            address = cls(name=text)
        if not _NAME.fullmatch(address.name):
            raise ValueError(f"queue: expected a queue's name, URL or ARN, found {text!r}")
        return address

    @property
    def fifo(self) -> bool:
        """Whether the queue is a FIFO queue: SQS demands the suffix of those, and refuses it to others."""
        return self.name.endswith(".fifo")

    @property
    def arn(self) -> str:
        """Its ARN, with ``{partition}``, ``{region}`` and ``{account}`` for what its spelling does not tell."""
        of_url = _ACCOUNT.search(self.url or "")
        account = self.account or (of_url[1] if of_url else "{account}")
        return f"arn:{{partition}}:sqs:{self.region or '{region}'}:{account}:{self.name}"

    def settings(self, settings: AwsSettings) -> AwsSettings:
        """Give AWS settings for this queue: a region that its ARN or URL states is the queue's."""
        return settings if self.region is None else msgspec.structs.replace(settings, region=self.region)
