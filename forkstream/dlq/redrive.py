"""Redrive: dead letters go again through their fork, from the step that failed.

    find ▶ judge ▶ chain, from the failed step ▶ batches ▶ claim ▶ deliver ▶ note
             │                 │                            │         │
             └ already, …      └ failed again, dropped      └ taken   └ sent, failed again

The flow's own parts do the work: its chain, batcher, writers and deliveries, with their retries. What is other than in
a running fork: nothing is received, a letter that fails again stays where it is, and trouble that somebody has to mend
ends the redrive.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from itertools import groupby

import anyio

from forkstream.aws.concurrently import concurrently
from forkstream.dlq.claims import Claim
from forkstream.dlq.entry import Entry, Unreadable
from forkstream.dlq.redelivery import Decision, Redelivery
from forkstream.dlq.report import Outcome, Report, Result
from forkstream.dlq.selection import Selection
from forkstream.dlq.standing import Mark, State
from forkstream.dlq.store import Store
from forkstream.errors import DeliveryError, UnavailableError, as_delivery_error
from forkstream.flow.batcher import Batch, Batcher, CloseReason
from forkstream.flow.chain import Chain
from forkstream.flow.concurrency import FIRST
from forkstream.flow.custody import Held, Receive
from forkstream.flow.flow import Flow
from forkstream.letters import Letter
from forkstream.ports import Plugin
from forkstream.settings import Settings

CHUNK = 500
"""Letters in hand at once: no more can be interrupted by a crash."""
_MARKERS_AT_ONCE = 32
_SINK = "sink"
_OUTCOMES = {
    Mark.SENT: Outcome.SENT, Mark.DROPPED: Outcome.DROPPED, Mark.FAILED: Outcome.FAILED, None: Outcome.UNTRIED,
}  # fmt: skip


class Redrive:
    """Redrives letters of one fork. ``again`` takes interrupted ones too; ``mend`` may change a letter's body.

    ``report`` fills as it goes.
    """

    def __init__(
        self,
        flow: Flow,
        store: Store,
        *,
        again: bool = False,
        mend: Callable[[Letter], Letter] | None = None,
    ) -> None:
        self.report = Report()
        self._flow = flow
        self._store = store
        self._again = again
        self._mend = mend
        self._chain = Chain(flow.steps)
        self._writer = flow.outlet.writer(flow.name, flow.concurrency or FIRST)
        self._starts = {step.name: number for number, step in enumerate(flow.steps)} | {_SINK: len(flow.steps)}
        self._failed_groups: set[str | None] = set()
        self.stopping = False
        """True once no further batch is begun."""

    def stop(self) -> None:
        """Begin no further batch; what is under way is ended in order."""
        self.stopping = True

    async def look(self, selection: Selection) -> None:
        """Only say what ``run`` would do; nothing is opened, claimed or sent."""
        async for entries in self._chunks(selection):
            for entry in entries:
                result = self._judge(entry)
                if result is None:
                    self._hold(entry)  # which refuses a mended body that cannot be meant
                self.report.results.append(result or Result.of(entry, Outcome.WOULD_SEND))

    async def run(self, selection: Selection) -> None:
        """Redrive what is selected. Raises what the fork's plugins raise when they are opened, before anything is sent."""
        async with AsyncExitStack() as plugins:
            for plugin in self._plugins():
                await plugins.enter_async_context(plugin)
            while await self._sweep(selection) and self._store.unveils and not self.stopping:
                pass

    async def _sweep(self, selection: Selection) -> bool:
        """Go once through what the store finds; tells whether it found anything that may be followed by more."""
        before = len(self.report.results)
        async for entries in self._chunks(selection):
            await self._redrive(entries)
        return len(self.report.results) > before

    async def _chunks(self, selection: Selection) -> AsyncGenerator[list[Entry], None]:
        entries: list[Entry] = []
        async with aclosing(self._store.find(selection)) as found:
            async for one in found:
                if self.stopping:
                    return
                if isinstance(one, Unreadable):
                    self.report.unreadable.append(one)
                    continue
                entries.append(one)
                if len(entries) == CHUNK:
                    yield entries
                    entries = []
        if entries:
            yield entries

    async def _redrive(self, entries: Sequence[Entry]) -> None:
        fit = []
        for entry in entries:
            refused = self._judge(entry)
            if refused:
                self.report.results.append(refused)
            else:
                fit.append(entry)
            if entry.standing.over:
                await self._store.clear(entry)
        # in order of their writing, those that enter at one step together
        fit.sort(key=lambda entry: entry.letter.letter if self._flow.source.ordered else entry.letter.step)
        for step, some in groupby(fit, key=lambda entry: entry.letter.step):
            held = [self._hold(entry) for entry in some]
            await self._pass(held, self._starts[step])

    def _judge(self, entry: Entry) -> Result | None:
        """Say why a letter is not to be sent, if it is not."""
        if entry.standing.over:
            return Result.of(entry, Outcome.ALREADY, entry.standing.code)
        if entry.standing.state is State.INTERRUPTED and not self._again:
            return Result.of(entry, Outcome.INTERRUPTED)
        if entry.letter.step not in self._starts:
            known = ", ".join(self._starts)
            return Result.of(entry, Outcome.UNTRIED, "step_gone", f"the config has no such step; it has {known}")
        return None

    def _hold(self, entry: Entry) -> Held:
        letter = self._mend(entry.letter) if self._mend else entry.letter
        return Held.of(letter.to_event(), entry, Receive(anyio.current_time(), math.inf, math.inf))

    async def _pass(self, held: list[Held], start: int) -> None:
        """Take letters through the rest of the chain, and what comes out of it to the sink."""
        passage = await self._chain.run(held, start)
        for stopped in passage.stopped:
            error = stopped.error
            self._result(Decision(stopped.held, Mark.FAILED, error.code, error.detail))
            if isinstance(error, UnavailableError):
                self._end(error)
        for reason, dropped in passage.dropped.items():
            claimed = await self._claim(dropped)
            await self._note(claimed, [Decision(one, Mark.DROPPED, reason) for one in claimed])
        slots = anyio.CapacityLimiter(1 if self._flow.source.ordered else self._flow.concurrency or FIRST)
        async with anyio.create_task_group() as tasks:
            for batch in self._batches(passage.through):
                await slots.acquire_on_behalf_of(batch)
                tasks.start_soon(self._deliver, batch, slots)

    def _batches(self, through: Sequence[Held]) -> list[Batch]:
        batcher = Batcher(self._flow.limits)
        batches: list[Batch] = []
        for held in through:
            try:
                partition = self._flow.outlet.sink.partition(held.event)
            except Exception as raised:  # noqa: BLE001  # accuses this letter alone
                error = as_delivery_error(raised)
                self._result(Decision(held, Mark.FAILED, error.code, error.detail))
            else:
                batches += batcher.add(held, partition, anyio.current_time())
        return batches + batcher.close_all(CloseReason.DRAIN)

    async def _deliver(self, batch: Batch, slots: anyio.CapacityLimiter) -> None:
        try:
            if self.stopping:
                for held in batch.held:
                    self._result(Decision(held, None))
                return
            claimed = await self._claim(self._in_order(batch.held))
            batch.held = list(claimed)
            delivery = Redelivery(
                self._flow, self._writer, lambda decisions: self._note(claimed, decisions), self._attempt_failed
            )
            await delivery.run(batch)
            if delivery.trouble:
                self._end(delivery.trouble)
        finally:
            slots.release_on_behalf_of(batch)

    def _in_order(self, held: Sequence[Held]) -> list[Held]:
        """Leave out what must not overtake a letter of its group that failed: it stays behind that one."""
        for one in held:
            if one.group in self._failed_groups:
                self._result(Decision(one, None, "behind"))
        return [one for one in held if one.group not in self._failed_groups]

    async def _claim(self, held: Sequence[Held]) -> dict[Held, Claim]:
        """Claim letters; those that somebody else has, or that cannot be claimed, are left out."""
        answers = await concurrently(lambda one: self._store.claim(_entry(one)), held, at_once=_MARKERS_AT_ONCE)
        claimed: dict[Held, Claim] = {}
        for one, answer in zip(held, answers, strict=True):
            if isinstance(answer, Claim):
                claimed[one] = answer
            elif answer is None:
                self.report.results.append(Result.of(_entry(one), Outcome.TAKEN))
            else:
                self._result(Decision(one, None, answer.code))
                self._end(answer)
        return claimed

    async def _note(self, claimed: dict[Held, Claim], decisions: Sequence[Decision]) -> None:
        """Write down what became of claimed letters, each as soon as it is known."""

        async def note(decision: Decision) -> None:
            held, mark = decision.held, decision.mark or Mark.FAILED
            code = "mended" if self._mend and mark is Mark.SENT else decision.code
            await self._store.finish(_entry(held), claimed[held], mark, code)

        answers = await concurrently(note, decisions, at_once=_MARKERS_AT_ONCE)
        for decision, answer in zip(decisions, answers, strict=True):
            self._result(decision, noted=not isinstance(answer, DeliveryError))

    def _result(self, decision: Decision, *, noted: bool = True) -> None:
        outcome = _OUTCOMES[decision.mark]
        if not noted and outcome is Outcome.SENT:
            outcome = Outcome.UNNOTED
        if not outcome.good and self._flow.source.ordered and decision.held.group is not None:
            self._failed_groups.add(decision.held.group)
        self.report.results.append(Result.of(_entry(decision.held), outcome, decision.code, decision.detail))

    def _attempt_failed(self, code: str) -> None:
        self.report.last_failure = code

    def _end(self, error: DeliveryError) -> None:
        self.stopping = True
        detail = error.detail if isinstance(error, UnavailableError) else ""
        self.report.trouble = self.report.trouble or f"{error.code}{f' ({detail})' if detail else ''}"

    def _plugins(self) -> list[Plugin[Settings]]:
        outlet = self._flow.outlet
        return [outlet.sink, *outlet.stages, *(step.stage for step in self._flow.steps)]


def _entry(held: Held) -> Entry:
    assert isinstance(held.receipt, Entry)  # noqa: S101  # what `_hold` put there
    return held.receipt
