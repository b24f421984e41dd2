"""From a plan, which a config describes, to the flow that a fork runs."""

from __future__ import annotations

from collections.abc import Sequence

from forkstream.config.plan import Plan
from forkstream.flow.batch_sizes import Tuning
from forkstream.flow.batcher import Limits
from forkstream.flow.chain import Step
from forkstream.flow.destination import RetryPolicy
from forkstream.flow.flow import MAX_DEAD_RATIO, Flow
from forkstream.flow.lender import Lender
from forkstream.flow.outlet import DeadLetterOutlet, Outlet
from forkstream.formats import Format

SHARE = 64 * 2**20
"""Bytes that each fork may hold where neither the config nor the container says how much there is."""


def lender_of(plans: Sequence[Plan], memory: int | None, *, workers: int = 1) -> Lender:
    """Divide what all workers may hold among them, then among the forks that have no budget of their own."""
    sharing = [plan for plan in plans if plan.settings.budget.max_bytes is None]
    total = SHARE * len(sharing) if memory is None else memory // workers
    return Lender(total, len(sharing))


def flow_of(plan: Plan, *, poll_wait: float = 20.0, lender: Lender | None = None) -> Flow:
    """Build a fork's flow; a batch limit that the config leaves out is the one that suits the sink."""
    settings = plan.settings
    return Flow(
        name=plan.name,
        source=plan.source,
        steps=[Step(plan.step(stage), stage) for stage in plan.chain],
        outlet=Outlet(sink=plan.sink, render=plan.format.render, suffix=plan.format.suffix, stages=plan.object_stages),
        dead_letters=_dead_letters(plan),
        limits=_limits(plan),
        tuning=_tuning(plan),
        retry=RetryPolicy(
            write_timeout=settings.write_timeout,
            max_elapsed=settings.retry.max_elapsed,
            then_dead=settings.retry.then == "dead",
        ),
        concurrency=settings.concurrency,
        max_held_events=settings.budget.max_events,
        max_held_bytes=settings.budget.max_bytes or (lender.share if lender else SHARE),
        lender=None if settings.budget.max_bytes else lender,
        max_dead_ratio=plan.dead_letter.max_ratio if plan.dead_letter else MAX_DEAD_RATIO,
        paused=settings.paused,
        poll_wait=poll_wait,
    )


def _limits(plan: Plan) -> Limits:
    batch = plan.batch_limits
    return Limits(
        max_events=batch.max_events,
        max_bytes=batch.max_bytes,
        max_age=batch.max_age,
        max_open=plan.settings.batch.max_open,
    )


def _tuning(plan: Plan) -> Tuning:
    batch = plan.settings.batch
    return Tuning(
        events=batch.max_events is None,
        bytes=batch.max_bytes is None,
        target_object=int(batch.target_object),
        most_events=plan.sink.batch_defaults.most_events,
    )


def _dead_letters(plan: Plan) -> DeadLetterOutlet | None:
    if plan.dead_letter is None:
        return None
    letters = Format()  # one letter a line, whatever the format of the events
    return DeadLetterOutlet(
        sink=plan.dead_letter.sink,
        render=letters.render,
        suffix=letters.suffix,
        stages=plan.dead_letter.object_stages,
        include_unsanitised=plan.dead_letter.include_unsanitised,
    )
