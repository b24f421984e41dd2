"""A config is read from a path, standard input or a variable; what cannot be read says so in one line."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from forkstream.config.document import read_document
from forkstream.errors import ConfigError


def refusal(location: str | None, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_document(location, environ)
    return str(caught.value)


def test_a_path_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbfforks: \xc3\xa4")
    document = read_document(str(path), {})
    assert (document.name, document.text) == (str(path), "forks: ä")


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"forks: 1")))
    document = read_document("-", {})
    assert (document.name, document.text) == ("<stdin>", "forks: 1")


def test_of_standard_input_no_more_is_read_than_a_config_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b" " * 2**23)))
    assert refusal("-") == "-: larger than 4 MiB: a config is text for people to read"


def test_env_is_a_variable() -> None:
    assert read_document("env:X", {"X": "forks: 2"}).text == "forks: 2"
    assert refusal("env:") == "env:: expected env:NAME"
    assert refusal("env:X") == "env:X: environment variable X is not set"


def test_without_a_location_the_variable_counts_and_then_the_file_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(None) == "no config: name one, set FORKSTREAM_CONFIG or make ./forkstream.yaml"
    Path("forkstream.yaml").write_text("here")
    assert read_document(None, {}).text == "here"
    assert read_document(None, {"FORKSTREAM_CONFIG": "env:X", "X": "there"}).text == "there"
    assert read_document(None, {"FORKSTREAM_CONFIG": ""}).text == "here"
    assert read_document("forkstream.yaml", {"FORKSTREAM_CONFIG": "env:X"}).text == "here"


def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"a\xff")
    assert refusal(f"{tmp_path}/missing") == f"{tmp_path}/missing: cannot be read: No such file or directory"
    assert refusal(f"{tmp_path}") == f"{tmp_path}: cannot be read: Is a directory"
    assert refusal(f"{tmp_path}/latin") == f"{tmp_path}/latin: not UTF-8 at byte 1; a config is YAML"
    assert refusal("/dev/zero") == "/dev/zero: larger than 4 MiB: a config is text for people to read"
    assert refusal("a\0b") == "a\0b: cannot be read: no path"
    assert refusal("https://x.example/c.yaml") == (
        "https://x.example/c.yaml: cannot be read: a config is a path, -, env:NAME, s3://bucket/key or ssm:/name"
    )
    assert refusal("s3://bucket") == "s3://bucket: expected s3://bucket/key"
    assert refusal("ssm:name") == "ssm:name: expected ssm:/name"
