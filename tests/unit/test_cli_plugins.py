"""What ``forkstream plugins`` shows of what is installed and of what a file brings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli_kit import run

WEBHOOK = '''
from __future__ import annotations
from collections.abc import Collection, Sequence
from typing import Annotated, Literal
from msgspec import Meta, field
from forkstream import Duration, Event, EventSink, Failure, Secret, Settings, Size

class Retry(Settings):
    """How often it is tried."""
    limit: Annotated[Size, Meta(description="size of a request", ge=1024)] = Size(5 * 2**20)

class Proxy(Settings):
    """How to reach it through a proxy."""
    port: int = 8080
    host: str

class Route(Settings):
    """One way."""
    to: str

class WebhookConfig(Settings):
    url: Annotated[str, Meta(description="where to")]
    wait: Duration = Duration(90)
    token: Secret = Secret("hunter2")
    verb: Literal["POST", "PUT"] = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    retry: Retry = Retry()
    log: bool | Retry = Retry()
    proxy: Proxy | None = None
    routes: dict[str, str | Route] = field(default_factory=dict)
    secret_name: str

class Webhook(EventSink[WebhookConfig]):
    """POST each batch.

    As NDJSON, **always**: ``url`` takes it, see :class:`~forkstream.ports.EventSink` and :meth:`write`.
    """

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return []
'''

ABOUT = """\
webhook (sink, EventSink) of webhook.py

POST each batch.

As NDJSON, always: `url` takes it, see EventSink and write.

  url: text (required)
    where to
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__URL

  secret_name: text (required)
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__SECRET_NAME

  wait: a number with a unit (ms, s, m, h, d), such as 60s (default 90s)
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__WAIT

  token: text (default ********)
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__TOKEN

  verb: one of POST, PUT (default POST)
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__VERB

  headers: a mapping of names to text (default {})
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__HEADERS

  retry.limit: a number with a unit (B, KiB, MiB, GiB, KB, MB, GB) of at least 1KiB, such as 5MiB (default 5MiB)
    size of a request
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__RETRY__LIMIT

  log: true or false or settings (limit) (default {limit: 5MiB})
    How often it is tried.
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__LOG

  log.limit: a number with a unit (B, KiB, MiB, GiB, KB, MB, GB) of at least 1KiB, such as 5MiB (default 5MiB)
    size of a request
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__LOG__LIMIT

  proxy: settings (port, host) (optional)
    How to reach it through a proxy.
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__PROXY

  proxy.host: text (required within proxy)
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__PROXY__HOST

  proxy.port: a whole number (default 8080)
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__PROXY__PORT

  routes: a mapping of names to text or settings (to) (default {})
    FORKSTREAM_FORKS__<FORK>__SINK__WEBHOOK__ROUTES

  routes.<name>.to: text (required within routes)

"""


@pytest.fixture(autouse=True)
def webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("webhook.py").write_text(WEBHOOK)


def test_the_list_names_every_plugin_with_its_port_and_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plugins", "list", "--plugin", "webhook.py", "--json") in (0, 1)
    rows = json.loads(capsys.readouterr().out)
    webhook = next(row for row in rows if row["name"] == "webhook")
    assert webhook == {
        "name": "webhook",
        "kind": "sink",
        "port": "EventSink",
        "distribution": "webhook.py",
        "version": "",
        "problem": "",
    }
    built_in = {(row["kind"], row["name"]): row for row in rows if row["distribution"] == "forkstream"}
    assert {("source", "sqs"), ("sink", "sqs"), ("stage", "sanitize"), ("stage", "compress")} <= built_in.keys()
    assert not [row for row in built_in.values() if row["problem"]]


def test_the_list_is_a_table_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    run("plugins", "list", "--plugin", "webhook.py")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "kind", "port", "distribution", "version", "state"]
    assert ["webhook", "sink", "EventSink", "webhook.py", "ok"] in [line.split() for line in lines]


def test_no_name_and_no_reason_in_the_list_is_cut_or_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "a_file_with_a_name_that_is_longer_than_most_of_them.py"
    Path(name).write_text(WEBHOOK + "    def partition(self): return ''\n")
    assert run("plugins", "list", "--plugin", name) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("webhook ")]
    assert f"  {name}  " in line
    assert line.endswith("partition is called with (event), and cannot be: too many positional arguments")


def test_a_plugin_without_a_docstring_is_told_to_have_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("silent.py").write_text(re.sub(r'    """.*?"""\n', "", WEBHOOK, flags=re.DOTALL))
    run("plugins", "about", "webhook", "--plugin", "silent.py")
    assert "It says nothing of itself: its class has no docstring." in capsys.readouterr().out


def test_settings_that_cannot_be_understood_are_the_plugin_s_fault(capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd.py").write_text(WEBHOOK.replace("secret_name: str", "secret_name: Nowhere"))
    told = "sink 'webhook' of odd.py: its settings WebhookConfig cannot be understood: name 'Nowhere' is not defined"
    assert run("plugins", "about", "webhook", "--plugin", "odd.py") == 2
    assert capsys.readouterr().err == f"{told}\n"
    assert run("plugins", "list", "--plugin", "odd.py") == 1
    assert told in capsys.readouterr().out


def test_a_type_that_no_config_can_hold_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd.py").write_text(WEBHOOK.replace("secret_name: str", "secret_name: complex"))
    assert run("plugins", "about", "webhook", "--plugin", "odd.py") == 0
    assert "  secret_name: a complex, which no config can hold (required)\n" in capsys.readouterr().out


def test_what_cannot_be_loaded_is_listed_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file.py").write_text(WEBHOOK.replace("class Webhook(", "class File("))
    assert run("plugins", "list", "--plugin", "file.py", "--json") == 1
    problems = [row["problem"] for row in json.loads(capsys.readouterr().out) if row["problem"]]
    assert len(problems) == 2
    assert problems[0].startswith("sink 'file' is offered by file.py and by forkstream ")


def test_about_explains_each_setting_with_its_default_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plugins", "about", "webhook", "--plugin", "webhook.py") == 0
    assert capsys.readouterr().out == ABOUT


def test_about_shows_each_kind_of_a_name_or_the_one_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plugins", "about", "sqs", "--json") == 0
    assert [each["kind"] for each in json.loads(capsys.readouterr().out)] == ["source", "sink"]
    assert run("plugins", "about", "sqs", "--kind", "source", "--json") == 0
    (source,) = json.loads(capsys.readouterr().out)
    assert source["settings"][0]["variable"] == "FORKSTREAM_FORKS__<FORK>__SOURCE__SQS__QUEUE"
    assert "``" not in source["description"]


def test_about_gives_a_machine_each_setting_with_its_units_and_what_it_is_required_within(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("plugins", "about", "webhook", "--plugin", "webhook.py", "--json") == 0
    settings = {one["name"]: one for one in json.loads(capsys.readouterr().out)[0]["settings"]}
    assert settings["wait"]["units"] == ["ms", "s", "m", "h", "d"]
    assert settings["url"]["units"] == []
    required = {name: (one["required"], one["required_within"]) for name, one in settings.items()}
    assert (required["url"], required["wait"]) == ((True, ""), (False, ""))
    assert (required["proxy.host"], required["proxy.port"]) == ((False, "proxy"), (False, ""))


def test_about_an_unknown_plugin_points_to_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plugins", "about", "webhok", "--plugin", "webhook.py") == 2
    assert capsys.readouterr().err == "no plugin is called 'webhok', did you mean webhook?\n"
