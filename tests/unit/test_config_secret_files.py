"""``${file:/run/secrets/x}`` is the text of a file; it is read for the forks that run, and shown nowhere."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from forkstream.config.excerpt import read_excerpt
from forkstream.config.problem import masked
from forkstream.settings import AwsSettings
from tests.config_kit import load, messages, sink_problem, sink_settings

SECRET = "hunter2 } ${A} $${"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    return path


def test_a_file_s_text_stands_for_the_reference_without_its_last_line_break(secret: Path) -> None:
    assert sink_settings(f"token: ${{file:{secret}}}").token == SECRET
    assert sink_settings(f"prefix: 'a/${{file:{secret}}}/${{A}}'", environ={"A": "z"}).prefix == f"a/{SECRET}/z"
    secret.write_bytes(b"\xef\xbb\xbfone\r\n\r\n")
    assert sink_settings(f"token: ${{file:{secret}}}").token == "one\r\n"


def test_a_number_may_come_from_a_file(secret: Path) -> None:
    secret.write_text("7\n")
    assert sink_settings(f'count: "${{file:{secret}}}"').count == 7


def test_a_secret_is_one_text_whatever_it_looks_like(secret: Path) -> None:
    secret.write_text("[a, b]")
    assert sink_settings(f"token: ${{file:{secret}}}").token == "[a, b]"
    assert sink_problem(f"ports: ${{file:{secret}}}") == (
        f"ports: expected a list of a whole number, found ******** (${{file:{secret}}})"
    )


def test_no_problem_shows_what_came_from_a_file(secret: Path) -> None:
    secret.write_text("ligh")  # near a choice, so that a hint would give it away
    for setting in ("count", "part", "shade", "tls", "pin"):
        problem = sink_problem(f"{setting}: ${{file:{secret}}}")
        assert "found ********" in problem
        assert "did you mean" not in problem
    reference = f"${{file:{secret}}}"
    text = "forks: {one: {source: {queue: {queue: q}}, stages: [encrypt: {key: k, cipher: KEY}], sink: {bucket: {bucket: abc}}}}"
    secret.write_text("rot13")
    assert messages(text.replace("KEY", f"'{reference}'")) == [
        "forks.one.stages[0].encrypt: cipher ******** is no cipher"
    ]


def test_a_short_secret_is_not_shown_as_what_was_found(secret: Path) -> None:
    secret.write_text("abc")
    assert sink_problem(f"count: ${{file:{secret}}}").endswith(f"found ******** (${{file:{secret}}})")


def test_a_secret_that_is_part_of_a_text_is_masked_wherever_it_stands_alone(secret: Path) -> None:
    secret.write_text("hunter2")
    assert sink_problem(f"token: 'Bearer ${{file:{secret}}}'\ncount: hunter2") == (
        "count: expected a whole number, found ********"
    )


def test_a_quoted_form_of_a_secret_is_masked_too(secret: Path) -> None:
    secret.write_text("a\tb'c\"d")
    text = "forks: {one: {source: {queue: {queue: q}}, stages: [encrypt: {key: 'KEY', cipher: none}], sink: {bucket: {bucket: abc}}}}"
    (problem,) = messages(text.replace("KEY", f"${{file:{secret}}}"))
    assert problem.endswith("cipher none takes no key, found ********")
    assert masked("found " + repr("line\nbreak"), ["line\nbreak"]) == "found '********'"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda _: None, "there is no such file: make it, or mount the secret there"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory; name a file"),
        (lambda path: path.write_bytes(b"\xff"), "the file is not UTF-8: store the secret as text"),
        (lambda path: path.write_bytes(b"x" * 70_000), "the file is larger than 64 KiB: name one that holds a secret"),
    ],
)
def test_a_file_that_holds_no_secret_is_a_problem_with_what_to_do(
    tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    path = tmp_path / "secret"
    make(path)
    assert sink_problem(f"token: ${{file:{path}}}").startswith(f"token: ${{file:{path}}}: {told}")


def test_a_file_that_may_not_be_read_names_who_has_to_be_allowed(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read every file
    assert f"read it (uid {os.getuid()})" in sink_problem(f"token: ${{file:{secret}}}")


def test_a_reference_takes_no_default(tmp_path: Path) -> None:
    assert sink_problem(f"token: '${{file:{tmp_path}/x:-y}}'") == (
        f"token: ${{file:{tmp_path}/x:-y}}: takes no default: what is not there must not become another secret"
    )


def test_an_empty_file_is_no_secret(secret: Path) -> None:
    secret.write_text("\n")
    assert sink_problem(f"token: ${{file:{secret}}}") == f"token: ${{file:{secret}}}: is empty: store the secret there"


def test_the_files_of_forks_that_do_not_run_may_be_missing(tmp_path: Path) -> None:
    text = f"""
        forks:
          one: {{source: {{queue: {{queue: q}}}}, sink: table}}
          two: {{source: {{queue: {{queue: "${{file:{tmp_path}/none}}"}}}}, sink: table}}
    """
    assert load(text, forks=["one"]).plans[0].name == "one"
    assert "there is no such file" in messages(text, forks=["two"])[0]


def test_only_what_is_read_is_fetched(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetch(references: Iterable[str], _: AwsSettings) -> dict[str, str]:
        asked.extend(references)
        return dict.fromkeys(references, "x")

    monkeypatch.setattr("forkstream.config.lookup.fetch_secrets", fetch)
    text = "forks: {one: {source: {queue: {queue: '${ssm:/q}'}}, sink: table}}\nadmin: {token: '${ssm:/t}'}"
    assert read_excerpt("env:CONFIG", {"CONFIG": text}).admin.token == "x"
    assert asked == ["ssm:/t"]


def test_an_overridden_reference_need_not_lead_anywhere(tmp_path: Path) -> None:
    override = {"FORKSTREAM_FORKS__ONE__SINK__BUCKET__TOKEN": "t"}
    assert sink_settings(f"token: ${{file:{tmp_path}/none}}", environ=override).token == "t"


def test_without_asking_a_reference_stands_for_its_name() -> None:
    text = "forks: {one: {source: {queue: {queue: '${ssm:/orders/backup-queue}'}}, sink: table}}"
    (plan,) = load(text, ask=False).plans
    assert plan.source.config.queue == "backup-queue"  # type: ignore[attr-defined]  # of the fake queue's settings
