"""A service of ECS, and where each of its tasks can be reached."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec

from forkstream.aws.errors import translating
from forkstream.aws.session import AwsSession
from forkstream.errors import UnavailableError
from forkstream.settings import AwsSettings

AT_ONCE = 100
"""Tasks that one call lists and describes at most, see ListTasks and DescribeTasks."""
ANSWER_SECONDS = 10.0
_NAME = re.compile(r"(?P<cluster>[A-Za-z0-9_-]{1,255})/(?P<service>[A-Za-z0-9_-]{1,255})(?::(?P<port>\d{1,5}))?")


class EcsTask(msgspec.Struct, frozen=True):
    """One task that is meant to run. ``address`` is None while it has none: it is starting, or not on awsvpc."""

    id: str
    status: str
    address: str | None


class EcsService(msgspec.Struct, frozen=True):
    """A service by its cluster and name, and the port that its tasks' admin endpoints listen on."""

    cluster: str
    service: str
    port: int = 8080

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``CLUSTER/SERVICE`` or ``CLUSTER/SERVICE:PORT``; raises ValueError with what would fit."""
        found = _NAME.fullmatch(text)
        if not found or not 0 < int(found["port"] or 8080) < 65536:
            raise ValueError(f"expected CLUSTER/SERVICE, with :PORT if it is not 8080, found {text!r}")
        return cls(found["cluster"], found["service"], int(found["port"] or 8080))

    async def tasks(self, settings: AwsSettings) -> list[EcsTask]:
        """Ask ECS for every task, by its id; needs ``ecs:ListTasks`` and ``ecs:DescribeTasks``.

        Raises UnavailableError where there is no such service or it may not be looked at, TransientError where ECS
        does not answer this time.
        """
        tasks: list[EcsTask] = []
        async with AwsSession(settings).client("ecs", read_timeout=ANSWER_SECONDS) as ecs:
            arns = await self._list(ecs)
            for start in range(0, len(arns), AT_ONCE):
                with translating("ecs:DescribeTasks", f"{self.cluster}/{self.service}"):
                    found = await ecs.describe_tasks(cluster=self.cluster, tasks=arns[start : start + AT_ONCE])
                # a task that ended in between is among the failures, and nobody's concern any more
                tasks += [_task(one) for one in found["tasks"]]
        return sorted(tasks, key=lambda task: task.id)

    async def _list(self, ecs: Any) -> Sequence[str]:
        with translating("ecs:ListTasks", f"{self.cluster}/{self.service}"):
            try:
                pages = ecs.get_paginator("list_tasks").paginate(cluster=self.cluster, serviceName=self.service)
                return [arn async for page in pages for arn in page["taskArns"]]
            except (ecs.exceptions.ClusterNotFoundException, ecs.exceptions.ServiceNotFoundException):
                what = f"{self.cluster}/{self.service}: no such service in {ecs.meta.region_name}"
                raise UnavailableError("missing", what) from None


def _task(described: Mapping[str, Any]) -> EcsTask:
    address = next(_addresses(described), None)
    return EcsTask(described["taskArn"].rpartition("/")[2], described.get("lastStatus", "UNKNOWN"), address)


def _addresses(described: Mapping[str, Any]) -> Iterator[str]:
    """The private addresses of its network interface, as a task of network mode awsvpc has one; IPv4 first."""
    for kind in ("privateIPv4Address", "privateIPv6Address"):
        for attachment in described.get("attachments", ()):
            if attachment.get("type") == "ElasticNetworkInterface":
                for detail in attachment.get("details", ()):
                    if detail.get("name") == kind and detail.get("value"):
                        yield detail["value"]
