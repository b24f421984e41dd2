"""How a person reaches each part of the running demo: commands to copy."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from forkstream_checkout.generator import orders

from forkstream.demo.application import Application
from forkstream.demo.search import Search
from forkstream.demo.service_process import ServiceProcess
from forkstream.event import encode_json


def reach(
    directory: Path, before: Mapping[str, str], service: ServiceProcess, application: Application, search: Search
) -> dict[str, str]:
    """Give a command for each part by its name. ``before`` is the environment that the person has.

    Writes two files into ``directory``: ``environment``, to be read by a shell, and ``order.json``.
    """
    environment = directory / "environment"
    environment.write_text(_shell(before, service.environment))
    order = directory / "order.json"
    order.write_bytes(encode_json(next(orders(0))))
    url, load = shlex.quote(application.checkout_url), f". {shlex.quote(str(environment))}; "
    return {
        "order": f"curl -X POST -H 'content-type: application/json' -d @{shlex.quote(str(order))} {url}",
        "search": search.command,
        "table": f"{load}aws dynamodb scan --table-name {application.table}",
        "bucket": f"{load}aws s3 ls --recursive s3://{application.backup_bucket}",
        "forks": f"curl {service.admin}/forks",
        "log": f"tail -f {shlex.quote(str(service.log))}",
        "commands": f"{load}forkstream resume replay",
    }


def _shell(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Say in shell how one environment becomes the other, and where ``forkstream`` is."""
    # how fast the demo's forks are is their service's matter alone, and any other config would refuse it
    pace = ("__MAX_AGE", "__WRITE_TIMEOUT")
    set_ = {name: value for name, value in after.items() if before.get(name) != value and not name.endswith(pace)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(set_.items())]
    unset = sorted(before.keys() - after.keys())
    scripts = shlex.quote(str(Path(sys.executable).parent))
    return "\n".join(
        [f"unset {' '.join(unset)}" if unset else "", *lines, f'export PATH={scripts}{os.pathsep}"$PATH"', ""]
    )
