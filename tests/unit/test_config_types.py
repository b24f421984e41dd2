"""The type of a setting decides what its text means, so nothing that YAML guesses can surprise."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from forkstream import Duration, Rate, Secret, Size
from tests.config_kit import Shade, TlsConfig, load, messages, one_fork, sink_problem, sink_settings


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ("prefix: no", "prefix", "no"),
        ("prefix: 1_000", "prefix", "1_000"),
        ("prefix: 1:30", "prefix", "1:30"),
        ("prefix: 2024-01-01", "prefix", "2024-01-01"),
        ("prefix: 1.10", "prefix", "1.10"),
        ("prefix: 007", "prefix", "007"),
        ('prefix: "null"', "prefix", "null"),
        ("part: 16MiB", "part", Size(16 * 2**20)),
        ('part: "6 MiB"', "part", Size(6 * 2**20)),
        ("patience: 250ms", "patience", Duration(0.25)),
        ("pace: 30/m", "pace", Rate(0.5)),
        ("pace: null", "pace", None),
        ("ratio: 1e-1", "ratio", 0.1),
        ("ratio: 1", "ratio", 1.0),
        ("price: 450.00", "price", Decimal("450.00")),
        ("count: 1_000", "count", 1000),
        ("count: -5", "count", -5),
        ("tags: {a: yes, b: 1}", "tags", {"a": "yes", "b": "1"}),
        ("tags:", "tags", {}),
        ("token: abcd", "token", Secret("abcd")),
        ("tls: off", "tls", False),
        ("tls: No", "tls", False),
        ("tls: on", "tls", True),
        ("tls: YES", "tls", True),
        ("tls: {verify: false}", "tls", TlsConfig(verify=False)),
        ("tls: {depth: ~}", "tls", TlsConfig()),
        ("path: /run/x", "path", Path("/run/x")),
        ("ports: [1, 2]", "ports", (1, 2)),
        ("names: [a, b, a]", "names", frozenset({"a", "b"})),
        ("shade: dark", "shade", Shade.DARK),
        (
            'policy: {a: [1, 0x1F, 1.5, true, no, ~, "1", {b: []}]}',
            "policy",
            {"a": [1, "0x1F", 1.5, True, "no", None, "1", {"b": []}]},
        ),
    ],
)
def test_a_value_is_read_as_its_setting_s_type(written: str, name: str, value: object) -> None:
    read = getattr(sink_settings(written), name)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("part: 6000000", "part: expected a number with a unit (B, KiB, MiB, GiB, KB, MB, GB) of at least 5MiB, such as 5MiB, found 6000000"),
        ("part: 1MiB", "part: expected a number with a unit (B, KiB, MiB, GiB, KB, MB, GB) of at least 5MiB, such as 5MiB, found 1MiB"),
        ("patience: 60", "patience: expected a number with a unit (ms, s, m, h, d), such as 60s, found 60"),
        ("patience: 1:30", "patience: expected a number with a unit (ms, s, m, h, d), such as 60s, found 1:30"),
        ("pace: fast", "pace: expected a number with a unit (/s, /m, /h), such as 500/s, found fast"),
        ("ratio: 1.5", "ratio: expected a number of more than 0 and at most 1, found 1.5"),
        ("ratio: 0", "ratio: expected a number of more than 0 and at most 1, found 0"),
        ("pin: ab", "pin: expected text of length at least 5, found ********"),
        ("even: 10", "even: expected a whole number of at least 0 and less than 10 and a multiple of 2, found 10"),
        ("even: 3", "even: expected a whole number of at least 0 and less than 10 and a multiple of 2, found 3"),
        ("ratio: .inf", "ratio: expected a number of more than 0 and at most 1, found .inf"),
        ("count: 1.5", "count: expected a whole number, found 1.5"),
        ("count: 010", "count: expected a whole number, found 010"),
        ("count: 1:30", "count: expected a whole number, found 1:30"),
        ('count: "5"', 'count: expected a whole number, found "5" in quotes'),
        ("count:", "count: expected a whole number, found nothing"),
        ("count: [1]", "count: expected a whole number, found a list"),
        ("count: {a: 1}", "count: expected a whole number, found a mapping"),
        ("prefix: ~", "prefix: expected text, found nothing"),
        ("prefix: [a]", "prefix: expected text, found a list"),
        ("tls: maybe", "tls: expected true or false or settings (verify, depth), found maybe"),
        ("shade: drak", "shade: expected one of light, dark, found drak, did you mean dark?"),
        ("policy: 1", "policy: expected a mapping of names to anything, found 1"),
        ("tls: {verify: 1}", "tls.verify: expected true or false, found 1"),
        ("tags: x", "tags: expected a mapping of names to text, found x"),
        ("ports: [1, x]", "ports[1]: expected a whole number, found x"),
        ("ports: 1", "ports: expected a list of a whole number, found 1"),
        ("aws: {regoin: eu-west-1}", "aws.regoin: no such setting, did you mean region?"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_what_was_found_and_what_would(written: str, problem: str) -> None:
    assert sink_problem(written) == problem


def test_a_setting_that_is_text_or_a_list_takes_either() -> None:
    for written, value in (("a", "a"), ("[a, b]", ["a", "b"])):
        config = load(
            f"forks: {{one: {{source: {{queue: {{queue: q}}}}, stages: [scrub: {{keep: {written}}}], sink: table}}}}"
        )
        assert config.plans[0].chain[0].config.keep == value  # type: ignore[attr-defined]  # a fake of ours


def test_constraints_on_text_and_on_lists_hold() -> None:
    assert messages(one_fork("{bucket: {bucket: ab}}")) == [
        "forks.one.sink.bucket.bucket: expected text of length at least 3 and the form ^[a-z.]+$, found ab"
    ]
    assert messages("forks: {one: {source: {queue: {queue: q}}, stages: [scrub: {drop: []}], sink: table}}") == [
        "forks.one.stages[0].scrub.drop: expected length at least 1, but it is empty"
    ]


def test_a_choice_that_is_nearly_right_is_pointed_to() -> None:
    assert messages(
        "forks: {one: {source: {queue: {queue: q}}, stages: [compress: {algorithm: zst}], sink: {bucket: {bucket: abc}}}}"
    ) == ["forks.one.stages[0].compress.algorithm: expected one of zstd, gzip, none, found zst, did you mean zstd?"]


def test_a_long_value_is_shown_by_its_beginning() -> None:
    assert sink_problem(f"count: {'x' * 100}") == f"count: expected a whole number, found {'x' * 57}…"


@pytest.mark.parametrize(
    "written",
    [
        f"count: {10**30}",
        f"count: {'9' * 5000}",
        f"ratio: {'9' * 400}",
        f"part: {'9' * 400}MiB",
        f"patience: {'9' * 400}d",
        f"pace: {'9' * 400}/s",
        f"policy: {{a: {'9' * 5000}}}",
        f"price: 9e{'9' * 30}",
    ],
    ids=lambda written: written[:12],
)
def test_a_number_beyond_all_bounds_is_a_problem_of_the_config_and_no_bug_of_ours(written: str) -> None:
    digit = "1" if "count: 1" in written else "9"
    assert f", found {digit}" in sink_problem(written)
