"""What is to be run: a config and an environment in which nothing but the stub can be reached."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from forkstream.bench.scenario import SCENARIOS, Scenario, Target, environment
from forkstream.bench.stub.server import REGION
from forkstream.config.document import Document, read_document
from forkstream.config.loading import Config, load_config, load_document
from forkstream.config.model import Step
from forkstream.config.overrides import fold
from forkstream.errors import CommandError
from forkstream.registry import Registry
from forkstream.settings import AwsSettings

_REFERENCE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"(?<!\$)\$\{(?:ssm|secretsmanager):[^{}]*\}")
_MADE_UP = "made-up-secret-of-more-than-thirty-two-characters"
_PLAYED = {"s3", "dynamodb", "opensearch", "sqs", "blackhole", "checkout-table"}
"""Sinks that reach nothing but the stub, or nothing at all."""
_SETTING = re.compile(r"[a-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+|\[\d+\])+")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One service to measure; ``options`` are those of ``forkstream run``."""

    title: str
    config: Path
    environment: dict[str, str]
    options: tuple[str, ...] = ()
    forks: tuple[str, ...] = ()
    target: Target | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of_scenario(cls, scenario: Scenario, directory: Path, environ: Mapping[str, str], url: str) -> Job:
        """Take a built-in scenario."""
        path = directory / f"{scenario.name}.yaml"
        path.write_text(scenario.config())
        return cls(
            title=scenario.name,
            config=path,
            environment=dict(environ) | environment(directory, url) | _own_settings(directory),
            forks=scenario.forks,
            target=scenario.target,
        )

    @classmethod
    def of_config(
        cls,
        location: str,
        directory: Path,
        environ: Mapping[str, str],
        url: str,
        *,
        forks: Sequence[str] = (),
        plugins: Sequence[Path] = (),
    ) -> Job:
        """Take a user's config, with every endpoint turned to the stub and a made-up value for each variable that is not set.

        Raises :class:`~forkstream.errors.ConfigError` with all of its problems, and CommandError where a fork would
        reach something that the stub does not play.
        """
        document = read_document(location, os.environ)
        path = directory / "config.yaml"
        text, secrets = _SECRET.subn(_MADE_UP, document.text)  # nothing outside of this machine is asked
        path.write_text(text)
        settings = {name: value for name, value in os.environ.items() if name.startswith("FORKSTREAM_")}
        made_up = dict(_made_up(document.text, url))
        environ = {**environ, **settings, **made_up, **_own_settings(directory)}
        told_as = Document(document.name, text)  # its problems are of the user's file, not of this copy
        loaded = load_document(told_as, forks=forks, registry=Registry.installed(plugins), environ=environ)
        refuse_others(loaded)
        told: tuple[str, ...] = (
            (f"made up: {', '.join(f'{name}={value}' for name, value in made_up.items())}",) if made_up else ()
        )
        told += (f"made up: {secrets} secrets that the config reads from AWS",) if secrets else ()
        return cls(
            title=location,
            config=path,
            environment=environ | dict(_turned(loaded, url)) | _profiles(loaded, directory),
            options=(
                *(word for name in forks for word in ("--fork", name)),
                *(word for plugin in plugins for word in ("--plugin", str(plugin))),
            ),
            forks=tuple(plan.name for plan in loaded.plans),
            notes=told,
        )

    def setting(self, settings: Sequence[str]) -> Job:
        """The same with settings such as ``forks.backup.batch.max_age=1s``; raises CommandError for one that is none."""
        return msgspec.structs.replace(self, environment=self.environment | dict(map(_variable, settings)))

    def check(self) -> None:
        """Raise :class:`~forkstream.errors.ConfigError` for what would keep the service from starting."""
        forks = [word for word in self.options if word in self.forks]
        plugins = [Path(word) for word in self.options if word.endswith(".py")]
        load_config(str(self.config), forks=forks, registry=Registry.installed(plugins), environ=self.environment)


def scenario_of(name: str) -> Scenario | None:
    """The built-in scenario of a name, None where it is a config's."""
    return SCENARIOS.get(name)


