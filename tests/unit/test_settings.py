"""Quantities carry their unit, secrets are not shown, and the nearest AWS setting wins."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream import AwsSettings, Duration, Rate, Secret, Settings, Size


@pytest.mark.parametrize(
    ("quantity", "text", "value"),
    [
        (Duration, "250ms", 0.25),
        (Duration, "60s", 60),
        (Duration, "1.5h", 5400),
        (Duration, "14d", 1_209_600),
        (Duration, " 2 m ", 120),
        (Duration, "0s", 0),
        (Size, "5MiB", 5 * 2**20),
        (Size, "5MB", 5_000_000),
        (Size, "1.5KiB", 1536),
        (Size, "12B", 12),
        (Rate, "500/s", 500),
        (Rate, "30/m", 0.5),
        (Rate, "3600/h", 1),
    ],
)
def test_a_quantity_is_read_with_its_unit(quantity: type[Duration | Size | Rate], text: str, value: float) -> None:
    assert quantity.parse(text) == pytest.approx(value)
    assert type(quantity.parse(text)) is quantity


@pytest.mark.parametrize(
    "text", ["60", "", "s", "-5s", "5 parsecs", "1_000s", "1e3s", "60S", "5s5s", "٣s", "nan", "inf s"]
)
def test_what_has_no_unit_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a number with a unit \(ms, s, m, h, d\) such as 60s, found "):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (Duration(0.07), "70ms"),
        (Duration(90), "90s"),
        (Duration(7200), "2h"),
        (Duration(3600 * 1.1), "66m"),
        (Duration(0), "0s"),
        (Duration(0.0001), "0.1ms"),
        (Size(5 * 2**20), "5MiB"),
        (Size(5_000_000), "5MB"),
        (Size(1_000_001), "1000001B"),
        (Size(0), "0B"),
        (Rate(500), "500/s"),
        (Rate(0.5), "0.5/s"),
    ],
)
def test_a_quantity_is_written_as_a_person_would(quantity: Duration | Size | Rate, text: str) -> None:
    assert str(quantity) == text


@given(st.integers(0, 10**15))
def test_a_size_survives_writing_and_reading(value: int) -> None:
    assert Size.parse(str(Size(value))) == value


@given(st.integers(0, 10**12))
def test_a_duration_survives_writing_and_reading_to_the_microsecond(microseconds: int) -> None:
    seconds = microseconds / 1e6
    assert Duration.parse(str(Duration(seconds))) == pytest.approx(seconds, rel=1e-9, abs=1e-9)


class Held(Settings):
    token: Secret
    name: str = "x"


def test_a_secret_is_masked_wherever_settings_are_shown() -> None:
    settings = Held(token=Secret("hunter2"))
    assert "hunter2" not in repr(settings)
    assert repr(settings) == "Held(token='********', name='x')"
    assert settings.token == "hunter2"


def test_the_nearest_aws_setting_wins_field_by_field() -> None:
    inner, outer = AwsSettings(region="eu-west-1", role_arn="a"), AwsSettings(region="us-east-1", profile="p")
    assert inner.over(outer) == AwsSettings(region="eu-west-1", role_arn="a", profile="p")
    assert inner.over(AwsSettings()) == inner


def test_a_required_setting_may_stand_behind_an_optional_one() -> None:
    class Proxy(Settings):
        port: int = 8080
        host: str

    assert msgspec.convert({"host": "h"}, Proxy) == Proxy(host="h", port=8080)
    with pytest.raises(TypeError):
        Proxy("h")  # type: ignore[call-arg, arg-type]  # by name only
