"""The demo from start to end: an AWS of its own, the application deployed on it, the service, the exercises."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from forkstream.demo import leash
from forkstream.demo.application import DEPLOY, Application, deploy
from forkstream.demo.buyers import Buyers
from forkstream.demo.destinations import Destinations
from forkstream.demo.embedded_aws import EmbeddedAws, embedded_aws
from forkstream.demo.environment import secluded
from forkstream.demo.exercises import Exercises
from forkstream.demo.interruptible import Interrupted, hold_signals, interruptible
from forkstream.demo.reach import reach
from forkstream.demo.report import Report
from forkstream.demo.scratch import scratch
from forkstream.demo.search import Search
from forkstream.demo.service_process import ServiceProcess
from forkstream.demo.view import View
from forkstream.demo.walk import Walk
from forkstream.errors import CommandError
from forkstream.status import ServiceStatus

KILL_ORDERS = 500
"""Orders that are posted at least while the service is killed again and again: with fewer, little is under way."""


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo is asked to show. ``rate`` is in orders a second."""

    orders: int = 200
    rate: float = 100.0
    kill: bool = False
    keep: bool = False
    opensearch: str | None = None
    aside: bool = False
    """Whether what people read goes to standard error, since standard output is for a machine."""


def play(script: Script, tell: Callable[[Report], None]) -> Report:
    """Play the demo; ``tell`` is called with what came of it while what is to be kept still runs.

    However it ends, what it started ends with it. Raises :class:`Interrupted` for SIGINT, SIGTERM and SIGHUP.
    """
    started = time.monotonic()
    if not (DEPLOY / "application.yaml").is_file():
        raise CommandError(
            f"{DEPLOY} is not there: the demo runs the application of a checkout. Clone forkstream's repository, and in "
            "it pip install -e '.[local]' -e plugins/forkstream-checkout -e plugins/forkstream-duckdb"
        )
    hold_signals()
    with _set_up(script) as stage:
        first_order_seconds = _walk(script, stage, started)
        checks = stage.walk.checks
        report = Report(
            ok=all(check.ok for check in checks),
            seconds=round(time.monotonic() - started, 1),
            first_order_seconds=first_order_seconds,
            checks=checks,
            reach=stage.reach if script.keep else {},
        )
        for line in report.lines():
            stage.walk.view.line(line)
        tell(report)
        if script.keep:
            _stay(stage)
        return report


class Stage(msgspec.Struct, frozen=True):
    """Everything that is up while the demo plays."""

    walk: Walk
    exercises: Exercises
    reach: dict[str, str]


def _walk(script: Script, stage: Stage, started: float) -> float:
    """Walk the exercises; returns when the first order was there, in seconds."""
    exercises = stage.exercises
    exercises.first_order()
    first = round(time.monotonic() - started, 1)
    stage.walk.view.say(f"{first} s since the start of the demo")
    exercises.checkout(script.orders)
    exercises.backup()
    exercises.search()
    exercises.dead_letter()
    exercises.replay(max(10, script.orders // 10))
    if script.kill:
        exercises.kill(max(script.orders, KILL_ORDERS))
    if not script.keep:
        if script.kill:
            stage.walk.view.say("The forks as they count since the service was last started:")
        stage.walk.view.show_forks()
        exercises.stop()
    return first


@contextmanager
def _set_up(script: Script) -> Iterator[Stage]:
    before = dict(os.environ)
    with ExitStack() as stack:
        directory = stack.enter_context(scratch())
        stack.enter_context(_environment(directory))
        opening = _search(script.opensearch, directory)
        view = stack.enter_context(View(aside=script.aside))
        with _ending(view), interruptible():
            view.title("Setting the stage")
            search = stack.enter_context(opening)
            with view.step("an embedded AWS on loopback (ministack)"):
                aws = stack.enter_context(embedded_aws(directory))
                os.environ.update(aws.environment)  # this process too talks to no other AWS
            with view.step("deploy/application.yaml: API, function, topic, queues, table, buckets, key"):
                application = deploy(aws)
            with view.step(f"forkstream run {search.config.name}: four forks, one process"):
                service = ServiceProcess(search.config, _settings(aws, application, directory, search), directory)
                stack.callback(service.kill)
                service.start()
            walk = Walk(service, Buyers(application.checkout_url, script.rate), view)
            destinations = Destinations(aws, application, search)
            view.watch(lambda: _status(service, destinations))
            stack.callback(view.stop)  # before what it watches
            yield Stage(walk, Exercises(walk, destinations), reach(directory, before, service, application, search))


@contextmanager
def _ending(view: View) -> Iterator[None]:
    try:
        yield
    except Interrupted:
        _say_ending(view)
        raise


def _say_ending(view: View) -> None:
    """Say at once that a signal was heard: to end everything takes some seconds."""
    view.stop()
    view.line("ending: the service, the embedded AWS and their files")


def _status(service: ServiceProcess, destinations: Destinations) -> ServiceStatus | None:
    """The service's own account, with the lag as it is now: the service asks for it once a minute."""
    status = service.status()
    if status is None:
        return None
    forks = [replace(fork, lag=destinations.lag(fork.name)) for fork in status.forks]
    return replace(status, forks=forks)


@contextmanager
def _environment(directory: Path) -> Iterator[None]:
    """Make this process's environment the demo's own, for all that it starts too."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(secluded(before), **{leash.DIRECTORY: str(directory)})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _search(opensearch: str | None, directory: Path) -> AbstractContextManager[Search]:
    # either takes its time to import, and one of them is enough
    if opensearch:
        from forkstream.demo.opensearch_search import opensearch_search  # noqa: PLC0415

        return opensearch_search(opensearch)
    from forkstream.demo.duckdb_search import duckdb_search  # noqa: PLC0415

    return duckdb_search(directory)


def _settings(aws: EmbeddedAws, application: Application, directory: Path, search: Search) -> dict[str, str]:
    """What ECS would set from the stack's outputs, and what makes a demo of minutes of a service of years."""
    return {
        **aws.environment,
        **application.environment,
        **search.environment,
        "FORKSTREAM_CONFIG": str(search.config),
        "FORKSTREAM_CONTROL": f"file:{directory}/control.json",
        "FORKSTREAM_STOP_TIMEOUT": "10",
        "FORKSTREAM_FORKS__STORAGE_BACKUP__BATCH__MAX_AGE": "2s",
        # a killed service hides what it held for this long and a batch's age
        "FORKSTREAM_FORKS__STORAGE_BACKUP__WRITE_TIMEOUT": "10s",
        "FORKSTREAM_FORKS__CHECKOUT__WRITE_TIMEOUT": "10s",
        "FORKSTREAM_FORKS__SEARCH_ANALYTICS__WRITE_TIMEOUT": "10s",
    }


def _stay(stage: Stage) -> None:
    """Stay until a signal, or until the service ends by itself."""
    try:
        while stage.walk.service.running:
            time.sleep(1)
    except Interrupted:
        _say_ending(stage.walk.view)
        return
    raise CommandError(f"the service has ended:\n{stage.walk.service.log_tail()}")
