"""The examples that AWS documents of filter policies; the tests ask the stage and the embedded SNS the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forkstream.event import Attribute


@dataclass(frozen=True)
class Case:
    """One policy, one message and whether it passes; ``page`` is AWS's."""

    page: str
    policy: Mapping[str, Any]
    message: Mapping[str, Any]
    passes: bool

    def __str__(self) -> str:
        shown = {name: getattr(value, "value", value) for name, value in self.message.items()}
        return f"{json.dumps(self.policy)} {'takes' if self.passes else 'refuses'} {shown}"


def text(value: str) -> Attribute:
    return Attribute("String", value)


def number(value: str) -> Attribute:
    return Attribute("Number", value)


def array(*values: object) -> Attribute:
    return Attribute("String.Array", json.dumps(values))


TRANSACTION = {
    "customer_interests": array("soccer", "rugby", "hockey"),
    "store": text("example_corp"),
    "event": text("order_placed"),
    "price_usd": number("210.75"),
}


def _both(page: str, name: str, rules: list[Any], *, takes: list[Any], refuses: list[Any]) -> list[tuple[Case, Case]]:
    """The same value as an attribute and in a body."""
    return [
        (
            Case(page, {name: rules}, {name: _attribute(value)}, fits),
            Case(page, {name: rules}, {name: json.loads(value) if _is_number(value) else value}, fits),
        )
        for values, fits in ((takes, True), (refuses, False))
        for value in values
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, str) and value[:1].isdigit() and value.count(".") < 2 and ":" not in value


def _attribute(value: Any) -> Attribute:
    if isinstance(value, list):
        return Attribute("Number.Array" if isinstance(value[0], int) else "String.Array", json.dumps(value))
    return number(value) if _is_number(value) else text(value)


_STRING, _NUMERIC, _LOGIC = "String value matching", "Numeric value matching", "AND/OR logic"
_PAIRS = [
    *_both(_STRING, "customer_interests", ["rugby", "tennis"], takes=["rugby", "tennis"], refuses=["baseball"]),
    *_both(_STRING, "customer_interests", ["rugby", "tennis"], takes=[["rugby", "tennis"]], refuses=[["baseball"]]),
    *_both(
        _STRING, "customer_interests", [{"anything-but": ["rugby", "tennis"]}],
        takes=["baseball", "football", ["rugby", "baseball"]], refuses=["rugby", ["rugby"]],
    ),
    *_both(
        _STRING, "event", [{"anything-but": {"prefix": "order-"}}],
        takes=["data-entry", "order_number"], refuses=["order-cancelled"],
    ),
    *_both(
        _STRING, "customer_interests", [{"anything-but": {"suffix": "ball"}}],
        takes=["rugby"], refuses=["baseball", "football"],
    ),
    *_both(
        _STRING, "customer_interests", [{"anything-but": {"wildcard": "*ball"}}],
        takes=["hockey"], refuses=["baseball", "football"],
    ),
    *_both(
        _STRING, "customer_interests", [{"equals-ignore-case": "tennis"}],
        takes=["TENNIS", "Tennis"], refuses=["baseball"],
    ),
    *_both(
        _STRING, "source_ip", [{"cidr": "10.0.0.0/24"}],
        takes=["10.0.0.0", "10.0.0.255"], refuses=["10.1.1.0", "no address"],
    ),
    *_both(_STRING, "source_ip", [{"cidr": "2001:db8::/32"}], takes=["2001:db8::1"], refuses=["2001:db9::1"]),
    *_both(
        _STRING, "customer_interests", [{"prefix": "bas"}], takes=["baseball", "basketball"], refuses=["rugby"],
    ),
    *_both(
        _STRING, "customer_interests", [{"suffix": "ball"}], takes=["baseball", "basketball"], refuses=["rugby"],
    ),
    *_both(
        _STRING, "customer_interests", [{"wildcard": "*ball"}], takes=["baseball", "football"], refuses=["hockey"],
    ),
    *_both(_NUMERIC, "price_usd", [{"numeric": ["=", 301.5]}], takes=["301.5", "3.015e2"], refuses=["301.4"]),
    *_both(
        _NUMERIC, "price", [{"anything-but": [100, 500]}],
        takes=["101", "100.1", [100, 50]], refuses=["100", [100]],
    ),
    *_both(_NUMERIC, "price_usd", [{"numeric": ["<", 0]}], takes=[], refuses=["0"]),
    *_both(
        _NUMERIC, "price_usd", [{"numeric": [">", 0, "<=", 150]}], takes=["0.01", "150"], refuses=["0", "150.00001"],
    ),
    *_both(_LOGIC, "customer_interests", ["rugby", "football", "baseball"], takes=["football"], refuses=["golf"]),
    *_both("Key matching", "store", [{"exists": True}], takes=["fans", ["a"]], refuses=[]),
    *_both("Key matching", "store", [{"exists": False}], takes=[], refuses=["fans"]),
]  # fmt: skip

