"""Memory that forks share: half of each one's share is its own, the rest goes to whoever needs it."""

from __future__ import annotations

from typing import Protocol


class Borrower(Protocol):
    """A fork's budget, as far as its neighbours are concerned."""

    @property
    def held(self) -> int:
        """Bytes that it holds or has reserved."""

    def wake(self) -> None:
        """There may be more room than before."""


class Lender:
    """Divides ``total`` bytes among so many forks.

    Each may always hold its guaranteed half of an equal share. The other halves are one pool: what a fork holds beyond
    its own is lent from there, and comes back as it settles. So a stalled fork never takes what is another one's.
    """

    def __init__(self, total: int, forks: int) -> None:
        self.share = max(1, total // max(1, forks))
        self.guaranteed = max(1, self.share // 2)
        self._pool = max(0, total - self.guaranteed * forks)
        self._borrowers: list[Borrower] = []

    def join(self, borrower: Borrower) -> None:
        """Take part, for good."""
        self._borrowers.append(borrower)

    def limit_of(self, borrower: Borrower) -> int:
        """Tell how many bytes this one may hold now: its own, and what the others leave of the pool."""
        lent = sum(max(0, other.held - self.guaranteed) for other in self._borrowers if other is not borrower)
        return self.guaranteed + max(0, self._pool - lent)

    def returned(self, borrower: Borrower) -> None:
        """Let the others know that this one holds less."""
        for other in self._borrowers:
            if other is not borrower:
                other.wake()
