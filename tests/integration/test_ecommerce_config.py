"""The example config of ``deploy/`` against the application that it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from forkstream_checkout.table import BUG_SWITCH

from forkstream.config.loading import Config, load_config
from forkstream.config.plan import Plan
from forkstream.demo.application import DEPLOY, Application, deploy
from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.demo.overlay import overlaid
from forkstream.event import Attribute, Drop, Event
from forkstream.ports import EventStage
from tests.cli_kit import run

ORDER = b"""{"id":7,"date":"2026-01-31T12:00:00+01:00","customer":{"id":1,"name":"Ada"},"payment":{"id":2,"amount":450.00,
"currency":"usd","card-number":"4111 1111 1111 1111","card-cvv":"123"},"items":[{"quantity":2}]}"""


@pytest.fixture(scope="module")
def application(aws_server: EmbeddedAws) -> Application:
    return deploy(aws_server, stack="ecommerce-config")


@pytest.fixture
def environment(aws: EmbeddedAws, application: Application, tmp_path: Path) -> dict[str, str]:
    return aws.environment | application.environment | {"ANALYTICS_FILE": str(tmp_path / "analytics.duckdb")}


@pytest.fixture
def config(environment: dict[str, str]) -> Config:
    return load_config(
        str(DEPLOY / "ecommerce.yaml"), environ=environment | {"OPENSEARCH_URL": "https://search.example.com"}
    )


@pytest.fixture
def embedded(environment: dict[str, str], tmp_path: Path) -> Config:
    merged = tmp_path / "forkstream.yaml"
    merged.write_text(overlaid(DEPLOY / "ecommerce.yaml", DEPLOY / "embedded-search.yaml"))
    return load_config(str(merged), environ=environment)


def steps(plan: Plan) -> list[str]:
    return [step.split(".")[-1] for step, _ in plan.steps]


def test_the_outputs_of_the_application_are_all_that_it_needs_beside_a_search_url(config: Config) -> None:
    assert {plan.name: steps(plan) for plan in config.plans} == {
        "checkout": ["sqs", "sanitize", "checkout-table", "compress", "encrypt", "s3"],
        "storage-backup": ["sqs", "sanitize", "compress", "encrypt", "s3", "compress", "encrypt", "s3"],
        "search-analytics": ["sqs", "sanitize", "index", "opensearch", "compress", "encrypt", "s3"],
        "replay": ["sqs", "sqs", "compress", "encrypt", "s3"],
    }
    assert [plan.name for plan in config.plans if plan.settings.paused] == ["replay"]
    assert config.file.control == "ssm:/forkstream/ecommerce-config/control"


def test_the_overlay_exchanges_the_search_sink_and_nothing_else(config: Config, embedded: Config) -> None:
    for plan, other in zip(config.plans, embedded.plans, strict=True):
        swapped = [step.replace("opensearch", "duckdb") for step in steps(plan)]
        assert steps(other) == swapped
        assert other.settings.batch == plan.settings.batch
        assert other.settings.paused == plan.settings.paused


@pytest.mark.parametrize("fork", ["checkout", "storage-backup", "search-analytics"])
def test_no_fork_but_replay_lets_card_data_reach_its_sink(embedded: Config, fork: str) -> None:
    (plan,) = [plan for plan in embedded.plans if plan.name == fork]
    event: Event | Drop = Event(ORDER, id="m", attributes={"amount": Attribute("Number", "450.00")})
    for stage in plan.chain:
        assert isinstance(stage, EventStage)
        assert isinstance(event, Event)
        event = stage(event)
    assert isinstance(event, Event)
    assert b"card-" not in event.body
    assert b"4111" not in event.body
    assert b"450.00" in event.body


def test_every_dead_letter_is_encrypted(config: Config) -> None:
    for plan in config.plans:
        assert plan.dead_letter
        assert plan.dead_letter.object_stages[-1].encrypts


async def test_every_step_can_be_used(embedded: Config) -> None:
    for plan in embedded.plans:
        for _, plugin in plan.steps:
            async with plugin:
                await plugin.check()


def test_the_switch_of_the_drill_is_one_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORKSTREAM_CONTROL", f"file:{tmp_path}/control.json")
    assert run("switch", BUG_SWITCH, "off", str(DEPLOY / "ecommerce.yaml")) == 0
    assert not capsys.readouterr().err
