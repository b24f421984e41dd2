"""What a plugin needs of a KMS key that its settings name."""

from __future__ import annotations

from forkstream.ports import Permission
from forkstream.settings import AwsSettings


def key_permission(actions: tuple[str, ...], key: str, aws: AwsSettings, *, key_of: str | None = None) -> Permission:
    """Allow actions on a key given by id, ARN, alias or alias ARN.

    IAM has no resource for "the key behind this alias", so an alias becomes a condition on every key of its region.
    """
    arn = key if key.startswith("arn:") else f"arn:{{partition}}:kms:{{region}}:{{account}}:{_path(key)}"
    start, _, path = arn.rpartition(":")
    if not path.startswith("alias/"):
        return Permission(actions=actions, resource=arn, key_of=key_of, aws=aws)
    behind = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": path}}
    return Permission(actions=actions, resource=f"{start}:key/*", condition=behind, key_of=key_of, aws=aws)


def _path(key: str) -> str:
    return key if key.startswith("alias/") else f"key/{key}"
