"""The whole of a benchmark: stub, consumers, repeats, and a report of what was found."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from forkstream.bench.bodies import write_bodies
from forkstream.bench.consumer import Consumer, ServiceConsumer
from forkstream.bench.figures import Conditions, Measurement, Repeat, Report
from forkstream.bench.job import Job, scenario_of
from forkstream.bench.machine import Cores, Machine
from forkstream.bench.measure import measure
from forkstream.bench.order import Order
from forkstream.bench.profile import profile_of
from forkstream.bench.stub.sqs import ACCOUNT
from forkstream.bench.stub_process import StubProcess
from forkstream.bench.view import View

PROFILE_SECONDS = 4.0

_Start = Callable[[], Consumer]


class Bench:
    """Runs one order. Everything that it starts and writes is gone when ``run`` returns."""

    def __init__(self, order: Order, view: View) -> None:
        self._order = order
        self._view = view
        self._cores = Cores.divided(order.workers)
        self._directory = Path()

    def run(self) -> Report:
        """Measure what was ordered; raises CommandError or ConfigError with what to do."""
        order = self._order
        # a socket's path has 104 bytes at most, so not below a long TMPDIR
        directory = Path(tempfile.mkdtemp(prefix="forkstream-bench-"))
        self._directory = directory
        try:
            bodies = directory / "bodies"
            told = write_bodies(bodies, order.events)
            self._view.line(f"{told}; {self._cores.told}")
            with self._stub(bodies, tls=order.tls) as stub:
                measurements = list(self._measurements(stub))
            if order.tls_beside:
                with self._stub(bodies, tls=True) as stub:
                    measurements = [self._with_tls(found, stub) for found in measurements]
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return Report(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            command=order.command,
            machine=Machine.here(),
            conditions=Conditions(
                seconds=order.timing.measured,
                repeats=order.repeats,
                workers=order.workers,
                rate=order.rate,
                tls=order.tls,
                latency=order.climate.latency,
                sink_latency=order.climate.sink_latency,
                errors=order.climate.errors,
                throttle=order.climate.throttle,
                bodies=told,
                cores=self._cores.told,
            ),
            measurements=measurements,
            sweep=order.sweep[0] if order.sweep else "",
        )

    def _stub(self, bodies: Path, *, tls: bool) -> StubProcess:
        order = self._order
        return StubProcess(
            self._directory,
            bodies,
            self._cores,
            rate=order.rate,
            deal=order.deal,
            climate=order.climate,
            tls=tls,
        )

    def _with_tls(self, found: Measurement, stub: StubProcess) -> Measurement:
        job = self._job(found.title, stub).setting(found.settings)
        named = msgspec.structs.replace(found, title=f"{found.title} over TLS")
        over = self._measured(stub, named, lambda: self._consumer(job))
        return msgspec.structs.replace(found, over_tls=over.repeats)

    def _consumer(self, job: Job) -> ServiceConsumer:
        log = self._directory / "consumer.log"
        return ServiceConsumer(job, log, self._cores.consumer, workers=self._order.workers)

    def _measurements(self, stub: StubProcess) -> Iterator[Measurement]:
        order = self._order
        if order.external is not None:
            yield self._measured(stub, Measurement(title=order.external, repeats=[]), self._external(stub))
            return
        for subject in order.subjects:
            job = self._job(subject, stub)
            variants = [(*order.settings,)]
            if order.sweep:
                setting, values = order.sweep
                variants = [(*order.settings, f"{setting}={value}") for value in values]
            jobs = [(job.setting(settings), settings) for settings in variants]
            for one, _ in jobs:
                one.check()  # all of them before the first minute is spent
            for one, settings in jobs:
                yield self._service(stub, one, settings)

    def _job(self, subject: str, stub: StubProcess) -> Job:
        scenario = scenario_of(subject)
        if scenario is not None:
            return Job.of_scenario(scenario, self._directory, stub.environment, stub.url)
        order = self._order
        where = self._directory, stub.environment, stub.url
        return Job.of_config(subject, *where, forks=order.forks, plugins=order.plugins)

    def _service(self, stub: StubProcess, job: Job, settings: tuple[str, ...]) -> Measurement:
        order = self._order
        empty = Measurement(title=job.title, settings=settings, target=job.target, repeats=[], notes=job.notes)
        found = self._measured(stub, empty, lambda: self._consumer(job))
        if not order.profile or order.sweep or len(found.repeats) < order.repeats:
            return found
        with self._view.progress(f"{found.name}, profile") as tell:
            return profile_of(
                found,
                stub,
                job,
                directory=self._directory,
                cores=self._cores.consumer,
                seconds=PROFILE_SECONDS,
                tell=tell,
            )

    def _external(self, stub: StubProcess) -> _Start:
        where = {
            "BENCH_QUEUE": "bench-external",
            "BENCH_QUEUE_URL": f"{stub.url}/{ACCOUNT}/bench-external",
            "BENCH_ENDPOINT_URL": stub.url,
            "BENCH_OPENSEARCH_URL": stub.url,
            "BENCH_BUCKET": "bench",
            "BENCH_TABLE": "bench",
            "BENCH_INDEX": "orders",
        }
        environment, log = stub.environment | where, self._directory / "consumer.log"
        return lambda: Consumer.of_command(self._order.external or "", environment, log, self._cores.consumer)

    def _measured(self, stub: StubProcess, empty: Measurement, start: _Start) -> Measurement:
        order = self._order
        repeats: list[Repeat] = []
        began = time.monotonic()
        for number in range(order.repeats):
            if repeats and time.monotonic() - began > order.patience:
                self._view.line(f"{empty.name}: this machine is busy, so {len(repeats)} of {order.repeats} will do")
                break
            name = empty.name if order.repeats == 1 else f"{empty.name}, {number + 1} of {order.repeats}"
            with self._view.progress(name) as tell:
                repeats.append(measure(stub, start(), order.timing, tell))
        return Measurement(
            title=empty.title, settings=empty.settings, target=empty.target, repeats=repeats, notes=empty.notes
        )
