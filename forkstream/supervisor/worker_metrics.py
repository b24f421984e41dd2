"""The metrics of all workers on one page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from forkstream.metrics import SupervisorMetrics


class WorkerMetrics(Collector):
    """Gives every series of every worker with a label ``worker``, and what the supervisor itself counts.

    They are not added up here. A worker that is started anew counts from 0: as a series of its own, Prometheus takes
    that for the reset that it is, while a sum would fall and be read as a reset of all workers. And of a gauge such as the
    backlog, which all workers read from one queue, a sum would be wrong: ask for ``sum by (fork)`` or ``max by (fork)``.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._pages: Mapping[int, str] = {}
        self._restarts: Mapping[int, int] = {}
        self.registry.register(self)

    def tell(self, pages: Mapping[int, str], restarts: Mapping[int, int]) -> None:
        """Show these metrics, in the text format of Prometheus, and how often each worker was started again."""
        self._pages, self._restarts = pages, restarts

    def collect(self) -> Iterable[Metric]:
        """What Prometheus asks for."""
        families: dict[str, Metric] = {}
        for worker, page in sorted(self._pages.items()):
            for family in text_string_to_metric_families(page):
                if family.name.endswith("_created"):  # OpenMetrics takes it for a part of the family it tells of
                    continue
                known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    known.add_sample(sample.name, {"worker": str(worker), **sample.labels}, sample.value)
        yield from families.values()
        about = SupervisorMetrics.worker_restarts
        restarts = CounterMetricFamily(about.name, about.help, labels=about.labels)
        for worker, count in self._restarts.items():
            restarts.add_metric([str(worker)], count)
        yield restarts
