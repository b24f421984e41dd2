"""Where the demo searches for orders: the embedded analytics, or a real OpenSearch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path


class Search(ABC):
    """One place to search; opened as a context, which leaves nothing behind."""

    config: Path
    """The config with which the service writes there."""
    environment: Mapping[str, str]
    """What that config needs to know."""
    command: str
    """A command with which a person can search there."""

    @abstractmethod
    def amounts(self) -> dict[int, float]:
        """The amount of every order that can be found now, by order id."""
