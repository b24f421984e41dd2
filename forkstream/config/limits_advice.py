"""Limits of a fork that can never be reached, or are longer than the source waits, each with the largest that can."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from forkstream.backoff import LONGEST_REDELIVERY
from forkstream.config.plan import Plan
from forkstream.ports import Advice
from forkstream.settings import Duration, Rate, Size

IDLE_BYTES = 120 * 2**20
"""What a worker takes that holds no event: measured as resident memory with the four forks of the shipped config."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What a config is meant for: worker processes that share ``memory`` bytes, and ``rate`` events a second of each fork."""

    workers: int = 1
    memory: int | None = None
    rate: float | None = None


def longest_hold(plan: Plan) -> float:
    """Seconds that an event may need from its receive to its settlement, once more after the longest back-off."""
    settings = plan.settings
    return _max_age(plan) + settings.retry.max_elapsed + settings.write_timeout + LONGEST_REDELIVERY


def advice_on_limits(plan: Plan, site: Site) -> Iterator[Advice]:
    """Warn of limits that contradict each other, the source or the rate; ``setting`` is relative to the fork."""
    quota, workers = plan.source.in_flight_limit, site.workers
    budget = plan.settings.budget
    reach = budget.max_events
    if quota is not None and budget.max_events * workers > quota:
        reach = max(quota // workers, 1)
        together = f" in each of {workers} workers" if workers > 1 else ""
        yield Advice(
            code="budget_beyond_quota",
            found=f"the budget is {budget.max_events} events{together}",
            why=f"the source lets all consumers together hold {quota}, and answers with nothing, silently, beyond that",
            do=f"the largest that can be reached is {reach}",
            setting="budget.max_events",
        )
    yield from _on_batch(plan, reach)
    yield from _on_window(plan, reach, site)


def advice_on_memory(plans: Sequence[Plan], site: Site) -> Iterator[tuple[Plan, Advice]]:
    """Warn of each fork whose budget is more than its share, where all budgets together are more than the memory."""
    budgets = [plan.settings.budget.max_bytes or 0 for plan in plans]  # what is left out divides what there is
    if site.memory is None or sum(budgets) * site.workers + IDLE_BYTES * site.workers <= site.memory:
        return
    share = Size(max((site.memory // site.workers - IDLE_BYTES) // len(plans), 0) // 2**20 * 2**20)
    for plan, budget in zip(plans, budgets, strict=True):
        if budget > share:
            yield (
                plan,
                Advice(
                    code="budget_beyond_memory",
                    found=f"the budgets of {len(plans)} forks and {site.workers} workers add up to"
                    f" {Size(sum(budgets) * site.workers)}, and the memory is {Size(site.memory)}",
                    why=f"an idle worker takes about {Size(IDLE_BYTES)}, so a slow sink would have the process killed"
                    " before the budget holds it back",
                    do=f"the largest that fits, if all forks have it, is {share}; or give it more memory",
                    setting="budget.max_bytes",
                ),
            )


def _on_batch(plan: Plan, reach: int) -> Iterator[Advice]:
    batch, budget = plan.settings.batch, plan.settings.budget
    if batch.max_events is not None and batch.max_events > reach:
        by = "the budget (budget.max_events)" if reach == budget.max_events else "the source's quota"
        yield Advice(
            code="batch_unreachable",
            found=f"a batch of {batch.max_events} events",
            why=f"{by} lets a worker hold {reach}, so each batch is closed by pressure instead, once it stands still",
            do=f"the largest that can be reached is {reach}",
            setting="batch.max_events",
        )
    if batch.max_bytes is not None and budget.max_bytes is not None and batch.max_bytes > budget.max_bytes:
        yield Advice(
            code="batch_unreachable",
            found=f"a batch of {batch.max_bytes}",
            why=f"the budget (budget.max_bytes) lets a worker hold {budget.max_bytes}, so each batch is closed by pressure"
            " instead, once it stands still",
            do=f"the largest that can be reached is {budget.max_bytes}",
            setting="batch.max_bytes",
        )


def _on_window(plan: Plan, reach: int, site: Site) -> Iterator[Advice]:
    rate = (site.rate or 0.0) / site.workers
    if _max_age(plan) * rate > reach:
        yield Advice(
            code="window_unreachable",
            found=f"in {Duration(_max_age(plan))} come {_max_age(plan) * rate:.0f} events to a worker at {Rate(site.rate or 0)}",
            why=f"budget and quota let it hold {reach}, so batches are closed by pressure before they are of that age",
            do=f"the largest max_age that can be reached is {Duration(math.floor(reach / rate * 1000) / 1000)}, or add workers",
            setting="batch.max_age",
        )
    patience = plan.settings.retry.max_elapsed + plan.settings.write_timeout
    limit = plan.source.hold_limit
    if _max_age(plan) + patience > limit:
        largest = Duration(max(limit - patience, 0.0))
        yield Advice(
            code="window_beyond_hold",
            found=f"a batch may wait {Duration(_max_age(plan))}, and its write {Duration(patience)} more",
            why=f"the source lets nobody hold an event longer than {Duration(limit)}: what is late is delivered twice",
            do=f"the largest max_age that leaves time to write is {largest}",
            setting="batch.max_age",
        )


def _max_age(plan: Plan) -> float:
    return max(plan.batch_limits.max_age, 0.0)
