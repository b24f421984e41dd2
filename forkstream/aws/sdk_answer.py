"""Answers as the SDK gives them. It makes an empty one of whatever is none, such as the page of a proxy that wants a login.

An empty answer is that of an empty queue, of a batch of which nothing failed, of a put that worked: so it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from forkstream.aws.queue import EntryFailure, unanswered
from forkstream.errors import TransientError


def damaged(service: str, where: str) -> TransientError:
    """What an answer that is none means: whether the call had an effect is unknown."""
    return TransientError("damaged_in_transit", f"{where}: the answer is not what {service} answers")


def of_json(service: str, answer: Mapping[str, Any], where: str) -> None:
    """See that a service with a JSON protocol answered; raises TransientError where the answer says that it is something else."""
    kind = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", "json")
    if "json" not in kind:
        raise damaged(service, where)


def told_by(service: str, answer: Mapping[str, Any], member: str, where: str) -> Any:
    """Give what the service tells in every such answer; raises TransientError where it is missing."""
    if not answer.get(member):
        raise damaged(service, where)
    return answer[member]


@contextmanager
def reading(service: str, where: str) -> Iterator[None]:
    """Turn what is missing in an answer, or is none of its values, into the TransientError of a damaged one."""
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError):
        raise damaged(service, where) from None


def failed_entries(answer: Mapping[str, Any], count: int) -> list[EntryFailure]:
    """Read the entries of a batch of ``count`` that failed; raises ValueError where one of them was never sent."""
    failures = [
        EntryFailure(int(one["Id"]), one.get("Code", ""), bool(one.get("SenderFault")), one.get("Message", ""))
        for one in answer.get("Failed") or ()
    ]
    if any(failure.position not in range(count) for failure in failures):
        raise ValueError("no such entry was sent")
    return failures


def unsent_entries(answer: Mapping[str, Any], count: int) -> list[EntryFailure]:
    """Read the same, and the entries that the answer does not name at all."""
    failures = failed_entries(answer, count)
    return [*failures, *unanswered(count, (int(one["Id"]) for one in answer.get("Successful") or ()), failures)]
