"""``forkstream iam``: the least-privilege policy of a config."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from forkstream.cli.options import ConfigArgument, ForkOption, PluginOption
from forkstream.config.loading import Config, load_config
from forkstream.errors import CommandError
from forkstream.iam import MAX_CHARACTERS, Place, grants, policy
from forkstream.ports import Permission
from forkstream.registry import Registry
from forkstream.settings import AwsSettings

_KEY = re.compile(
    r"(?P<service>sqs|sns|s3|dynamodb|ssm|secretsmanager)=(?P<arn>arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/.+)"
)


def iam(  # a command's options
    config: ConfigArgument = None,
    *,
    fork: ForkOption = None,
    plugin: PluginOption = None,
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="The account of what is given by its name alone.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="The region where neither the config nor $AWS_REGION names one."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SERVICE=ARN",
            help="A customer's KMS key that encrypts what lies at sqs, sns, s3, dynamodb, ssm or secretsmanager; repeatable.",
        ),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(metavar="ARN", help="The policy of a role that the config assumes, not of the service itself."),
    ] = None,
) -> None:
    """Print the IAM policy that the service needs and no more, from what each plugin says it does.

    Nobody is asked anything, but for what ${ssm:…} and ${secretsmanager:…} of the config stand for.

    Redriving dead letters and writing the desired state from a command need the rights of whoever runs the command. The
    service writes the desired state itself only if `admin.token` lets others than its own machine ask it to.

    [bold]Examples[/]

    forkstream iam deploy/ecommerce.yaml --account 123456789012

    forkstream iam --fork storage-backup --key sqs=arn:aws:kms:eu-west-1:123456789012:key/6f3c…

    forkstream iam s3://config/forkstream.yaml --role arn:aws:iam::123456789012:role/orders-writer
    """
    if account and not re.fullmatch("[0-9]{12}", account):
        raise CommandError(f"--account: expected the 12 digits of an account, found {account!r}")
    loaded = load_config(config, forks=fork or (), registry=Registry.installed(plugin or ()), run="iam")
    place = Place(
        region=region or loaded.file.aws.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        account=account,
        keys=_keys(key or ()),
    )
    needed = [*needs(loaded)]
    document = policy(grants(needed, place, role))
    if not document["Statement"]:
        raise CommandError(
            f"nothing in {loaded.document} acts as {role}" if role else f"{loaded.document} needs no AWS"
        )
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    size = len(msgspec.json.encode(document))
    if size > MAX_CHARACTERS:
        print(
            f"{size} characters: more than the {MAX_CHARACTERS} of a managed policy, split it by --fork",
            file=sys.stderr,
        )


def needs(loaded: Config) -> Iterator[Permission]:
    """Gather what the config's plugins need, and what the service needs to read its config and to be steered."""
    yield from _to_be_read(loaded.document)
    for reference in sorted(loaded.references):
        yield from _to_be_fetched(reference, loaded.file.aws)
    for plan in loaded.plans:
        for _, plugin in plan.steps:
            yield from plugin.permissions()
    control = loaded.file.control or ""
    if control.startswith("ssm:"):
        changing = ("ssm:PutParameter",) if loaded.file.admin.token else ()
        resource = _parameter(control.removeprefix("ssm:"))
        yield Permission(actions=("ssm:GetParameter", *changing), resource=resource, aws=loaded.file.aws)
        writing = ("kms:Encrypt",) if changing else ()
        yield Permission(actions=("kms:Decrypt", *writing), key_of="ssm", aws=loaded.file.aws)


def _to_be_read(document: str) -> Iterator[Permission]:
    if document.startswith("s3://"):
        arn = f"arn:{{partition}}:s3:::{document.removeprefix('s3://')}"
        yield Permission(actions=("s3:GetObject",), resource=arn)
        yield Permission(actions=("kms:Decrypt",), key_of="s3")
    if document.startswith("ssm:"):
        yield from _to_be_fetched(document, AwsSettings())


def _to_be_fetched(reference: str, aws: AwsSettings) -> Iterator[Permission]:
    kind, _, name = reference.partition(":")
    name = name.partition("#")[0]
    if kind == "ssm":
        yield Permission(actions=("ssm:GetParameter",), resource=_parameter(name), aws=aws)
        yield Permission(actions=("kms:Decrypt",), key_of="ssm", aws=aws)
    if kind == "secretsmanager":  # a secret's ARN ends in six characters that its name does not tell
        arn = f"arn:{{partition}}:secretsmanager:{{region}}:{{account}}:secret:{name}-??????"
        resource = name if name.startswith("arn:") else arn
        yield Permission(actions=("secretsmanager:GetSecretValue",), resource=resource, aws=aws)
        yield Permission(actions=("kms:Decrypt",), key_of="secretsmanager", aws=aws)


def _parameter(name: str) -> str:
    return (
        name
        if name.startswith("arn:")
        else f"arn:{{partition}}:ssm:{{region}}:{{account}}:parameter/{name.lstrip('/')}"
    )


def _keys(texts: list[str] | tuple[()]) -> dict[str, tuple[str, ...]]:
    keys: dict[str, tuple[str, ...]] = {}
    for text in texts:
        found = _KEY.fullmatch(text)
        if not found:
            raise CommandError(
                f"--key: expected SERVICE=ARN, the key's own ARN, such as sqs=arn:aws:kms:…, found {text!r}"
            )
        keys[found["service"]] = (*keys.get(found["service"], ()), found["arn"])
    return keys
