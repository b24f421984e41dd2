"""The JSON Schema of a config: an editor takes by it what the loader takes, and underlines what the loader refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from forkstream.config.schema import ConfigSchema
from forkstream.demo.overlay import overlaid
from forkstream.event import Event, Failure
from forkstream.ports import EventSink
from forkstream.registry import Kind, Registry
from forkstream.settings import Secret, Settings
from tests.cli_kit import run
from tests.config_kit import BucketConfig, Table, found, load, offer, one_fork, registry
from tests.unit.test_check_warnings import TEN_MISTAKES

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: pip install 'forkstream[test]'")
ROOT = Path(__file__).parents[2]


class _Core(yaml.SafeLoader):
    """Reads as an editor does, by YAML 1.2's core schema: ``yes`` is a text, ``1:30`` and ``2026-01-31`` too."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # overrides the class attribute of PyYAML's resolver


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


@pytest.fixture(scope="module")
def installed() -> Any:
    return jsonschema.Draft202012Validator(ConfigSchema(Registry.installed()).build())


@pytest.fixture(scope="module")
def of_fakes() -> Any:
    return jsonschema.Draft202012Validator(ConfigSchema(registry()).build())


def places(validator: Any, text: str) -> list[str]:
    """Where an editor could underline: the innermost places that fit none of their options."""
    read = yaml.load(text, _Core)  # noqa: S506  # a safe one, see its base
    return sorted({error.json_path for error in _innermost(validator.iter_errors(read))})


def _innermost(errors: Any) -> Iterator[Any]:
    for error in errors:
        if error.context:
            yield from _innermost(error.context)
        else:
            yield error


