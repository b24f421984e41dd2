"""Policies as sets of single grants, to be compared."""

from __future__ import annotations

import json
from typing import Any

Grant = tuple[str, str, str]
"""An action, a resource, and a condition as JSON."""


def grants_of(document: dict[str, Any]) -> set[Grant]:
    """Take a policy document apart."""
    return {
        (action, resource, json.dumps(statement.get("Condition", {}), sort_keys=True))
        for statement in document["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
