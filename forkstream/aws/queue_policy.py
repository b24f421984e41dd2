"""What a queue's policy tells of the SNS topics that may send to it."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import msgspec

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+")
_NARROWING = re.compile(r"(?:arn|string)(?:equals|like)(?:ignorecase)?(?:ifexists)?")


def sending_topics(policy: str | None) -> frozenset[str] | None:
    """Read the ARNs of the topics that may send to the queue; None if the policy admits topics that it does not name.

    SNS needs a queue's leave in the queue's own policy, also within one account, so a queue without one gets
    nothing from SNS. Topics are named by ``aws:SourceArn`` ("Subscribing an Amazon SQS queue to an Amazon SNS topic").
    """
    if not policy:
        return frozenset()
    try:
        statements = _listed(msgspec.json.decode(policy)["Statement"])
        found = [_sources(statement) for statement in statements if _admits_sns(statement)]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    topics: set[str] = set()
    for sources in found:
        if not sources:
            return None
        for source in sources:
            if _TOPIC.fullmatch(source):
                topics.add(source)
            elif _could_be_topic(source):
                return None
    return frozenset(topics)


def _admits_sns(statement: dict[str, Any]) -> bool:
    if statement["Effect"] != "Allow":
        return False
    actions = [str(action).casefold() for action in _listed(statement.get("Action", "*"))]
    if not any(fnmatchcase("sqs:sendmessage", action) for action in actions):
        return False
    principal = statement.get("Principal", "*")
    if isinstance(principal, str):
        return principal == "*"
    return "*" in _listed(principal.get("AWS", [])) or any(
        service.startswith("sns.") for service in _listed(principal.get("Service", []))
    )


def _sources(statement: dict[str, Any]) -> list[str]:
    return [
        source
        for operator, keys in statement.get("Condition", {}).items()
        if _NARROWING.fullmatch(operator.rpartition(":")[2].casefold())
        for key, values in keys.items()
        if key.casefold() == "aws:sourcearn"
        for source in _listed(values)
    ]


def _could_be_topic(source: str) -> bool:
    parts = source.split(":")
    return len(parts) < 3 or fnmatchcase("sns", parts[2])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
