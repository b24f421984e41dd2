"""What came of a demo."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from forkstream.demo.view import Check


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked; ``reach`` holds a command for each part of what is left running. Seconds count from the start."""

    ok: bool
    seconds: float
    first_order_seconds: float
    checks: list[Check]
    reach: dict[str, str] = {}

    def lines(self) -> Iterator[str]:
        """The same for people."""
        right = sum(check.ok for check in self.checks)
        yield ""
        yield f"{right} of {len(self.checks)} checks are right, after {self.seconds:.0f} s"
        for check in self.checks:
            if not check.ok:
                yield f"  wrong: {check.exercise}: {check.claim}: {check.found}"
        if self.reach:
            yield ""
            yield "It runs on until Ctrl-C:"
        for name, command in self.reach.items():
            yield f"  {name.ljust(max(map(len, self.reach)))}  {command}"
