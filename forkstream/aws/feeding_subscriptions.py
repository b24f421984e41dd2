"""The SNS subscriptions of one topic that feed one queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from forkstream.aws.errors import translating
from forkstream.aws.session import AwsSession
from forkstream.errors import UnavailableError
from forkstream.settings import AwsSettings

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient


async def feeding_subscriptions(topic: str, queue: str, settings: AwsSettings) -> dict[str, Mapping[str, str]]:
    """Ask SNS for the topic's subscriptions to the queue, all three by their ARNs, each with its attributes; none if the topic is gone.

    Left out is what delivers nothing: a subscription that its owner has not confirmed, or that ended since it was
    listed. Needs ``sns:ListSubscriptionsByTopic`` and ``sns:GetSubscriptionAttributes``.
    """
    session = AwsSession(msgspec.structs.replace(settings, region=topic.split(":")[3]))
    async with session.client("sns") as sns:
        feeding: dict[str, Mapping[str, str]] = {}
        for arn in await _listed(sns, topic, queue):
            with _unless_gone(), translating("sns:GetSubscriptionAttributes", topic):
                feeding[arn] = (await sns.get_subscription_attributes(SubscriptionArn=arn))["Attributes"]
        return feeding


async def _listed(sns: SNSClient, topic: str, queue: str) -> list[str]:
    found: list[str] = []
    with _unless_gone(), translating("sns:ListSubscriptionsByTopic", topic):
        async for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
            found += [
                one["SubscriptionArn"]
                for one in page["Subscriptions"]
                if one["Protocol"] == "sqs" and one["Endpoint"] == queue
            ]
    return [arn for arn in found if arn.startswith("arn:")]  # PendingConfirmation stands in an ARN's place


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except UnavailableError as error:
        if error.code != "missing":
            raise


def delivers_raw(attributes: Mapping[str, str]) -> bool:
    """Tell whether a subscription with these attributes delivers messages as they were published, without SNS's envelope."""
    return attributes.get("RawMessageDelivery") == "true"
