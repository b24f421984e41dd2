from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any

import duckdb
import pytest
from forkstream_duckdb.column_type import TYPES, ColumnType, MisfitError
from hypothesis import example, given
from hypothesis import strategies as st

from forkstream.event import decode_json


@pytest.mark.parametrize(
    ("name", "json", "stored"),
    [
        ("DECIMAL(12,2)", b"450.00", Decimal("450.00")),
        ("DECIMAL(12,2)", b"450", Decimal("450.00")),
        ("DECIMAL(12,2)", b"4.5e2", Decimal("450.00")),
        ("DECIMAL(12,2)", b"1.10000", Decimal("1.10")),
        ("DECIMAL(12,2)", b"-9999999999.99", Decimal("-9999999999.99")),
        ("DECIMAL(12,2)", b"0e99", Decimal("0.00")),
        ("DECIMAL(38,10)", b"1234567890123456789012345678.0123456789", Decimal("1234567890123456789012345678.0123456789")),
        ("BIGINT", b"9223372036854775807", 2**63 - 1),
        ("BIGINT", b"-9223372036854775808", -(2**63)),
        ("BIGINT", b"450.00", 450),
        ("SMALLINT", b"-32768", -32768),
        ("HUGEINT", b"170141183460469231731687303715884105727", 2**127 - 1),
        ("DOUBLE", b"0.1", 0.1),
        ("BOOLEAN", b"true", True),
        ("VARCHAR", b'"usd"', "usd"),
        ("VARCHAR", b"450.00", "450.00"),
        ("VARCHAR", b'{"a":1.50}', '{"a":1.50}'),
        ("VARCHAR", '"Léa\\n😀"'.encode(), "Léa\n😀"),
        ("JSON", b'[1,"a"]', '[1,"a"]'),
        ("JSON", b'"a"', '"a"'),
    ],
)  # fmt: skip
def test_what_fits_is_stored_exactly(name: str, json: bytes, stored: Any) -> None:
    column = ColumnType(name)
    text = column.write(decode_json(json))
    assert duckdb.execute(f"SELECT CAST(? AS {column.name})", [text]).fetchone() == (stored,)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that is not set to UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("name", "json", "stored"),
    [
        ("DATE", b'"2026-01-31"', "2026-01-31"),
        ("TIMESTAMP", b'"2018-12-15T23:41:11-08:00"', "2018-12-16 07:41:11"),
        ("TIMESTAMP", b'"2026-01-31T12:00:00.123Z"', "2026-01-31 12:00:00.123"),
        ("timestamptz", b'"2018-12-15T23:41:11-08:00"', "2018-12-16 07:41:11+00"),
    ],
)
def test_times_are_stored_as_utc(name: str, json: bytes, stored: str) -> None:
    column = ColumnType(name)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        text = column.write(decode_json(json))
        cast = connection.execute(f"SELECT CAST(CAST(? AS {column.name}) AS VARCHAR)", [text])
        assert cast.fetchone() == (stored,)


@pytest.mark.parametrize(
    ("name", "json"),
    [
        ("DECIMAL(12,2)", b"1.005"),
        ("DECIMAL(12,2)", b"10000000000"),
        ("DECIMAL(12,2)", b"1e99999999999999"),
        ("DECIMAL(12,2)", b"1e-999999"),
        ("DECIMAL(12,2)", b'"450.00"'),
        ("DECIMAL(12,2)", b"true"),
        ("DECIMAL(2,2)", b"1"),
        ("BIGINT", b"12.5"),
        ("BIGINT", b"9223372036854775808"),
        ("BIGINT", b"1e99999999999999"),
        ("BIGINT", b"1e-999999"),
        ("BIGINT", b"false"),
        ("SMALLINT", b"32768"),
        ("DOUBLE", b"1e999"),
        ("DOUBLE", b'"1"'),
        ("BOOLEAN", b"1"),
        ("BOOLEAN", b'"true"'),
        ("DATE", b'"31.01.2026"'),
        ("DATE", b"20260131"),
        ("TIMESTAMP", b'"2026-01-31T12:00:00"'),
        ("TIMESTAMP", b'"yesterday"'),
        ("TIMESTAMP", b'"0001-01-01T00:00:00+10:00"'),
        ("TIMESTAMP", b"1544946071"),
    ],
)
def test_what_does_not_fit_is_refused_and_never_rounded(name: str, json: bytes) -> None:
    with pytest.raises(MisfitError, match="expected"):
        ColumnType(name).write(decode_json(json))


@example(Decimal("10173273974414341781774009.63717"), (28, 2))
@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40),
    st.integers(1, 38).flatmap(lambda precision: st.tuples(st.just(precision), st.integers(0, precision))),
)
def test_a_decimal_is_stored_exactly_or_refused(number: Decimal, size: tuple[int, int]) -> None:
    column = ColumnType("DECIMAL({},{})".format(*size))
    try:
        text = column.write(number)
    except MisfitError:
        with localcontext(prec=100):  # with the default of 28 digits it would be rounded here
            scaled = number.scaleb(size[1])
            assert scaled != scaled.to_integral_value() or abs(scaled) >= Decimal(10) ** size[0]
    else:
        assert duckdb.execute(f"SELECT CAST(? AS {column.name})", [text]).fetchone() == (number,)


@pytest.mark.parametrize(
    "name", ["TEXT[]", "DECIMAL", "DECIMAL(39,2)", "DECIMAL(2,3)", "DECIMAL(0,0)", "INT); DROP", ""]
)
def test_an_unknown_type_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(ValueError, match="known: BOOLEAN") as refusal:
        ColumnType(name)
    assert TYPES in str(refusal.value)


@pytest.mark.parametrize("name", TYPES.replace("(p,s)", "(12,2)").split(", "))
def test_every_type_is_spelt_as_duckdb_spells_it(name: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t (c {name})")
        spelt = connection.execute("SELECT data_type FROM duckdb_columns() WHERE table_name = 't'").fetchone()
    assert spelt == (ColumnType(name).name,)
