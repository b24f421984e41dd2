"""A config is YAML without YAML's traps, and every problem says where it stands."""

from __future__ import annotations

import pytest

from tests.config_kit import found, load, messages


def places(text: str) -> list[str]:
    return [f"{problem.place.line}:{problem.place.column} {problem.path}" for problem in found(text)]


def test_each_problem_has_the_line_and_column_of_the_value_or_of_the_unknown_name() -> None:
    assert places("""
        forks:
          one:
            source: {queue: {queue: q}}
            sink:
              table:
                tabel: x
            concurrency: many
            nonsense: 1
    """) == ["6:9 forks.one.sink.table.tabel", "7:18 forks.one.concurrency", "8:5 forks.one.nonsense"]


def test_a_missing_setting_is_reported_where_its_section_stands() -> None:
    (problem,) = found("""
        forks:
          one:
            source: {queue: {}}
            sink: table
    """)
    assert (
        str(problem) == "env:CONFIG:3:21: forks.one.source.queue.queue: is required: expected text (the queue's name)"
    )


def test_a_name_that_stands_twice_is_a_problem() -> None:
    assert [
        str(problem)
        for problem in found("""
        forks:
          one: {source: {queue: {queue: q}}, sink: table}
          two: {source: {queue: {queue: p}}, sink: table}
          one: {source: {queue: {queue: r}}, sink: table}
    """)
    ] == ["env:CONFIG:4:3: forks.one: stands here a second time, first in line 2"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:\n\tb: 1", "env:CONFIG:2:1: not YAML: a tab, but YAML indents with spaces alone"),
        ("forks: {}", "env:CONFIG:1:8: forks: expected length at least 1, but it is empty (the forks by name)"),
        ("a: ${X:-b: c}", 'env:CONFIG:1:10: not YAML: mapping values are not allowed here; within {…} and […], and with ": " in it, a variable needs quotes: "${NAME}"'),
        ("forks: [", "env:CONFIG:1:9: not YAML: while parsing a flow node, expected the node content, but found '<stream end>'"),
        ("forks: {}\n---\nforks: {}", "env:CONFIG:2:1: not YAML: expected a single document in the stream, but found another document"),
        ("forks: {one: {source: ${QUEUE}}}", "env:CONFIG:1:24: not YAML: while parsing a flow mapping, expected ',' or '}', but got '{'; within {…} and […], and with \": \" in it, a variable needs quotes: \"${NAME}\""),
        ("forks: !!python/name:os.system x", "env:CONFIG:1:8: forks: YAML tags such as tag:yaml.org,2002:python/name:os.system mean nothing here"),
        ("forks: {? [a] : 1}", "env:CONFIG:1:11: forks: a name has to be text"),
        ("a: &a [*a]", "env:CONFIG:1:4: a[0]: an alias that stands for what it stands in"),
        ("<<: 1", "env:CONFIG:1:5: << takes a mapping, or a list of them"),
        ("[" * 500, "env:CONFIG: nested too deep"),
        ("a\x00b", "env:CONFIG: not YAML: special characters are not allowed at character 1"),
    ],
)  # fmt: skip
def test_what_is_no_config_is_told_without_quoting_it(text: str, problem: str) -> None:
    assert problem in [str(each) for each in found(text)]


def test_aliases_cannot_blow_up() -> None:
    bomb = "\n".join(
        [
            "a0: &a0 [x, x, x, x, x, x, x, x, x, x]",
            *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)),
        ]
    )
    assert [problem.message for problem in found(bomb)] == ["more than 100000 values, counting each use of an alias"]


def test_anchors_and_merge_keys_share_settings_between_forks() -> None:
    config = load("""
        forks:
          one: &fork
            source: {queue: {queue: q}}
            sink: table
            concurrency: 9
          two:
            <<: *fork
            source: {queue: {queue: p}}
          three:
            <<: [{source: {queue: {queue: r}}}, *fork]
    """)
    assert [(plan.name, plan.source.config.queue, plan.settings.concurrency) for plan in config.plans] == [  # type: ignore[attr-defined]  # a fake source of ours
        ("one", "q", 9),
        ("two", "p", 9),
        ("three", "r", 9),
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "forks:\n", "forks: {}"])
def test_an_empty_config_is_told_what_it_needs(text: str) -> None:
    assert len(messages(text)) == 1
    assert messages(text)[0].startswith("forks: ")


@pytest.mark.parametrize("text", ["just text", "[forks]"])
def test_a_config_that_is_no_mapping_is_told_so(text: str) -> None:
    assert messages(text)[0].startswith(": expected settings (forks, aws, memory, control, admin, log), found ")


def test_a_plugin_s_settings_beside_its_name_are_explained() -> None:
    assert messages("""
        forks:
          one:
            source: {queue: {queue: q}}
            stages:
              - compress:
                level: 3
            sink: {}
    """) == [
        "forks.one.stages[0]: expected one stage by name, with its settings indented below it, found compress, level",
        "forks.one.sink: expected one sink by name, with its settings indented below it, found none",
    ]
