from __future__ import annotations

from typing import Any

import msgspec
import pytest

from forkstream.event import Event
from forkstream.registry import Kind
from forkstream.stages.sanitize import Sanitize
from tests.config_kit import load, messages, offer
from tests.sanitize_kit import KEY, sanitized, stage

FILE = """
forks:
  backup:
    source: {queue: {queue: orders}}
    stages:
      - sanitize:
          drop: ["payment.card-*", 'items[*]."gift.note"']
          mask:
            - customer.name
            - {paths: [customer.phone], keep_last: 4}
          hash: {key: "${HASH_KEY}", paths: [customer.email]}
          attributes: {keep: [amount]}
          detect: {card_numbers: mask}
    sink: {table: {}}
"""


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "there is no rule"),
        ({"case": "sensitive"}, "there is no rule"),
        ({"attributes": {"drop": []}}, "there is no rule"),
        ({"keep": []}, "keep is empty"),
        ({"drop": ["payment..x"]}, "path 'payment..x': there is no key"),
        ({"keep": ["$.payment"]}, "path '$.payment'"),
        ({"mask": [{"paths": ["a[]"]}]}, "path 'a[]'"),
        ({"hash": {"paths": ["a b"], "key": KEY}}, "path 'a b'"),
        ({"drop": ["a.b", "a[0]"]}, "a.b and a[0] contradict each other"),
        ({"drop": ["A.b"], "mask": ["a[*].c"]}, "A.b and a[*].c contradict each other"),
        ({"drop": ["a"], "keep": ["[*].b"]}, "a and [*].b contradict each other"),
        ({"attributes": {"drop": ["a b"]}}, "attribute 'a b'"),
        ({"attributes": {"keep": [""]}}, "attribute ''"),
        ({"attributes": {"mask": ["payment[*]"]}}, "attribute 'payment[*]'"),
        ({"attributes": {"hash": ["a"]}}, "attributes.hash needs a key"),
        ({"detect": {"emails": "hash"}}, "detect with hash needs a key"),
        ({"hash": {"key": KEY}, "drop": ["a"]}, "hash has a key but nothing to hash"),
        ({"hash": {"paths": ["a"], "key": KEY[:31]}}, "hash.key has 31 characters, at least 32"),
        ({"hash": {"paths": ["a"], "key": ""}}, "hash.key has 0 characters"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_event(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError) as refused:
        stage(**config)
    assert problem in str(refused.value)


def test_every_path_that_cannot_be_read_is_named_at_once() -> None:
    with pytest.raises(ValueError) as refused:
        stage(drop=["a..b"], mask=["c["], hash={"paths": ["e f"], "key": KEY}, keep=["g**"])
    assert all(repr(path) in str(refused.value) for path in ("a..b", "c[", "e f", "g**"))


def test_a_key_that_is_refused_is_not_quoted() -> None:
    with pytest.raises(ValueError) as refused:
        stage(hash={"paths": ["a"], "key": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_key_is_masked_where_settings_are_shown() -> None:
    assert KEY not in repr(stage(hash={"paths": ["a"], "key": KEY}).config)


@pytest.mark.parametrize(
    "config",
    [
        {"dorp": ["a"]},
        {"drop": "a"},
        {"mask": [{"paths": []}]},
        {"mask": [{"paths": ["a"], "keep_last": -1}]},
        {"mask": [{"paths": ["a"], "keep_last": 9}]},
        {"detect": {"card_numbers": "yes"}},
        {"case": "upper"},
        {"hash": {"paths": ["a"]}},
    ],
)
def test_what_is_of_no_use_does_not_type_check(config: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        stage(**config)


def test_the_case_rule_holds_for_contradictions_too() -> None:
    assert sanitized('{"A":{"b":1},"a":[{"c":1}]}', drop=["A.b", "a[*].c"], case="sensitive") == b'{"A":{},"a":[{}]}'


def test_a_config_file_says_all_of_it() -> None:
    config = load(FILE, environ={"HASH_KEY": KEY}, more=[offer(Kind.STAGE, "sanitize", Sanitize)])
    (sanitize,) = config.plans[0].chain
    assert isinstance(sanitize, Sanitize)
    body = (
        b'{"customer":{"name":"John","phone":"+1 555 0100","email":null},"payment":{"card-cvv":1},'
        b'"items":[{"gift.note":"x"}],"note":"4111111111111111"}'
    )
    assert sanitize(Event(body, id="1")).body == (
        b'{"customer":{"name":"****","phone":"****0100","email":null},"payment":{},"items":[{}],"note":"****"}'
    )


def test_a_short_key_is_a_problem_of_the_config_that_does_not_show_it() -> None:
    (problem,) = messages(FILE, environ={"HASH_KEY": "hunter2"}, more=[offer(Kind.STAGE, "sanitize", Sanitize)])
    assert "hash.key has 7 characters, at least 32 are needed" in problem
    assert "hunter2" not in problem
