"""Points in time as events carry them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from forkstream.event import Json

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MILLISECONDS = 10**11
"""From this number on an epoch is in milliseconds: as seconds it would be the year 5138, as milliseconds it is March 1973."""
_END_MILLISECONDS = 253_402_300_800_000
"""The year 10000, which no datetime holds; also the bound that keeps a number such as 1e999999 from being expanded."""


def read_moment(value: Json | bytes) -> datetime:
    """Read a time into UTC: ISO 8601 with its offset, or a number of seconds or milliseconds since the epoch.

    Raises ValueError for all else; a time without an offset is refused, since no zone could be assumed rightly.
    """
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            zone = moment.tzinfo
            if zone is None:
                raise ValueError(f"{value!r} has no offset from UTC")
            return moment if zone is UTC else moment.astimezone(UTC)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return EPOCH + timedelta(microseconds=_microseconds(Decimal(value)))
    except ArithmeticError:
        pass
    raise ValueError(f"{value!r:.100} is neither an ISO 8601 time nor a number of seconds or milliseconds since 1970")


def _microseconds(epoch: Decimal) -> int:
    if abs(epoch) >= _END_MILLISECONDS:
        raise OverflowError
    return int(epoch * (1000 if abs(epoch) >= _FIRST_MILLISECONDS else 1_000_000))


def epoch_milliseconds(moment: datetime) -> int:
    """Count the milliseconds from the epoch to ``moment``, rounded down."""
    since = moment - EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
