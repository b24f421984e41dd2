"""The built-in scenarios: a config each, and the figure that it is to reach."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import msgspec

_SANITIZE = 'sanitize: {drop: ["payment.card-*"]}'
_INDEX = "index: {name: orders, time: date, id: id, version: date}"
_COLUMNS = (
    "{CustomerId: {path: customer.id, type: S}, DateOrderId: {path: id, type: S}, PaymentId: payment.id, "
    "PaymentAmount: payment.amount, PaymentCurrency: payment.currency, Date: date}"
)

_FORKS = {
    "drain": "    sink: blackhole\n    batch: {max_events: 500, max_age: 250ms}",
    "backup-plain": f"""\
    stages: [{{{_SANITIZE}}}, compress: {{algorithm: zstd}}]
    sink: {{s3: {{bucket: bench, prefix: "orders/dt=%Y-%m-%d/"}}}}""",
    "backup": f"""\
    stages: [{{{_SANITIZE}}}, compress: {{algorithm: zstd}}, encrypt: {{key_file: "${{BENCH_KEY_FILE}}"}}]
    sink: {{s3: {{bucket: bench, prefix: "orders/dt=%Y-%m-%d/"}}}}""",
    "search": f"""\
    stages: [{_INDEX}]
    sink: {{opensearch: {{url: "${{BENCH_OPENSEARCH_URL}}"}}}}""",
    "replay": "    sink: {sqs: {queue: bench-destination, client: native}}",
    "checkout": f"""\
    sink: {{dynamodb: {{table: bench, key: [CustomerId, DateOrderId], mode: batch, columns: {_COLUMNS}}}}}""",
}
_HEAD = """\
aws: {region: eu-west-1}
log: {level: warning}
forks:
"""


class Target(msgspec.Struct, frozen=True):
    """What a scenario is to reach with one worker on a core of its own, Python 3.11, orders of about 630 bytes, no TLS."""

    cpu_us: float
    """Microseconds of CPU a message, at most."""
    per_core: int
    """Messages a second and core, at least."""


class Scenario(msgspec.Struct, frozen=True):
    """One job to measure: ``forks`` are names of :data:`_FORKS`."""

    name: str
    summary: str
    forks: tuple[str, ...]
    target: Target | None = None

    def config(self) -> str:
        """Its config, whose variables :func:`environment` fills."""
        return _HEAD + "\n".join(
            f"  {name}:\n    source: {{sqs: {{queue: bench-{name}, envelope: raw, client: native}}}}\n{_FORKS[name]}"
            for name in self.forks
        )


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("drain", "receive and delete only", ("drain",), Target(10, 95_000)),
        Scenario("backup-plain", "sanitize, zstd, S3", ("backup-plain",), Target(22, 45_000)),
        Scenario("backup", "sanitize, zstd, encrypt with a local key, S3", ("backup",), Target(23, 43_000)),
        Scenario("search", "index, OpenSearch bulk requests", ("search",), Target(20, 48_000)),
        Scenario("replay", "to another queue", ("replay",), Target(20, 48_000)),
        Scenario("checkout", "rows of a table, 25 a request", ("checkout",), Target(25, 38_000)),
        Scenario("all", "the four forks of the shop at once", ("checkout", "backup", "search", "replay")),
    )
}
"""Every scenario by name, in the order of the table that ``forkstream bench --all`` prints."""
DEFAULT = "backup"


def environment(directory: Path, url: str) -> dict[str, str]:
    """Give the variables of the scenarios' configs; writes a key to encrypt with into ``directory``."""
    key = directory / "bench.key"
    if not key.exists():
        key.touch(0o600)
        key.write_bytes(base64.b64encode(os.urandom(32)))
    return {"BENCH_KEY_FILE": str(key), "BENCH_OPENSEARCH_URL": url}
