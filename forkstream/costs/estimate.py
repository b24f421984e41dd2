"""What a config costs at a rate of events, beside what Lambda and Firehose would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from forkstream.assembly import flow_of
from forkstream.config.plan import Plan
from forkstream.costs.bill import MONTH, Bill
from forkstream.costs.compute import Figures, Tasks
from forkstream.costs.lambda_and_firehose import billed as billed_by_ancestor
from forkstream.costs.prices import Prices
from forkstream.ports import Load


class Estimate(msgspec.Struct, frozen=True):
    """The bills of every fork and of the tasks, and those of the same forks on Lambda and Firehose."""

    event_bytes: float
    tasks: Tasks
    cpu_us: dict[str, float]
    forks: list[Bill]
    compute: Bill
    lambda_and_firehose: list[Bill]

    @property
    def usd_per_month(self) -> float:
        """All of it."""
        return sum(bill.usd_per_month for bill in [*self.forks, self.compute])

    @classmethod
    def of(
        cls,
        plans: Sequence[Plan],
        *,
        rates: Mapping[str, float],
        event_bytes: float,
        cpu_us: float | None,
        tasks: int | None,
        prices: Prices,
    ) -> Estimate:
        """Estimate for ``rates`` events a second by fork, of ``event_bytes``, in ``tasks`` or as many as that takes."""
        figures = Figures.read()
        cpu = {plan.name: cpu_us or figures.of(plan.step(plan.sink).rpartition(".")[2]) for plan in plans}
        sized = Tasks.sized([(rates[name], cpu[name]) for name in cpu], count=tasks)
        loads = [_load(plan, rates[plan.name], event_bytes, sized.count) for plan in plans]
        return cls(
            event_bytes,
            sized,
            cpu,
            [
                Bill.of(plan.name, load.events, _billed(plan, load), prices)
                for plan, load in zip(plans, loads, strict=True)
            ],
            Bill.of("compute", sum(rates[name] for name in cpu), sized.billed(), prices),
            [
                Bill.of(plan.name, load.events, billed_by_ancestor(plan, load), prices)
                for plan, load in zip(plans, loads, strict=True)
            ],
        )


def usd_per_million(bill: Bill) -> float | None:
    """What a million events of this bill cost; None without an event."""
    return bill.usd_per_month / (bill.events_per_second * MONTH) * 1e6 if bill.events_per_second else None


def _load(plan: Plan, events: float, event_bytes: float, workers: int) -> Load:
    """Batches as their limits close them: each worker gathers its own."""
    limits = flow_of(plan).limits
    each = events / workers
    seconds = min(limits.max_age, limits.max_events / each, limits.max_bytes / (each * event_bytes)) if each else 0.0
    batches = min(events, workers / seconds) if seconds else events
    return Load(events=events, event_bytes=event_bytes, batches=batches, workers=workers)


def _billed(plan: Plan, load: Load) -> list[tuple[str, str, float]]:
    if plan.settings.paused and not load.events:
        return []  # it does not even poll
    main = [plan.source, *plan.chain, *plan.object_stages, plan.sink]
    return [(plan.step(plugin), unit, rate) for plugin in main for unit, rate in plugin.billed(load).items()]
