"""The e-commerce application on the embedded AWS: the template that ``deploy/`` ships for AWS, packaged and deployed."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import ClientError, WaiterError

from forkstream.demo.embedded_aws import EmbeddedAws
from forkstream.errors import CommandError

DEPLOY = Path(__file__).parents[2] / "deploy"
"""Where the template and the config of the application lie: ``deploy/`` of a checkout."""

_LOCAL_CODE = re.compile(r"^( *)Code: (\S+\.py)$", re.MULTILINE)
_FORKS = ("Checkout", "Backup", "Search", "Replay")


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """The deployed application: what a test or the demo needs to reach each part of it."""

    checkout_url: str
    """Where to POST orders."""
    topic_arn: str
    table: str
    backup_bucket: str
    dead_letter_bucket: str
    key_arn: str
    queues: dict[str, str]
    """The queues' URLs by fork: ``checkout``, ``storage-backup``, ``search-analytics`` and ``replay``."""
    redrive_queues: dict[str, str]
    environment: dict[str, str]
    """The stack's outputs as the environment variables that ``ecommerce.yaml`` asks for."""


def deploy(aws: EmbeddedAws, *, stack: str = "shop", directory: Path = DEPLOY, **parameters: str) -> Application:
    """Deploy ``application.yaml`` of ``directory`` as a stack, and wait until it stands.

    ``parameters`` are the template's. Raises :class:`CommandError` with what CloudFormation says if it fails.
    """
    file = directory / "application.yaml"
    if not file.is_file():
        raise CommandError(f"{file} is not there: the application is deployed from a checkout of forkstream")
    template = _package(aws, file, bucket=f"{stack}-artifacts")
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=template,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    try:
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=stack, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600}
        )
    except WaiterError as error:
        raise CommandError(f"the stack {stack} was not created: {_reasons(cloudformation, stack) or error}") from None
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
    # the host name in CheckoutUrl would need a DNS that knows *.localhost; this path leads to the same API
    outputs["CheckoutUrl"] = f"{aws.endpoint_url}/_aws/execute-api/{outputs['CheckoutApi']}/$default/checkout"
    _set_redrive_policies(aws, outputs)
    return _application(outputs)


def _package(aws: EmbeddedAws, template: Path, *, bucket: str) -> str:
    """Do what ``aws cloudformation package`` does: upload local code, and point the template at the upload."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})

    def uploaded(code: re.Match[str]) -> str:
        source = template.parent / code[2]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(source, source.name)
        key = f"{source.stem}.zip"
        s3.put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
        return f"{code[1]}Code: {{S3Bucket: {bucket}, S3Key: {key}}}"

    return _LOCAL_CODE.sub(uploaded, template.read_text())


def _set_redrive_policies(aws: EmbeddedAws, outputs: dict[str, str]) -> None:
    """Set what the template says of redrive and the embedded AWS's CloudFormation leaves out."""
    sqs = aws.client("sqs")
    for fork in _FORKS:
        redrive = sqs.get_queue_attributes(QueueUrl=outputs[f"{fork}RedriveQueue"], AttributeNames=["QueueArn"])
        policy = {"deadLetterTargetArn": redrive["Attributes"]["QueueArn"], "maxReceiveCount": 10}
        sqs.set_queue_attributes(QueueUrl=outputs[f"{fork}Queue"], Attributes={"RedrivePolicy": json.dumps(policy)})


def _application(outputs: dict[str, str]) -> Application:
    names = dict(zip(("checkout", "storage-backup", "search-analytics", "replay"), _FORKS, strict=True))
    return Application(
        checkout_url=outputs["CheckoutUrl"],
        topic_arn=outputs["CheckoutEventsTopic"],
        table=outputs["CheckoutTable"],
        backup_bucket=outputs["BackupBucket"],
        dead_letter_bucket=outputs["DeadLetterBucket"],
        key_arn=outputs["KmsKey"],
        queues={fork: outputs[f"{name}Queue"] for fork, name in names.items()},
        redrive_queues={fork: outputs[f"{name}RedriveQueue"] for fork, name in names.items()},
        environment={re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).upper(): value for key, value in outputs.items()},
    )


def _reasons(cloudformation: Any, stack: str) -> str:
    try:
        events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    except ClientError:
        return ""
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    return "; ".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed)
