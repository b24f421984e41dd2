"""What the same fork costs as AWS Event Fork Pipelines builds it: a queue, a forwarding Lambda function, Firehose."""

from __future__ import annotations

from forkstream.config.plan import Plan
from forkstream.ports import Load, ObjectSink

BATCH = 10
"""Messages of one invocation, the default of Lambda's event source mapping for SQS."""
MEMORY = 0.125
"""GB of each function, Lambda's default."""
FORWARD = 0.010
"""Seconds that forwarding one record takes: the ancestor puts records one by one, each with a round trip."""
TRANSFORM = 0.000_2
"""Seconds that the transformation function takes for a record."""
BUFFER = 5 * 2**20
BUFFER_SECONDS = 300.0
"""What Firehose buffers by default in the ancestor: the smaller of the two ends it, after its own transformation."""
ROUNDED = 5 * 2**10
"""Firehose bills each record rounded up to 5 KB."""
CHUNK = 2**20
"""Bytes that Firehose hands the transformation function at once by default."""

ASSUMED = (
    f"{BATCH} messages an invocation, functions of {MEMORY * 1024:.0f} MB, {FORWARD * 1000:.0f} ms to forward a record "
    f"and {TRANSFORM * 1000:.1f} ms to transform it, Firehose buffers of 5 MiB or {BUFFER_SECONDS:.0f} s"
)


def billed(plan: Plan, load: Load) -> list[tuple[str, str, float]]:
    """What this fork would be billed for, a second: (what, unit, units)."""
    invocations = load.events / BATCH
    amounts = [
        ("queue", "sqs_request", 2 * load.chunks(64 * 2**10, at_once=BATCH)),
        ("forwarding function", "lambda_request", invocations),
        ("forwarding function", "lambda_gb_second", load.events * FORWARD * MEMORY),
    ]
    sink = plan.step(plan.sink).rpartition(".")[2]
    if not isinstance(plan.sink, ObjectSink) and sink != "opensearch":
        # the function writes by itself, what the sink is billed for stays
        return amounts + [("sink", unit, rate) for unit, rate in plan.sink.billed(load).items()]
    data = load.events * load.event_bytes
    buffers = max(data / BUFFER, 1 / BUFFER_SECONDS) if load.events else 0.0
    amounts.append(("Firehose", "firehose_gb", load.chunks(ROUNDED) * ROUNDED / 2**30))
    if plan.chain:
        amounts.append(("transformation function", "lambda_request", data / CHUNK))
        amounts.append(("transformation function", "lambda_gb_second", load.events * TRANSFORM * MEMORY))
    if isinstance(plan.sink, ObjectSink):
        amounts.append(("Firehose", "s3_put", buffers))
        amounts.append(("Firehose", "kms_request", buffers))
    return amounts
