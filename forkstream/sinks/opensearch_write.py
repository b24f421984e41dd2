"""One write of the ``opensearch`` sink: what is still to be sent, and what became of the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from forkstream.errors import DeliveryError, PermanentError, UnavailableError
from forkstream.event import Event, Failure
from forkstream.sinks.opensearch_answer import Result, Verdict
from forkstream.sinks.opensearch_document import Document


class OpenSearchWrite:
    """The events of one write, request by request, in their order.

    A request holds one event of a group at most, and none of a group of which an event failed: so a group's events
    take effect in their order, although a bulk request goes on behind a document that failed.
    """

    def __init__(self, events: Sequence[Event], default_index: str | None) -> None:
        self._waiting = deque(events)
        self._default_index = default_index
        self._done = 0
        self._failures: list[Failure] = []
        self._blocked: list[tuple[Document, Result]] = []
        self._behind: list[Event] = []
        self._failed_groups: set[str] = set()

    def take(self, max_bytes: int) -> list[Document]:
        """Take the documents of the next request: up to ``max_bytes``, but one at least; none when all events are settled."""
        request: list[Document] = []
        groups: set[str] = set()
        size = 0
        waiting = self._waiting
        while waiting:
            event = waiting[0]
            group = event.group
            if group is not None:
                if group in groups:
                    break
                if group in self._failed_groups:
                    self._behind.append(waiting.popleft())
                    continue
            try:
                document = Document.of(event, self._default_index)
            except PermanentError as error:
                self._fail(Failure.permanent(waiting.popleft(), error.code, error.detail))
                continue
            size += len(document.lines)
            if request and size > max_bytes:
                break
            request.append(document)
            waiting.popleft()
            if group is not None:
                groups.add(group)
        return request

    def put_back(self, request: Sequence[Document]) -> None:
        """Have the documents of a request that was too large taken again, in smaller ones."""
        self._waiting.extendleft(document.event for document in reversed(request))

    def settle(self, request: Sequence[Document], results: Sequence[Result]) -> None:
        """Note what the answer to a request says of each of its documents; no results: every one is done."""
        self._done += len(request) - len(results)
        for document, result in zip(request, results, strict=False):
            event = document.event
            verdict = result.verdict(versioned=document.target.version is not None)
            if verdict is Verdict.DONE:
                self._done += 1
            elif verdict is Verdict.PERMANENT:
                self._fail(Failure.permanent(event, result.code, result.detail))
            elif verdict is Verdict.TRANSIENT:
                self._fail(Failure.transient(event, result.code, result.detail))
            else:
                self._blocked.append((document, result))
                self._note(event)

    def refuse(self, request: Sequence[Document], error: DeliveryError) -> None:
        """Note that a request failed as a whole; raises ``error`` unless an earlier request took effect or one event is at fault."""
        if isinstance(error, PermanentError) and len(request) == 1:
            self._fail(Failure.permanent(request[0].event, error.code, error.detail))
            return
        if not self._done:
            raise error
        for event in (*(document.event for document in request), *self._waiting):
            self._fail(Failure.transient(event, error.code, error.detail))
        self._waiting.clear()

    @property
    def blocked_index(self) -> str | None:
        """The index that takes nothing until someone mends it, if that alone is why no event was written; else None."""
        if self._blocked and not self._done and not self._failures:
            return self._blocked[0][0].target.index
        return None

    def failures(self) -> list[Failure]:
        """Give what failed; raises UnavailableError if all of it did at a blocked index or cluster."""
        blocked = [Failure.transient(doc.event, result.code, result.detail) for doc, result in self._blocked]
        if self.blocked_index is not None:
            raise UnavailableError(blocked[0].code, blocked[0].detail)
        behind = [
            Failure.transient(event, "behind_failed", "an earlier event of its group failed") for event in self._behind
        ]
        return [*self._failures, *blocked, *behind]

    def _fail(self, failure: Failure) -> None:
        self._failures.append(failure)
        self._note(failure.event)

    def _note(self, event: Event) -> None:
        if event.group is not None:
            self._failed_groups.add(event.group)
