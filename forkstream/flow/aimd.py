"""A limit that finds its own value: up step by step while that pays, down by a share as soon as it hurts."""

from __future__ import annotations


class Aimd:
    """Additive increase, multiplicative decrease, between two bounds; tells why it stands where it does.

    ``reason`` is a short stable label of the last change: it is shown in status and metrics.
    """

    def __init__(self, first: int, lowest: int, highest: int, *, kept: float = 0.7) -> None:
        """Begin at ``first``; a cut keeps the share ``kept`` of the limit."""
        self.limit = max(lowest, min(first, highest))
        self.reason = "start"
        self.lowest = lowest
        self.highest = highest
        self._kept = kept

    @property
    def fixed(self) -> bool:
        """Whether there is nothing to find."""
        return self.lowest == self.highest

    def raise_by(self, step: int, reason: str) -> bool:
        """Allow ``step`` more, as far as there is room; tells whether there was any."""
        return self.set(self.limit + step, reason)

    def cut(self, reason: str) -> bool:
        """Allow a share less, by one at least, as far as there is room; tells whether there was any."""
        return self.set(min(self.limit - 1, int(self.limit * self._kept)), reason)

    def set(self, limit: int, reason: str) -> bool:
        """Go to a limit, or to the bound before it; tells whether that changed anything."""
        limit = max(self.lowest, min(limit, self.highest))
        if limit == self.limit:
            return False
        self.limit, self.reason = limit, reason
        return True
