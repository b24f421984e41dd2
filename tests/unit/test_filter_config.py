"""What SNS refuses as a filter policy is a config error here."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest

from forkstream.config.loading import load_config
from forkstream.config.problem import InvalidConfigError
from forkstream.errors import PermanentError
from forkstream.event import Attribute, Event
from forkstream.ports import Context
from forkstream.stages.filter import Filter, FilterConfig


def build(policy: Mapping[str, object], scope: str = "attributes") -> Filter:
    config = FilterConfig(policy={**policy}, unmatched="dead", scope="body" if scope == "body" else "attributes")
    return Filter(config, Context(fork="f"))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"a": "x"}, "policy.a: expected a list of values, found 'x'"),
        ({"a": []}, "policy.a: expected at least one value, found an empty list"),
        ({"a": [["x"]]}, r"policy.a\[0\]: expected text, a number, .* found a list"),
        ({"a": {"b": ["x"]}}, "policy.a: attributes are flat: expected a list of values, found a mapping"),
        ({"a": ["x", {"prefx": "b"}]}, r"policy.a\[1\]: no such operator: prefx; known: exists, anything-but, "),
        ({"a": [{"prefix": "a", "suffix": "b"}]}, "expected one operator, found prefix, suffix"),
        ({"a": [{}]}, "expected one operator, found none"),
        ({"a": [{"prefix": 100}]}, "prefix: expected text, found 100"),
        ({"a": [{"suffix": ["x"]}]}, "suffix: expected text"),
        ({"a": [{"equals-ignore-case": None}]}, "equals-ignore-case: expected text"),
        ({"a": [{"exists": "true"}]}, "exists: expected true or false, found 'true'"),
        ({"a": [{"cidr": "10.0.0.0"}]}, "cidr: expected an address range such as 10.0.0.0/24"),
        ({"a": [{"cidr": "10.0.0.0/33"}]}, "cidr: "),
        ({"a": [{"wildcard": "a**b"}]}, "two stars in a row"),
        ({"a": [{"wildcard": "a\\b"}]}, "a backslash stands before"),
        ({"a": [{"wildcard": "a\\"}]}, "a backslash stands before"),
        ({"a": [{"anything-but": []}]}, "anything-but: expected at least one value"),
        ({"a": [{"anything-but": [True]}]}, "anything-but: expected text or a number, found True"),
        ({"a": [{"anything-but": {"numeric": ["=", 1]}}]}, "anything-but: expected one of prefix, suffix, wildcard"),
        ({"a": [{"numeric": []}]}, "numeric: expected such as"),
        ({"a": [{"numeric": 5}]}, "numeric: expected such as"),
        ({"a": [{"numeric": [">="]}]}, "numeric: expected such as"),
        ({"a": [{"numeric": [1, "<="]}]}, "numeric: expected such as"),
        ({"a": [{"numeric": ["=", "5"]}]}, "expected a number, found '5'"),
        ({"a": [{"numeric": ["=", True]}]}, "expected a number, found True"),
        ({"a": [{"numeric": ["<", 100, ">", 10]}]}, "numeric: expected such as"),
        ({"a": [{"numeric": [">=", 1, ">", 2]}]}, "numeric: expected such as"),
        ({"a": [{"numeric": [">", 3, "<", 1]}]}, "the lower bound has to be less"),
        ({"a": [{"numeric": [">", 1, "<", 2, "<", 3]}]}, "numeric: expected such as"),
        ({"a": [{"numeric": ["=", 1_000_000_001]}]}, r"SNS takes numbers from -10\^9 to 10\^9"),
        ({"a": [{"numeric": ["=", 1.000001]}]}, "SNS takes five digits after the point"),
        ({"a": [Decimal("0.000001")]}, "SNS takes five digits after the point"),
        ({"a": [{"anything-but": [1e10]}]}, "SNS takes numbers"),
        ({str(number): ["x"] for number in range(6)}, "SNS takes 5 keys, found 6"),
        ({"a": ["x" * 300_000]}, "SNS takes 262144 bytes"),
        ({"$or": [{"a": ["x"]}]}, r"policy.\$or\[0\]: no such operator: a"),
        ({"$or": [{"a": ["x"]}, {}]}, r"policy.\$or\[1\]: is empty"),
    ],
)  # fmt: skip
def test_what_sns_would_refuse_is_a_config_error(policy: Mapping[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(policy)


def values(count: int) -> list[str]:
    return [str(number) for number in range(count)]


@pytest.mark.parametrize(
    ("policy", "scope", "combinations"),
    [
        ({"a": values(3), "b": values(1), "c": values(2)}, "attributes", 6),
        ({"a": values(150)}, "attributes", 150),
        ({"a": values(10), "b": values(16)}, "attributes", 160),
        # as documented: four values three levels deep and three values two levels deep
        ({"a": {"b": {"c": values(4)}}, "d": {"e": values(3)}}, "body", 72),
        ({"a": {"b": {"c": values(4)}}, "d": {"e": values(7)}}, "body", 168),
        ({"$or": [{"a": values(20)}, {"b": values(10)}], "c": values(5)}, "attributes", 150),
        ({"$or": [{"a": values(21)}, {"b": values(10)}], "c": values(5)}, "attributes", 155),
    ],
)
def test_a_policy_of_more_than_150_combinations_is_too_complex(
    policy: Mapping[str, object], scope: str, combinations: int
) -> None:
    if combinations <= 150:
        build(policy, scope)
    else:
        with pytest.raises(ValueError, match=f"found {combinations} "):
            build(policy, scope)


def test_what_does_not_fit_is_dead_where_that_is_chosen() -> None:
    with pytest.raises(PermanentError) as caught:
        build({"a": ["x"]})(Event(b"", id="1", attributes={"a": Attribute("String", "secret")}))
    assert (caught.value.code, caught.value.detail) == ("unmatched", "")


CONFIG = """
forks:
  search:
    source: {sqs: {queue: search}}
    stages:
      - filter: {policy: POLICY, UNMATCHED}
    sink: blackhole
"""


def problems_of(policy: str, unmatched: str = "unmatched: drop", **environ: str) -> list[str]:
    text = CONFIG.replace("POLICY", policy).replace("UNMATCHED", unmatched)
    try:
        load_config("env:CONFIG", environ={"CONFIG": text, **environ})
    except InvalidConfigError as error:
        return [f"{problem.path}: {problem.message}" for problem in error.found]
    return []


def test_the_policy_stands_in_the_config_as_sns_takes_it_or_in_the_environment() -> None:
    assert problems_of('{"amount": [{"numeric": [">=", 100.5]}], "store": ["x", null, true]}') == []
    assert problems_of('"${POLICY}"', POLICY='{"amount": [{"numeric": [">=", 100.5]}]}') == []


def test_what_becomes_of_the_others_has_to_be_chosen() -> None:
    (problem,) = problems_of('{"amount": [1]}', "scope: attributes")
    assert problem.startswith("forks.search.stages[0].filter.unmatched: is required")


def test_a_mistake_in_the_policy_is_found_with_the_config() -> None:
    (problem,) = problems_of('{"amount": [{"numeric": [">=", "100"]}]}')
    assert "policy.amount[0]: expected a number, found '100'" in problem