_AND = {"customer_interests": ["rugby"], "price_usd": [{"numeric": [">", 100]}]}
_OR = {
    "source": ["aws.cloudwatch"],
    "$or": [{"metricName": ["CPUUtilization"]}, {"namespace": ["AWS/EC2"]}],
}
_EXISTS = "Key matching"

ATTRIBUTES = [
    *(case for case, _ in _PAIRS),
    Case(_NUMERIC, {"price_usd": [{"numeric": ["<", 0]}]}, {"price_usd": number("-0.5")}, True),
    Case(_LOGIC, _AND, {"customer_interests": text("rugby"), "price_usd": number("100.01")}, True),
    Case(_LOGIC, _AND, {"customer_interests": text("rugby"), "price_usd": number("100")}, False),
    Case(_LOGIC, _AND, {"customer_interests": text("rugby")}, False),
    Case(_LOGIC, _OR, {"source": text("aws.cloudwatch"), "metricName": text("CPUUtilization")}, True),
    Case(_LOGIC, _OR, {"source": text("aws.cloudwatch"), "namespace": text("AWS/EC2")}, True),
    Case(_LOGIC, _OR, {"source": text("aws.cloudwatch")}, False),
    Case(_LOGIC, _OR, {"metricName": text("CPUUtilization"), "namespace": text("AWS/EC2")}, False),
    # not the operator: fewer than two objects, an element that is none, or an operator's name below it
    Case(_LOGIC, {"$or": ["a"]}, {"$or": text("a")}, True),
    Case(_LOGIC, {"$or": [{"prefix": "a"}, {"suffix": "b"}]}, {"$or": text("xb")}, True),
    Case(_LOGIC, {"$or": [{"prefix": "a"}, {"suffix": "b"}]}, {"prefix": text("a")}, False),
    Case(_EXISTS, {"store": [{"exists": True}]}, {"customer_interests": array("baseball", "basketball")}, False),
    Case(_EXISTS, {"store": [{"exists": False}]}, {"customer_interests": array("baseball", "basketball")}, True),
    Case(_STRING, {"event": [{"anything-but": "a"}, {"exists": False}]}, {}, True),
    Case(_STRING, {"event": [{"anything-but": "a"}]}, {}, False),
    Case("Filter policy constraints", {"encrypted": [False]}, {"encrypted": array(True, False)}, True),
    Case("Filter policy constraints", {"encrypted": [False]}, {"encrypted": text("false")}, False),
    Case("Filter policy constraints", {"name": ["Rugby"]}, {"name": text("rugby")}, False),
]

_S3 = {"Records": {"s3": {"object": {"key": [{"prefix": "auto-"}]}}, "eventName": [{"prefix": "ObjectCreated:"}]}}


def _s3(event: str, key: str) -> dict[str, Any]:
    return {"eventSource": "aws:s3", "eventName": event, "s3": {"object": {"key": key, "size": 17}}}


BODIES = [
    *(case for _, case in _PAIRS),
    Case(_LOGIC, _AND, {"customer_interests": "rugby", "price_usd": 100.01}, True),
    Case(_LOGIC, _OR, {"source": "aws.cloudwatch", "namespace": "AWS/EC2"}, True),
    Case(_LOGIC, _OR, {"source": "aws.cloudwatch", "namespace": "AWS/ES"}, False),
    Case(
        _LOGIC,
        {"detail": {"scope": ["S"], "$or": [{"a": ["1"]}, {"b": ["2"]}]}},
        {"detail": {"scope": "S", "b": "2"}},
        True,
    ),
    Case(_LOGIC, {"detail": {"scope": ["S"], "$or": [{"a": ["1"]}, {"b": ["2"]}]}}, {"detail": {"scope": "S"}}, False),
    Case("payload-based filtering", {"store": {"name": ["x"]}}, {"store": {"name": "x", "city": "y"}}, True),
    Case("payload-based filtering", {"store": {"name": ["x"]}}, {"store": "x"}, False),
    Case("payload-based filtering", _S3, {"Records": [_s3("ObjectCreated:Put", "auto-insurance-2314.xml")]}, True),
    Case("payload-based filtering", _S3, {"Records": [_s3("ObjectRemoved:Delete", "auto-insurance-2314.xml")]}, False),
    Case("payload-based filtering", _S3, {"Records": [_s3("ObjectCreated:Put", "home-insurance-2314.xml")]}, False),
    Case("payload-based filtering", _S3, {"Records": [[_s3("ObjectCreated:Put", "auto-1")], _s3("x", "y")]}, True),
    # exists is about values: an object is none
    Case(_EXISTS, {"store": {"name": [{"exists": True}]}}, {"store": {"name": None}}, True),
    Case(_EXISTS, {"store": [{"exists": True}]}, {"store": {"name": "x"}}, False),
    Case(_EXISTS, {"store": {"name": [{"exists": False}]}}, {}, True),
    Case(_EXISTS, {"store": {"name": [{"exists": False}]}}, {"store": {"name": "x"}}, False),
    Case("Filter policy constraints", {"encrypted": [True, None]}, {"encrypted": None}, True),
    Case("Filter policy constraints", {"encrypted": [True, None]}, {"encrypted": "true"}, False),
]
