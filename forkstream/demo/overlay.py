"""A config laid over another: how the demo runs the config of ``deploy/`` with one fork's sink exchanged."""

from __future__ import annotations

from pathlib import Path

import yaml


def overlaid(config: Path, overlay: Path) -> str:
    """Give the text of ``config`` with what ``overlay`` says of its forks: each setting of a fork replaces the whole of that setting."""
    document = yaml.safe_load(config.read_text())
    for fork, settings in yaml.safe_load(overlay.read_text())["forks"].items():
        document["forks"][fork] |= settings
    return yaml.safe_dump(document, sort_keys=False)
