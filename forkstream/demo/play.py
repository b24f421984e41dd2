"""The demo from start to end: an AWS of its own, the application deployed on it, the service, the exercises."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from forkstream.demo.application import DEPLOY, Application, deploy
from forkstream.demo.buyers import Buyers
from forkstream.demo.destinations import Destinations, DuckDBSearch, OpenSearchSearch, Search
from forkstream.demo.embedded_aws import EmbeddedAws, embedded_aws
from forkstream.demo.exercises import Exercises
from forkstream.demo.overlay import overlaid
from forkstream.demo.service_process import ServiceProcess
from forkstream.demo.view import Check, View


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo is asked to show. ``rate`` is in orders a second."""

    orders: int = 200
    rate: float = 100.0
    kill: bool = False
    keep: bool = False
    opensearch: str | None = None
    silent: bool = False


def play(script: Script) -> list[Check]:
    """Play the demo; returns what was checked. Whatever happens, no process stays behind."""
    started = time.monotonic()
    # a process manager ends the demo as a person does, and either way what it started ends with it
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="forkstream-demo-", ignore_cleanup_errors=True))
        )
        stage = stack.enter_context(_set_up(script, directory))
        exercises = stage.exercises
        exercises.first_order(started)
        exercises.checkout(script.orders)
        exercises.backup()
        exercises.search()
        exercises.dead_letter()
        exercises.replay(max(10, script.orders // 10))
        if script.kill:
            exercises.kill(max(script.orders, 1000))
        if script.keep:
            _keep(stage, directory)
        return exercises.checks


class Stage(msgspec.Struct, frozen=True):
    """Everything that is up while the demo plays."""

    application: Application
    service: ServiceProcess
    exercises: Exercises
    view: View
    search: Search


@contextmanager
def _set_up(script: Script, directory: Path) -> Iterator[Stage]:
    # ids that no earlier demo used: a real OpenSearch may hold the orders of one
    first_id = int(time.time()) * 1000
    service: ServiceProcess | None = None
    view = View(lambda: service.status() if service else None, silent=script.silent)
    with ExitStack() as stack:
        view.title("Setting the stage")
        view.say("an embedded AWS on loopback (ministack)")
        aws = stack.enter_context(embedded_aws(directory))
        os.environ.update(aws.environment)  # this process too talks to no other AWS
        view.say("deploy/application.yaml: API, function, topic, queues, table, buckets, key")
        application = deploy(aws)
        search: Search
        if script.opensearch:
            search, config = OpenSearchSearch(script.opensearch, first_id), DEPLOY / "ecommerce.yaml"
        else:
            search, config = DuckDBSearch(directory / "analytics.duckdb"), directory / "forkstream.yaml"
            config.write_text(overlaid(DEPLOY / "ecommerce.yaml", DEPLOY / "embedded-search.yaml"))
        view.say(f"forkstream run {config.name}: four forks, one process")
        service = ServiceProcess(config, _environment(aws, application, directory, script), directory)
        stack.callback(service.stop)
        service.start()
        stack.enter_context(view)
        destinations = Destinations(aws, application, search)
        buyers = Buyers(application.checkout_url, script.rate)
        exercises = Exercises(service, destinations, buyers, view, first_id=first_id)
        yield Stage(application, service, exercises, view, search)


def _environment(aws: EmbeddedAws, application: Application, directory: Path, script: Script) -> dict[str, str]:
    """What ECS would set from the stack's outputs, and what makes a demo of minutes of a service of years."""
    return {
        **aws.environment,
        **application.environment,
        "FORKSTREAM_CONTROL": f"file:{directory}/control.json",
        "ANALYTICS_FILE": f"{directory}/analytics.duckdb",
        "OPENSEARCH_URL": script.opensearch or "",
        "FORKSTREAM_STOP_TIMEOUT": "10",
        "FORKSTREAM_FORKS__STORAGE_BACKUP__BATCH__MAX_AGE": "2s",
        # a killed service hides what it held for this long and a batch's age
        "FORKSTREAM_FORKS__STORAGE_BACKUP__WRITE_TIMEOUT": "10s",
        "FORKSTREAM_FORKS__CHECKOUT__WRITE_TIMEOUT": "10s",
        "FORKSTREAM_FORKS__SEARCH_ANALYTICS__WRITE_TIMEOUT": "10s",
    }


def _keep(stage: Stage, directory: Path) -> None:
    """Leave everything running until Ctrl-C, and say how to reach it."""
    show, application = stage.view.console.print, stage.application
    environment = directory / "environment"
    wanted = {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    settings = stage.service.environment
    names = sorted(wanted | application.environment.keys() | {"FORKSTREAM_CONTROL", "ANALYTICS_FILE", "OPENSEARCH_URL"})
    environment.write_text("".join(f"export {name}='{settings[name]}'\n" for name in names if name in settings))
    stage.view.title("It goes on until Ctrl-C")
    show(
        f"  orders    curl -X POST -H 'content-type: application/json' -d @order.json '{application.checkout_url}'",
        soft_wrap=True,
    )
    show(f"  forks     curl {stage.service.admin}/forks   (also /health /ready /metrics)", soft_wrap=True)
    show(f"  log       tail -f {stage.service.log}", soft_wrap=True)
    show(f"  commands  . {environment}; forkstream resume replay {stage.service.config}", soft_wrap=True)
    show(f"  table     aws dynamodb scan --table-name {application.table}", soft_wrap=True)
    show(f"  bucket    aws s3 ls --recursive s3://{application.backup_bucket}", soft_wrap=True)
    if isinstance(stage.search, DuckDBSearch):
        question = "SELECT currency, count(*) AS orders, sum(amount) AS total FROM orders GROUP BY currency"
        show(f"  search    {sys.executable} -m forkstream_duckdb {stage.search.path} '{question}'", soft_wrap=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        show(f"\n  ending (pid {os.getpid()})")
