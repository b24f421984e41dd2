"""Any setting can be set by an environment variable, and a variable that sets nothing is a problem."""

from __future__ import annotations

from typing import Any

import pytest

from forkstream import Duration, Size
from tests.config_kit import found, load

CONFIG = """
    forks:
      storage-backup:
        source: {queue: {queue: orders}}
        stages:
          - scrub: {drop: [a, b]}
          - compress
        sink: {bucket: {bucket: abc}}
"""


def fork(**overrides: str) -> Any:
    environ = {f"FORKSTREAM_FORKS__STORAGE_BACKUP__{name}": value for name, value in overrides.items()}
    (plan,) = load(CONFIG, environ=environ).plans
    return plan


def problem(name: str, value: str = "1") -> str:
    (found_one,) = found(CONFIG, environ={name: value})
    return str(found_one)


def test_what_the_file_sets_is_overridden() -> None:
    assert fork(SOURCE__QUEUE__QUEUE="other").source.config.queue == "other"
    assert fork(STAGES__0__SCRUB__DROP__1="c").chain[0].config.drop == ["a", "c"]


def test_what_the_file_leaves_out_is_set() -> None:
    assert fork(BATCH__MAX_AGE="30s").settings.batch.max_age == Duration(30)
    assert fork(BUDGET__MAX_BYTES="1GiB").settings.budget.max_bytes == Size(2**30)
    assert fork(STAGES__1__COMPRESS__LEVEL="5").object_stages[0].config.level == 5
    assert fork(SINK__BUCKET__TLS__VERIFY="false").sink.config.tls.verify is False
    assert fork(PAUSED="true").settings.paused is True
    assert fork(DEAD_LETTER__SINK="table").dead_letter.sink.config.table == "orders"
    config = load(CONFIG, environ={"FORKSTREAM_LOG__LEVEL": "debug", "FORKSTREAM_CONTROL": "file:/x"})
    assert (config.file.log.level, config.file.control) == ("debug", "file:/x")


def test_lists_and_sections_are_written_as_yaml() -> None:
    assert fork(STAGES__0__SCRUB__DROP="[x, y]").chain[0].config.drop == ["x", "y"]
    assert fork(STAGES__0__SCRUB__KEEP="[x]").chain[0].config.keep == ["x"]
    assert fork(SINK="{table: {table: t}}", STAGES="[]").sink.config.table == "t"
    assert fork(STAGES__1="{compress: {level: 7}}").object_stages[0].config.level == 7


def test_an_override_s_text_is_taken_as_it_is() -> None:
    assert fork(SINK__BUCKET__PREFIX="${HOME}/x").sink.config.prefix == "${HOME}/x"
    assert fork(SINK__BUCKET__TAGS="{a: '${HOME}'}").sink.config.tags == {"a": "${HOME}"}
    assert fork(SINK__BUCKET__PREFIX="[x]").sink.config.prefix == "[x]"


def test_an_override_that_does_not_fit_is_told_with_its_variable() -> None:
    assert problem("FORKSTREAM_FORKS__STORAGE_BACKUP__BATCH__MAX_AGE", "30") == (
        "$FORKSTREAM_FORKS__STORAGE_BACKUP__BATCH__MAX_AGE: forks.storage-backup.batch.max_age: "
        "expected a number with a unit (ms, s, m, h, d), such as 60s, found 30"
    )
    assert problem("FORKSTREAM_FORKS__STORAGE_BACKUP__STAGES", "[").startswith(
        "$FORKSTREAM_FORKS__STORAGE_BACKUP__STAGES: not YAML: "
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FORKS__STORAGE_BACKUP__BATCH__MAX_AEG", "forks.storage-backup.batch: sets no setting, did you mean FORKSTREAM_FORKS__STORAGE_BACKUP__BATCH__MAX_AGE?"),
        ("FORKS__STORAGE__PAUSED", "forks: this config has no fork STORAGE, did you mean STORAGE_BACKUP?"),
        ("FORKS__STORAGE_BACKUP__SINK__FILE__X", "forks.storage-backup.sink: sets no setting, did you mean FORKSTREAM_FORKS__STORAGE_BACKUP__SINK__BUCKET?"),
        ("FORKS__STORAGE_BACKUP__STAGES__2__X", "forks.storage-backup.stages: sets no setting, did you mean FORKSTREAM_FORKS__STORAGE_BACKUP__STAGES__1?"),
        ("FORKS__STORAGE_BACKUP__PAUSED__X", "forks.storage-backup.paused: sets no setting; known: none"),
        ("FORKS__STORAGE_BACKUP__CONCURRENCY__X", "forks.storage-backup.concurrency: sets no setting; known: none"),
        ("CONTORL", "sets no setting, did you mean FORKSTREAM_CONTROL?"),
        ("STOP_TIMEOT", "sets no setting, did you mean FORKSTREAM_STOP_TIMEOUT?"),
        ("FOKRS__X", "sets no setting, did you mean FORKSTREAM_FORKS?"),
    ],
)  # fmt: skip
def test_an_override_that_sets_nothing_is_told_the_nearest(name: str, message: str) -> None:
    given = "true" if name.endswith("PAUSED__X") else "1"
    environ = {f"FORKSTREAM_{name}": given}
    if name.endswith("PAUSED__X"):
        environ["FORKSTREAM_FORKS__STORAGE_BACKUP__PAUSED"] = "true"
    (found_one,) = found(CONFIG, environ=environ)
    assert str(found_one) == f"$FORKSTREAM_{name}: {message}"


def test_the_forks_cannot_be_replaced_as_a_whole() -> None:
    assert problem("FORKSTREAM_FORKS", "{a: {source: {queue: {queue: q}}, sink: table}}") == (
        "$FORKSTREAM_FORKS: forks: cannot be set as a whole: set what single forks are to have"
    )


def test_names_with_a_meaning_of_their_own_and_names_of_others_are_left_alone() -> None:
    names = ["CONFIG", "DEBUG", "LOG_LEVEL", "LOG_FORMAT", "STOP_TIMEOUT", "SERVICE_HOST", "PORT_8080_TCP_ADDR"]
    assert load(CONFIG, environ={f"FORKSTREAM_{name}": "x" for name in names}).plans


def test_two_forks_whose_variables_would_be_one_are_a_problem() -> None:
    (found_one,) = found("""
        forks:
          a-b: {source: {queue: {queue: q}}, sink: table}
          a_b: {source: {queue: {queue: p}}, sink: table}
    """)
    assert str(found_one) == (
        "env:CONFIG:3:3: forks.a_b: differs only in - and _ from forks.a-b: the environment could not tell them apart"
    )


@pytest.mark.parametrize("name", ["A", "1a", "a--b", "a__b", "a-", "ä", "a.b"])
def test_a_fork_s_name_must_be_one_that_a_variable_can_spell(name: str) -> None:
    problems = found(f"forks: {{{name}: {{source: {{queue: {{queue: q}}}}, sink: table}}}}")
    (message,) = [each.message for each in problems]
    assert message.startswith("expected a name of lower-case letters and digits, a letter first, ")
    assert message.endswith(f", such as storage-backup, found {name}")
