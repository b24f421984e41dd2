"""From the permissions that plugins declare to the least IAM policy that grants them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from forkstream.errors import CommandError
from forkstream.ports import Permission

MAX_CHARACTERS = 6144
"""Characters of a managed policy without white space, see "IAM and AWS STS quotas"; an inline one of a role has 10,240."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the service will run, for what its config leaves open. ``keys`` are the customer's KMS keys, by service."""

    region: str | None = None
    account: str | None = None
    keys: Mapping[str, tuple[str, ...]] = {}


Grant = tuple[str, str, str]
"""An action, a resource, and a condition as JSON: what one line of a policy comes to."""


def grants(permissions: Iterable[Permission], place: Place, role: str | None = None) -> list[Grant]:
    """Resolve the permissions of one identity, each once: the service's own, or those of ``role``, which it assumes.

    Raises CommandError where a resource cannot be named without an account or a region.
    """
    found: dict[Grant, None] = {}
    for permission in permissions:
        acting = permission.aws.role_arn
        if acting == role:
            found |= dict.fromkeys(_resolved(permission, place))
        elif acting and role is None:
            found["sts:AssumeRole", acting, "{}"] = None
    return list(found)


def policy(granted: Iterable[Grant]) -> dict[str, Any]:
    """Write grants as a policy document: a statement for the resources that have the same actions and condition."""
    actions: dict[tuple[str, str], list[str]] = {}
    for action, resource, condition in granted:
        actions.setdefault((resource, condition), []).append(action)
    resources: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for (resource, condition), together in actions.items():
        resources.setdefault((tuple(sorted(together)), condition), []).append(resource)
    statements = [
        {"Effect": "Allow", "Action": list(together), "Resource": sorted(where)}
        | ({"Condition": json.loads(condition)} if condition != "{}" else {})
        for (together, condition), where in resources.items()
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _resolved(permission: Permission, place: Place) -> Iterable[Grant]:
    known = [permission.resource] if permission.resource else place.keys.get(permission.key_of or "", ())
    for spelt in known:
        resource = _named(spelt, permission.aws.region or place.region, place.account)
        condition = dict(permission.condition)
        if permission.key_of:  # so that the service's own data is read, and nothing that the key encrypts elsewhere
            via = f"{permission.key_of}.{resource.split(':')[3]}.amazonaws.com"
            condition["StringEquals"] = {"kms:ViaService": via}
        for action in permission.actions:
            yield action, resource, json.dumps(condition, sort_keys=True)


def _named(resource: str, region: str | None, account: str | None) -> str:
    spelt = resource.replace("{region}", region or "{region}").replace("{account}", account or "{account}")
    missing = re.search(r"\{(region|account)\}", spelt)
    if missing:
        example = "eu-west-1" if missing[1] == "region" else "123456789012"
        raise CommandError(f"nothing tells the {missing[1]} of {spelt}: name it with --{missing[1]} {example}")
    return spelt.replace("{partition}", _partition(spelt.split(":")[3] or region or ""))


def _partition(region: str) -> str:
    if region.startswith(("us-iso", "eu-isoe")):
        from botocore.session import Session  # noqa: PLC0415  # each of these has a partition of its own: botocore knows

        found: str = Session().get_partition_for_region(region)
        return found
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
