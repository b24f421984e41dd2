"""The environment of the demo and of all that it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping

_ELSEWHERE = ("AWS_", "FORKSTREAM_")
_HARMLESS = "FORKSTREAM_DEBUG"
_OWN_SETTINGS = {"BUG_ENABLED": "false", "OPENSEARCH_SIGV4": ""}


def secluded(environment: Mapping[str, str]) -> dict[str, str]:
    """Give ``environment`` without what would lead the demo elsewhere: a profile, an endpoint, settings of another service.

    The files of AWS's SDK are left out too, and loopback is reached without a proxy.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith(_ELSEWHERE) or name == _HARMLESS}
    direct = {name: ",".join(filter(None, (kept.get(name), "127.0.0.1"))) for name in ("NO_PROXY", "no_proxy")}
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept | direct | files | _OWN_SETTINGS
