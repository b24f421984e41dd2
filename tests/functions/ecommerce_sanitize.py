# mypy: ignore-errors
"""The e-commerce application's transformation for its backup stream, as it runs in Lambda: card data does not go on."""

import base64
import json


def lambda_handler(event, context):
    records = []
    for record in event["records"]:
        order = json.loads(base64.b64decode(record["data"]))
        payment = order["payment"]
        order["payment"] = {key: value for key, value in payment.items() if not key.startswith("card-")}
        data = base64.b64encode(json.dumps(order).encode("utf-8")).decode("utf-8")
        records.append({"recordId": record["recordId"], "result": "Ok", "data": data})
    print(f"Sanitized {len(records)} orders in {context.aws_request_id}")  # noqa: T201  # as its author wrote it
    return {"records": records}
