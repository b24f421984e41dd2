"""A store: where one fork's dead letters lie, and who redrives them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import Any

from forkstream.dlq.claims import Claim, Claims
from forkstream.dlq.entry import Entry, Unreadable
from forkstream.dlq.selection import Selection
from forkstream.dlq.standing import Mark


class Store(ABC):
    """Finds letters and notes what becomes of them. Methods raise the three kinds of DeliveryError."""

    def __init__(self, name: str, claims: Claims) -> None:
        self.name = name
        """Where the letters lie, for people."""
        self.claims = claims
        self.notes: list[str] = []
        """What whoever looks into it should know."""

    @property
    def unveils(self) -> bool:
        """Whether letters that were redriven can have hidden others, so that it pays to look again."""
        return False

    @abstractmethod
    def find(self, selection: Selection, *, newest_first: bool = False) -> AsyncGenerator[Entry | Unreadable, None]:
        """Find letters, each once, the oldest objects first; end it early by closing the iterator."""

    @abstractmethod
    async def claim(self, entry: Entry) -> Claim | None:
        """Claim a letter before it is sent; None if somebody else has it. How it stands is the caller's to look at."""

    @abstractmethod
    async def finish(self, entry: Entry, claim: Claim, mark: Mark, code: str = "") -> None:
        """Note durably what became of a letter that was claimed."""

    @abstractmethod
    async def clear(self, entry: Entry) -> None:
        """Put away a letter that an earlier redrive has sent already, where letters do not stay for good."""

    async def history(self, letter: str) -> list[dict[str, Any]]:
        """Tell what was done with a letter, when and from where."""
        return await self.claims.history(letter)
