# mypy: ignore-errors
"""The e-commerce application's checkout function, as it runs in Lambda behind its queue: orders become rows."""

import json
import os
from decimal import Decimal

import boto3

dynamodb = boto3.resource("dynamodb")


def lambda_handler(event, context):
    table = dynamodb.Table(os.environ["CHECKOUT_TABLE_NAME"])
    failures = []
    for record in event["Records"]:
        try:
            table.put_item(Item=row(json.loads(record["body"], parse_float=Decimal)))
        except (KeyError, ValueError):
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def row(order):
    payment = order["payment"]
    item = {
        "CustomerId": str(order["customer"]["id"]),
        "DateOrderId": f"{order['date']}-{order['id']}",
        "PaymentId": payment["id"],
        "PaymentAmount": payment["amount"],
        "PaymentCurrency": payment["currency"],
        "TotalQuantity": sum(item["quantity"] for item in order["items"]),
    }
    if os.environ.get("BUG_ENABLED", "false") == "true":
        for column in ("PaymentId", "PaymentAmount", "PaymentCurrency", "TotalQuantity"):
            item[column] = "CORRUPTED!"
    return item
