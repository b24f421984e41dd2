# mypy: ignore-errors
"""Handlers of SQS events that do all that such handlers do. What they were given is kept in ``calls``."""

calls = []
answer: object = None


def lambda_handler(event, context):
    calls.append((event, context))
    for record in event["Records"]:
        if record["body"] == "raise":
            raise ValueError("card 4111")
    return answer


def fails_odd(event, context):
    calls.append((event, context))
    failed = [record["messageId"] for record in event["Records"] if "odd" in record["body"]]
    return {"batchItemFailures": [{"itemIdentifier": identity} for identity in failed]}