def refuse_others(loaded: Config) -> None:
    """Raise CommandError for a fork that does not live on the stub alone: made-up events must reach nobody."""
    for plan in loaded.plans:
        settings = plan.settings
        if settings.source.name != "sqs":
            found = settings.source.name
            raise CommandError(
                f"fork {plan.name}: the stub plays SQS, and its source is {found}: choose others by --fork"
            )
        if plan.source.ordered:
            raise CommandError(
                f"fork {plan.name}: the stub plays standard queues only, and its queue is FIFO: choose others by --fork"
            )
        sinks = [settings.sink, *([settings.dead_letter.sink] if settings.dead_letter else [])]
        for sink in sinks:
            if sink.name not in _PLAYED:
                raise CommandError(
                    f"fork {plan.name}: its sink {sink.name} would get made-up events, and the stub does not play it: "
                    f"choose other forks by --fork, or measure with one of {', '.join(sorted(_PLAYED))}"
                )


def _own_settings(directory: Path) -> dict[str, str]:
    """What the bench needs of a service, whatever its config says."""
    return {
        "FORKSTREAM_ADMIN__SOCKET": str(directory / "admin.sock"),
        "FORKSTREAM_CONTROL": f"file:{directory / 'control.json'}",
        "FORKSTREAM_STOP_TIMEOUT": "45",  # so that long polls are as long as they can be
    }


def _made_up(text: str, url: str) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(_REFERENCE.findall(text)):
        if name not in os.environ:
            if "URL" in name:
                yield name, url
            elif "KEY" in name:
                yield name, "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-4000-8000-000000000000"
            else:
                yield name, f"bench-{name.lower().replace('_', '-')}"


def _turned(loaded: Config, url: str) -> Iterator[tuple[str, str]]:
    """Yield the overrides that turn every endpoint of a config to the stub, and let its forks receive."""
    yield "FORKSTREAM_AWS__ENDPOINT_URL", url
    for plan in loaded.plans:
        fork, settings = f"FORKSTREAM_FORKS__{fold(plan.name)}", plan.settings
        yield f"{fork}__AWS__ENDPOINT_URL", url
        yield f"{fork}__PAUSED", "false"
        steps: list[tuple[str, Step]] = [("SOURCE", settings.source), ("SINK", settings.sink)]
        steps += [(f"STAGES__{place}", stage) for place, stage in enumerate(settings.stages)]
        if settings.dead_letter:
            steps.append(("DEAD_LETTER__SINK", settings.dead_letter.sink))
            steps += [(f"DEAD_LETTER__STAGES__{at}", stage) for at, stage in enumerate(settings.dead_letter.stages)]
        for where, step in steps:
            variable = f"{fork}__{where}__{fold(step.name)}"
            if step.name == "opensearch":
                yield f"{variable}__URL", url
            aws = getattr(step.settings, "aws", None)
            if aws is not None and aws.endpoint_url is not None:
                yield f"{variable}__AWS__ENDPOINT_URL", url


def _profiles(loaded: Config, directory: Path) -> dict[str, str]:
    """Write an AWS config file that has every profile which the config names, with credentials for the stub."""
    settings = [loaded.file.aws, *(plan.settings.aws for plan in loaded.plans)]
    for plan in loaded.plans:
        steps = (plan.settings.source, plan.settings.sink, *plan.settings.stages)
        settings += [aws for step in steps if isinstance(aws := getattr(step.settings, "aws", None), AwsSettings)]
    names = {aws.profile for aws in settings if aws.profile is not None}
    if not names:
        return {}
    path = directory / "aws-config"
    path.write_text(
        "".join(
            f"[profile {name}]\nregion = {REGION}\naws_access_key_id = bench\naws_secret_access_key = bench\n"
            for name in sorted(names)
        )
    )
    return {"AWS_CONFIG_FILE": str(path)}


def _variable(setting: str) -> tuple[str, str]:
    """Turn ``forks.backup.batch.max_age=1s`` into the environment variable that sets it."""
    path, equals, value = setting.partition("=")
    if not equals or not _SETTING.fullmatch(path.strip()):
        raise CommandError(f"--set: expected PATH=VALUE such as forks.backup.batch.max_age=1s, found {setting!r}")
    return "FORKSTREAM_" + "__".join(map(fold, re.findall(r"[A-Za-z0-9_-]+", path))), value.strip()
