"""``${NAME}`` comes from the environment; all that is missing is told at once, and secrets are never shown."""

from __future__ import annotations

import pytest

from tests.config_kit import load, messages, one_fork, sink_problem, sink_settings


@pytest.mark.parametrize(
    ("written", "environ", "value"),
    [
        ("${A}", {"A": "x"}, "x"),
        ('"${A}"', {"A": "x"}, "x"),
        ("'in ${A} and ${B}/'", {"A": "x", "B": "y"}, "in x and y/"),
        ("${A:-z}", {}, "z"),
        ("${A:-z}", {"A": ""}, "z"),
        ("${A:-z}", {"A": "x"}, "x"),
        ('"${A:-a b:c}"', {}, "a b:c"),
        ("'$${A}'", {"A": "x"}, "${A}"),
        ("'$A and 5$'", {"A": "x"}, "$A and 5$"),
        ("${A}", {"A": "${B}", "B": "no"}, "${B}"),
    ],
)
def test_variables_are_replaced(written: str, environ: dict[str, str], value: str) -> None:
    assert sink_settings(f"prefix: {written}", environ=environ).prefix == value


def test_a_variable_is_read_as_its_setting_s_type_also_in_quotes() -> None:
    assert sink_settings('count: "${N}"', environ={"N": "5"}).count == 5
    assert sink_settings("ports: ${PORTS}", environ={"PORTS": "[1, 2]"}).ports == (1, 2)
    assert sink_settings("tags: ${TAGS}", environ={"TAGS": "{a: '${B}'}"}).tags == {"a": "${B}"}


def test_an_empty_variable_is_nothing() -> None:
    assert sink_settings("token: ${T:-}", environ={}).token is None
    assert sink_problem("prefix: ${A}", environ={"A": ""}) == "prefix: expected text, found nothing (${A} is empty)"


def test_a_value_from_a_variable_is_shown_with_its_variable() -> None:
    assert sink_problem("count: ${N}", environ={"N": "five"}) == "count: expected a whole number, found five (${N})"


def test_every_missing_variable_is_reported_with_its_path() -> None:
    assert messages("""
        forks:
          one:
            source: {queue: {queue: "${QUEUE}"}}
            stages: [encrypt: {key: "${KEY}"}]
            sink: {bucket: {bucket: "${BUCKET}-${STAGE}"}}
    """) == [
        "forks.one.source.queue.queue: environment variable QUEUE is not set: set it, or write ${QUEUE:-DEFAULT}",
        "forks.one.stages[0].encrypt.key: environment variable KEY is not set: set it, or write ${KEY:-DEFAULT}",
        "forks.one.sink.bucket.bucket: environment variable BUCKET is not set: set it, or write ${BUCKET:-DEFAULT}",
        "forks.one.sink.bucket.bucket: environment variable STAGE is not set: set it, or write ${STAGE:-DEFAULT}",
    ]


@pytest.mark.parametrize("written", ["'${a-b}'", "'${'", "'${}'", "'${A'", "'${1}'"])
def test_what_only_looks_like_a_variable_is_a_problem(written: str) -> None:
    assert "is no variable: write ${NAME}, ${NAME:-default}, ${file:/path}" in sink_problem(
        f"prefix: {written}", environ={"A": "x"}
    )


TWO_FORKS = """
    forks:
      one: {source: {queue: {queue: "${ONE}"}}, sink: table}
      two: {source: {queue: {queue: "${TWO}"}}, sink: nowhere}
"""


def test_a_fork_that_is_asked_for_alone_needs_only_its_own_variables_and_plugins() -> None:
    environ = {"ONE": "q", "FORKSTREAM_FORKS__TWO__NONSENSE": "1", "FORKSTREAM_FORKS__ONE__CONCURRENCY": "7"}
    config = load(TWO_FORKS, environ=environ, forks=["one"])
    assert [plan.name for plan in config.plans] == list(config.file.forks) == ["one"]
    assert config.plans[0].settings.concurrency == 7


def test_a_fork_that_is_not_there_is_named_with_the_nearest() -> None:
    assert messages(TWO_FORKS, forks=["noe", "two"]) == [
        "forks: has no fork noe, which --fork names, did you mean one?"
    ]


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "encrypt",
    [
        "{key: '${KEY}', cipher: none}",  # its constructor quotes the key
        "{key: '${KEY}', cipher: ['${KEY}']}",
        "{key: ['${KEY}']}",
        "{key: {nested: '${KEY}'}}",
    ],
)
def test_no_problem_shows_a_secret(encrypt: str) -> None:
    text = f"forks: {{one: {{source: {{queue: {{queue: q}}}}, stages: [encrypt: {encrypt}], sink: {{bucket: {{bucket: abc}}}}}}}}"
    for environ in ({"KEY": SECRET}, {"KEY": f"[{SECRET}]"}):
        problems = messages(text, environ=environ)
        assert problems
        assert SECRET not in "\n".join(problems)


def test_a_secret_that_stands_where_another_setting_shows_it_is_masked_there_too() -> None:
    problem = sink_problem("token: ${T}\ncount: ${T}", environ={"T": SECRET})
    assert problem == "count: expected a whole number, found ******** (${T})"


def test_a_secret_of_the_wrong_type_is_masked() -> None:
    assert messages(one_fork("{bucket: {bucket: abc, token: [a]}}")) == [
        "forks.one.sink.bucket.token: expected text, found a list"
    ]
