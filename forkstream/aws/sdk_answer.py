"""Answers as the SDK gives them: it takes anything for one, so that what is missing shows only where it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from forkstream.aws.queue import EntryFailure, unanswered
from forkstream.errors import TransientError


@contextmanager
def reading(service: str, where: str) -> Iterator[None]:
    """Turn what is missing in an answer, or is none of its values, into the TransientError of a damaged one."""
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError):
        raise TransientError("damaged_in_transit", f"{where}: the answer is not what {service} answers") from None


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
