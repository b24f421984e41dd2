"""Times as events carry them, read into UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.event import Json, decode_json, encode_json
from forkstream.fields.moment import EPOCH, epoch_milliseconds, read_moment

ORDERED = datetime(2018, 12, 16, 7, 41, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2018-12-15T23:41:11-08:00",
        "2018-12-16T07:41:11Z",
        "2018-12-16T07:41:11.000000000Z",
        "2018-12-16 13:11:11+05:30",
        "20181216T074111Z",
        1544946071,
        1544946071000,
        Decimal("1544946071.000"),
        Decimal("1.544946071E+9"),
        Decimal("1544946071000.4"),
    ],
)
def test_every_way_to_write_a_time_is_the_same_moment(value: Json) -> None:
    assert abs(read_moment(value) - ORDERED) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "value",
    [
        *("2018-12-15T23:41:11", "2018-12-15", "20181215", "23:41:11Z"),  # no offset, or no day
        *("1544946071", "yesterday", "", "2018-02-30T00:00:00Z", "2018-12-15T25:00:00Z"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),  # in UTC in no year that there is
        *(True, None, [], {}, [1544946071], {"seconds": 1544946071}, 1.5),
        *(10**18, -(10**18), Decimal("1e999999"), Decimal("NaN"), Decimal("Infinity"), 253_402_300_800_000),
        -62_135_596_800_001,  # a millisecond before the year 1, in milliseconds
    ],
)
def test_what_is_no_time_is_refused(value: Json) -> None:
    with pytest.raises(ValueError):
        read_moment(value)


def test_a_number_turns_from_seconds_to_milliseconds_at_ten_to_the_eleventh() -> None:
    assert read_moment(10**11 - 1).year == 5138
    assert read_moment(10**11).year == 1973
    assert read_moment(-(10**11)).year == 1966


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001  # zoned below
def test_a_time_keeps_its_moment_in_every_zone(moment: datetime, minutes: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert read_moment(zoned.isoformat()) == zoned
    assert read_moment(zoned.isoformat()).tzinfo is UTC


@given(st.datetimes(datetime(1973, 3, 4), datetime(5138, 11, 15)))  # noqa: DTZ001  # zoned below
def test_milliseconds_since_the_epoch_are_read_back(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    milliseconds = epoch_milliseconds(moment)
    assert timedelta() <= moment - read_moment(milliseconds) < timedelta(milliseconds=1)
    seconds = decode_json(encode_json(Decimal(milliseconds) / 1000))
    assert read_moment(seconds) == read_moment(milliseconds)


def test_milliseconds_before_the_epoch_round_down() -> None:
    assert epoch_milliseconds(EPOCH - timedelta(microseconds=1)) == -1
