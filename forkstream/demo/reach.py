"""How a person reaches each part of the running demo: commands to copy."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from forkstream_checkout.generator import orders

from forkstream.demo.application import Application
from forkstream.demo.search import Search
from forkstream.demo.service_process import ServiceProcess
from forkstream.event import encode_json

_POST = (
    "import urllib.request as web; "
    "order = web.Request({url!r}, open({file!r}, 'rb').read(), {{'content-type': 'application/json'}}); "
    "print(web.urlopen(order).read().decode())"
)
_GET = "import urllib.request as web; print(web.urlopen({url!r}).read().decode())"
_SCAN = (
    "import boto3; pages = boto3.client('dynamodb').get_paginator('scan').paginate(TableName={table!r}); "
    "[print(row) for page in pages for row in page['Items']]"
)
_LIST = (
    "import boto3; pages = boto3.client('s3').get_paginator('list_objects_v2').paginate(Bucket={bucket!r}); "
    "[print(entry['Size'], entry['Key']) for page in pages for entry in page.get('Contents', ())]"
)


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
    url, load = application.checkout_url, f". {shlex.quote(str(environment))}; "

    def either(command: str, program: str) -> str:
        """Give the command, or a program that does the same where its tool is not installed."""
        known = shutil.which(command.partition(" ")[0], path=before.get("PATH"))
        return command if known else f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"

    post = f"curl -X POST -H 'content-type: application/json' -d @{shlex.quote(str(order))} {shlex.quote(url)}"
    table, bucket, forks = application.table, application.backup_bucket, f"{service.admin}/forks"
    return {
        "order": either(post, _POST.format(url=url, file=str(order))),
        "search": search.command,
        "table": load + either(f"aws dynamodb scan --table-name {table}", _SCAN.format(table=table)),
        "bucket": load + either(f"aws s3 ls --recursive s3://{bucket}", _LIST.format(bucket=bucket)),
        "forks": either(f"curl {forks}", _GET.format(url=forks)),
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
