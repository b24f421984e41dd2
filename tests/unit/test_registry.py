"""Contract 10: every plugin comes through one door, and one that cannot is named with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from forkstream import ObjectStage, PluginError, Settings
from forkstream.registry import Kind, Offer, Registry, load_file, port_of
from tests.config_kit import Compress, Queue, Table, offer, registry

WEBHOOK = '''
from __future__ import annotations
from collections.abc import Collection, Sequence
from forkstream import Event, EventSink, EventStage, Failure, Settings

class WebhookConfig(Settings):
    url: str

class HttpWebhook(EventSink[WebhookConfig]):
    """POST each batch."""

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        return []

class Mark(EventStage[Settings]):
    name = "marker"

    def __call__(self, event: Event) -> Event:
        return event

class _Internal(Mark):
    pass
'''


def refusal(kind: Kind, name: str, *more: Offer) -> str:
    with pytest.raises(PluginError) as caught:
        registry(*more).find(kind, name)
    return str(caught.value)


def broken(plugin: object, kind: Kind = Kind.SINK) -> Offer:
    def load() -> object:
        if isinstance(plugin, Exception):
            raise plugin
        return plugin

    return Offer(kind=kind, name="broken", distribution="acme-sinks", version="2.1", target="acme:Broken", load=load)


def test_a_plugin_is_found_by_kind_and_name() -> None:
    assert registry().find(Kind.SOURCE, "queue") is Queue
    assert registry(offer(Kind.SINK, "queue", Table)).find(Kind.SINK, "queue") is Table
    assert registry().names(Kind.STAGE) == ["compress", "encrypt", "enrich", "scrub"]


def test_an_unknown_name_is_told_with_the_nearest_the_known_and_what_to_do() -> None:
    assert refusal(Kind.SINK, "buckte") == (
        "no sink is called 'buckte', did you mean 'bucket'?; known sinks: bucket, embedded, ordered-table, table; "
        "one of another distribution has to be installed beside forkstream (pip install …), "
        "one in a file is loaded with --plugin FILE"
    )


def test_a_name_of_another_kind_is_told_as_such() -> None:
    assert refusal(Kind.SINK, "compress").startswith("'compress' is a stage, not a sink; known sinks: ")


def test_two_distributions_with_one_name_are_both_named() -> None:
    twin = Offer(
        kind=Kind.SINK, name="bucket", distribution="acme-sinks", version="2.1", target="a:B", load=lambda: Table
    )
    assert refusal(Kind.SINK, "bucket", twin) == (
        "sink 'bucket' is offered by acme-sinks 2.1 and by fakes 1.0: only one of them can be there, so uninstall or rename the others"
    )


def test_a_plugin_that_fails_to_import_is_named_with_the_cause_and_what_to_do() -> None:
    why = "sink 'broken' of acme-sinks 2.1 cannot be imported (acme:Broken): "
    missing = ModuleNotFoundError("No module named 'acme_client'", name="acme_client")
    assert refusal(Kind.SINK, "broken", broken(missing)) == (
        f"{why}ModuleNotFoundError: No module named 'acme_client': "
        "install it beside the plugin, which `pip install acme-sinks` does if that requires it"
    )
    gone = ImportError("cannot import name 'Gone' from 'forkstream.ports'", name="forkstream.ports")
    assert refusal(Kind.SINK, "broken", broken(gone)) == (
        f"{why}ImportError: cannot import name 'Gone' from 'forkstream.ports': "
        "it seems to be made for another forkstream, so install a release of acme-sinks that fits this one"
    )
    assert refusal(Kind.SINK, "broken", broken(RuntimeError("a bug"))) == (
        f"{why}RuntimeError: a bug: mend it, or install another release of acme-sinks"
    )


class OfOldPorts(Table):
    ports_version: ClassVar[int] = 0


class Unfinished(ObjectStage[Settings]):
    suffix = ""


@pytest.mark.parametrize(
    ("plugin", "kind", "message"),
    [
        (Path, Kind.SINK, "sink 'broken' of acme-sinks 2.1 is no plugin: acme:Broken is not a class derived from a port"),
        (3, Kind.SINK, "sink 'broken' of acme-sinks 2.1 is no plugin: acme:Broken is not a class derived from a port"),
        (Compress, Kind.SINK, "sink 'broken' of acme-sinks 2.1 is an ObjectStage, where EventSink or ObjectSink is due: register it under another entry-point group"),
        (Unfinished, Kind.STAGE, "stage 'broken' of acme-sinks 2.1 is unfinished: it does not define prepare"),
        (OfOldPorts, Kind.SINK, "sink 'broken' of acme-sinks 2.1 is made for version 0 of the ports, this forkstream has version 1: install a release of acme-sinks that fits, or another forkstream"),
    ],
)  # fmt: skip
def test_what_is_no_plugin_that_can_run_here_is_told_why(plugin: object, kind: Kind, message: str) -> None:
    assert refusal(kind, "broken", broken(plugin, kind)) == message


def test_a_file_offers_the_plugins_that_it_defines(tmp_path: Path) -> None:
    path = tmp_path / "webhook.py"
    path.write_text(WEBHOOK)
    offers = {each.name: each for each in load_file(path)}
    assert {name: each.kind for name, each in offers.items()} == {"http-webhook": Kind.SINK, "marker": Kind.STAGE}
    plugin = Registry(offers.values()).find(Kind.SINK, "http-webhook")
    assert plugin.settings_type().__struct_fields__ == ("url",)
    assert load_file(path)[0].load() is offers["http-webhook"].load(), "a file is run once a process"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.py", "import acme_client", "cannot be loaded: ModuleNotFoundError: No module named 'acme_client'"),
        ("e.py", "x = 1\ny = x / 0", "cannot be loaded: ZeroDivisionError: division by zero (line 2)"),
        ("b.py", "def", "cannot be loaded: SyntaxError: "),
        (
            "c.py",
            "from forkstream import EventSink",
            "defines no plugin: derive a class from a port of forkstream.ports",
        ),
        ("d.txt", "", "is not a Python file (its name must end in .py)"),
        ("missing.py", None, "cannot be loaded: FileNotFoundError: "),
    ],
)
def test_a_file_without_a_plugin_is_told_why(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(PluginError) as caught:
        load_file(path)
    assert str(caught.value).startswith(f"plugin file {path} {message}")


def test_a_file_s_plugin_with_an_installed_name_is_ambiguous(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(WEBHOOK.replace('name = "marker"', 'name = "scrub"'))
    assert refusal(Kind.STAGE, "scrub", *load_file(path)) == (
        f"stage 'scrub' is offered by {path} and by fakes 1.0: only one of them can be there, so uninstall or rename the others"
    )


def test_every_installed_plugin_loads_and_its_settings_can_be_read() -> None:
    """The built-ins come through the same door as everyone's."""
    from forkstream.config.reference import reference  # noqa: PLC0415

    installed = Registry.installed()
    built_in = [each for each in installed.offers if each.distribution == "forkstream"]
    assert len(built_in) >= 13
    for each in built_in:
        plugin = installed.find(each.kind, each.name)
        assert port_of(plugin) in each.kind.ports
        assert list(reference(plugin.settings_type(), "X")) or not plugin.settings_type().__struct_fields__


def test_contract_10_reading_a_config_imports_only_the_plugins_that_it_names(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("forks: {one: {source: memory, sink: blackhole}}")
    script = (
        "import json, sys\n"
        "from forkstream.config.loading import load_config\n"
        f"load_config({str(config)!r}, environ={{}})\n"
        "print(json.dumps([m for m in sys.modules if m.startswith(('forkstream.', 'aioboto', 'boto', 'aiohttp'))]))"
    )
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60).stdout
    modules = json.loads(output)
    assert {"forkstream.sources.memory", "forkstream.sinks.blackhole"} <= set(modules)
    plugins = {
        "forkstream.sources.sqs",
        "forkstream.sinks.s3",
        "forkstream.sinks.opensearch",
        "forkstream.stages.encrypt",
    }
    assert not plugins & set(modules)
    assert not [module for module in modules if not module.startswith("forkstream.")]