def test_it_is_a_schema_of_the_dialect_that_it_names(installed: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(installed.schema)
    assert installed.schema["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]


def test_the_shipped_configs_fit(installed: Any, tmp_path: Path) -> None:
    assert places(installed, (ROOT / "deploy/ecommerce.yaml").read_text()) == []
    for config in (ROOT / "deploy").glob("*.yaml"):
        if config.read_text().lstrip("# \n").startswith("forks:") and config.name != "embedded-search.yaml":
            assert places(installed, config.read_text()) == [], config
    assert places(installed, overlaid(ROOT / "deploy/ecommerce.yaml", ROOT / "deploy/embedded-search.yaml")) == []


def test_the_config_of_the_readme_fits(installed: Any) -> None:
    config = re.findall(r"```yaml\n(forks:\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    assert places(installed, config) == []


def test_mistakes_are_underlined_where_they_are(installed: Any) -> None:
    text = TEN_MISTAKES.replace(", region: eu-west-2", "")  # a name that stands twice is YAML's own mistake
    backup = "$.forks['storage-backup']"
    assert {
        f"{backup}", f"{backup}.stages[0]", f"{backup}.stages[1].compress.algorithm", f"{backup}.sink.s3.sse",
        f"{backup}.batch.max_age", "$.forks.search.sink", "$.forks.search.dead_letter.max_ratio",
    } <= set(places(installed, text))  # fmt: skip
    text = text.replace("60}", "60s}").replace("sanitise", "sanitize").replace("concurency", "concurrency")
    text = text.replace("brotli", "zstd").replace("blackhol", "blackhole").replace("max_ratio: 2", "max_ratio: 0.2")
    assert places(installed, text.replace("sse: AES", "sse: AES256")) == []  # limits of quantities are the loader's


@pytest.mark.parametrize(
    "settings",
    [
        "count: 5", "count: 5_000", "count: ${N}", "count: '${N:-5}'", "part: 5MiB", "part: 5.5 MB", "patience: 250ms",
        "pace: 500/s", "ratio: 0.25", "ratio: 1", "price: 0.10", "tags: {a: b}", "tags: {a: 1}", "tags:", "tags: ${TAGS}",
        "policy: {a: [{numeric: [1, 2]}]}", "token: abc", "token:", "token: 5", "pin: 12345", "even: 4", "tls: no", "tls: off",
        "tls: {verify: true, depth: 3}", "tls: {depth: }", "path: /a/b", "ports: [1, 2]", "ports: []", "ports:",
        "names: [a, b]", "shade: dark", "aws: {region: eu-west-1}", "aws:", "prefix: 2026-01-31", "prefix: 1:30",
    ],
)  # fmt: skip
def test_what_the_loader_takes_an_editor_takes(of_fakes: Any, settings: str) -> None:
    text = f"forks:\n  one:\n    source: {{queue: {{queue: q}}}}\n    sink:\n      bucket:\n        bucket: orders\n        {settings}\n"
    load(text, environ={"N": "5", "TAGS": "{a: b}"})
    assert places(of_fakes, text) == []


@pytest.mark.parametrize(
    "settings",
    [
        "count: five", "count: 5.5", "count: [1]", "count:", "part: 5", "part: 5 parsec", "patience: 60", "pace: 500",
        "ratio: 0", "ratio: 1.5", "even: 3", "even: 10", "even: -2", "tags: [a]", "tags: {a: [b]}", "policy: [1]",
        "tls: maybe", "tls: {verfy: true}", "tls: {depth: deep}", "ports: [a]", "ports: 5", "names: {a: b}",
        "shade: drak", "token: [a]", "aws: {regoin: eu-west-1}", "prefix:", "prefix: [a]", "no_such: 1",
    ],
)  # fmt: skip
def test_what_the_loader_refuses_is_underlined(of_fakes: Any, settings: str) -> None:
    text = f"forks:\n  one:\n    source: {{queue: {{queue: q}}}}\n    sink:\n      bucket:\n        bucket: orders\n        {settings}\n"
    assert found(text)
    assert places(of_fakes, text) != []


@pytest.mark.parametrize(
    "text",
    [
        "forks: {}",
        "fork: {}",
        "forks: {One: {source: in-memory, sink: table}}",
        one_fork("nowhere"),
        one_fork("bucket"),  # it needs a bucket's name
        one_fork("{bucket: {bucket: A}}"),
        one_fork("{bucket: {bucket: ab}}"),
        one_fork("{bucket: {}}"),
        one_fork("{}"),
        one_fork("{table: {}, bucket: {bucket: abc}}"),
        one_fork("[table]"),
        "forks: {one: {source: in-memory}}",
        "forks: {one: {source: in-memory, sink: table, batch: {max_events: 0}}}",
        "forks: {one: {source: in-memory, sink: table, format: xml}}",
        "forks: {one: {source: in-memory, sink: table, stages: scrub}}",
        "forks: {one: {source: in-memory, sink: table}}\nadmin: {port: 70000}",
        "forks: {one: {source: in-memory, sink: table}}\ncontrol: /tmp/x",
    ],
)
def test_what_cannot_stand_where_it_stands_is_underlined(of_fakes: Any, text: str) -> None:
    assert found(text)
    assert places(of_fakes, text) != []


def test_a_plugin_that_cannot_be_loaded_leaves_the_others_and_says_why() -> None:
    def broken() -> object:
        raise ImportError("no module named numpy")

    unusable = msgspec.structs.replace(offer(Kind.SINK, "broken", Table), load=broken)
    schema = ConfigSchema(registry(unusable)).build()
    sinks = schema["$defs"]["sink"]["oneOf"][0]["properties"]
    assert "no module named numpy" in sinks["broken"]["description"]
    assert "$ref" in sinks["bucket"]["anyOf"][0]


def test_it_explains_and_completes() -> None:
    schema = ConfigSchema(registry()).build()
    assert schema["$defs"]["BatchSettings"]["properties"]["max_open"]["default"] == 100
    bucket = schema["$defs"]["BucketConfig"]["properties"]
    assert bucket["patience"]["default"] == "1m"
    assert bucket["shade"]["default"] == "light"
    assert bucket["part"]["description"] == (
        "Expected: a number with a unit (B, KiB, MiB, GiB, KB, MB, GB) of at least 5MiB, such as 5MiB"
    )
    assert bucket["bucket"]["description"].startswith("the bucket's name. Expected: text")
    assert "default" not in bucket["token"]
    assert schema["$defs"]["BucketConfig"]["description"] == BucketConfig.__doc__
    stages = schema["$defs"]["stage"]["oneOf"]
    assert sorted(stages[0]["properties"]) == ["compress", "encrypt", "enrich", "scrub"]
    assert stages[1]["enum"] == ["compress", "enrich", "scrub"]


def test_no_default_of_a_secret_is_shown() -> None:
    class KeyConfig(Settings):
        key: Secret = Secret("changeme")

    class Keyed(EventSink[KeyConfig]):
        async def write(self, events: Sequence[Event]) -> Collection[Failure]:
            return []

    schema = ConfigSchema(registry(offer(Kind.SINK, "keyed", Keyed))).build()
    assert "key" in schema["$defs"]["KeyConfig"]["properties"]
    assert "changeme" not in json.dumps(schema)


def test_every_setting_of_the_file_and_of_every_built_in_is_explained() -> None:
    schema = ConfigSchema(Registry.installed()).build()
    silent = [
        f"{name}.{setting}"
        for name, definition in {**schema["$defs"], "": schema}.items()
        for setting, described in definition.get("properties", {}).items()
        if not described.get("description")
    ]
    assert silent == []


def test_two_settings_of_one_name_are_two_definitions() -> None:
    class Other(BucketConfig):
        """Of the same name."""

    Other.__name__ = "BucketConfig"
    schema = ConfigSchema(registry())
    schema.build()
    assert schema._nested(Other)["anyOf"][0] == {"$ref": "#/$defs/BucketConfig2"}


def test_the_command_prints_it_or_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["title"] == "forkstream's config"
    assert run("schema", "--output", str(tmp_path / "schema.json")) == 0
    assert (tmp_path / "schema.json").read_text() == printed
