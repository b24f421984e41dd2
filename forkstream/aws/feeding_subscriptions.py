"""The SNS subscriptions of one topic that feed one queue."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from forkstream.aws.errors import translating
from forkstream.aws.session import AwsSession
from forkstream.errors import UnavailableError
from forkstream.settings import AwsSettings


async def feeding_subscriptions(topic: str, queue: str, settings: AwsSettings) -> dict[str, Mapping[str, str]]:
    """Ask SNS for the topic's subscriptions to the queue, all three by their ARNs, each with its attributes; none if the topic is gone.

    Needs ``sns:ListSubscriptionsByTopic`` and ``sns:GetSubscriptionAttributes``.
    """
    session = AwsSession(msgspec.structs.replace(settings, region=topic.split(":")[3]))
    try:
        async with session.client("sns") as sns:
            with translating("sns:ListSubscriptionsByTopic", topic):
                pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
                found = [one async for page in pages for one in page["Subscriptions"]]
            with translating("sns:GetSubscriptionAttributes", topic):
                return {
                    one["SubscriptionArn"]: (
                        await sns.get_subscription_attributes(SubscriptionArn=one["SubscriptionArn"])
                    )["Attributes"]
                    for one in found
                    if one["Protocol"] == "sqs" and one["Endpoint"] == queue
                }
    except UnavailableError as error:
        if error.code == "missing":
            return {}
        raise


def delivers_raw(attributes: Mapping[str, str]) -> bool:
    """Tell whether a subscription with these attributes delivers messages as they were published, without SNS's envelope."""
    return attributes.get("RawMessageDelivery") == "true"
