"""Sanitising any JSON whatever, against a checker that decodes everything and knows nothing of how the stage works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from hypothesis import event, given, settings
from hypothesis import strategies as st

from forkstream.errors import DeliveryError, UndecodableError
from forkstream.event import Event
from tests.sanitize_kit import KEY, ORDER, sanitized, stage

Step: TypeAlias = str | int | None
"""A step of a path: a glob over keys, a position, or None for every element."""
Steps: TypeAlias = tuple[Step, ...]


class Number(str):
    """A number by its text, so that equal means the same digits."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Number({str(self)!r})"


def decoded(text: bytes | str) -> Any:
    return json.loads(text, parse_int=Number, parse_float=Number)


# JSON as text: keys from a few letters in both cases, so that rules meet them, and often the same one twice.
keys = st.text(alphabet="aAbc\u017f-.*", max_size=3)
numbers = st.one_of(
    st.integers().map(str),
    st.builds(
        "{}{}.{}{}".format, *map(st.sampled_from, [["", "-"], ["0", "7", "450"], ["0", "00", "10"], ["", "e5", "E-3"]])
    ),
    st.sampled_from(["-0", "1e400", "2E+99999999999999999999", "0.1000000000000000055511151231257827", "9" * 400]),
)
spaces = st.sampled_from(["", "", " ", "\n\t"])


@st.composite
def string_texts(draw: st.DrawFn, contents: st.SearchStrategy[str]) -> str:
    content = draw(contents)
    if draw(st.booleans()):
        return json.dumps(content, ensure_ascii=draw(st.booleans()))
    units = content.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2)) + '"'


def object_texts(names: st.SearchStrategy[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.builds("{1}{0}:{1}{2}{1}".format, string_texts(names), spaces, values)
    return st.lists(member, max_size=4).map(lambda members: "{" + ",".join(members) + "}")


def json_texts(strings: st.SearchStrategy[str], names: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        arrays = st.lists(inner, max_size=3).map(lambda elements: "[ " + ",".join(elements) + "]")
        return object_texts(names, inner) | object_texts(names, inner) | arrays

    leaves = st.one_of(st.sampled_from(["null", "true", "false"]), numbers, string_texts(strings))
    return st.recursive(leaves, containers, max_leaves=8)


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
documents = json_texts(any_text, keys | any_text)
globs = st.sampled_from(["a", "b", "c", "*", "a*", "*a", "*-*", "s", "", "a.b"])
positions = st.none() | st.integers(0, 2)
paths = st.lists(globs | globs | globs | positions, min_size=1, max_size=3).map(tuple)


@st.composite
def fitting(draw: st.DrawFn) -> tuple[str, list[Steps], list[Steps]]:
    """A document whose objects and arrays stand where two lists of paths expect them, so that few events are refused."""
    shape = draw(st.lists(st.sampled_from([globs, globs, positions]), min_size=1, max_size=3))
    fitting_paths = st.integers(1, len(shape)).flatmap(lambda length: st.tuples(*shape[:length]))
    texts = documents | st.just("null")
    for steps in reversed(shape):
        inner = texts
        texts = (
            object_texts(keys, inner)
            if steps is globs
            else st.lists(inner, max_size=3).map(",".join).map("[{}]".format)
        )
        texts = texts | texts | st.just("null")
    text = draw(texts.filter(lambda text: text != "null"))
    return text, draw(st.lists(fitting_paths, min_size=1, max_size=3)), draw(st.lists(fitting_paths, max_size=3))


def spelled(path: Steps) -> str:
    text = ""
    for step in path:
        if isinstance(step, str):
            pieces = "*".join(json.dumps(piece) if piece else "" for piece in step.split("*"))
            text += f"{'.' if text else ''}{pieces or json.dumps('')}"
        else:
            text += "[*]" if step is None else f"[{step}]"
    return text


class WrongTypeError(Exception):
    """A rule leads through a value of another type."""


def expected(value: Any, drops: list[Steps], keeps: list[Steps] | None, *, whole: bool = True) -> Any:
    """What should be left of a value, decided with everything decoded and every rule tried at every place."""
    waiting = [*drops, *(keeps or [])]
    if not waiting or (value is None and not whole):
        return value
    if not all(isinstance(value, dict if isinstance(steps[0], str) else list) for steps in waiting):
        raise WrongTypeError
    left = []
    for name, child in value.items() if isinstance(value, dict) else enumerate(value):
        kept = None if keeps is None else [steps[1:] for steps in keeps if names(steps[0], name)]
        dropped = [steps[1:] for steps in drops if names(steps[0], name.casefold() if isinstance(name, str) else name)]
        if kept == [] or () in dropped:
            continue
        left.append((name, expected(child, dropped, None if kept is None or () in kept else kept, whole=False)))
    return dict(left) if isinstance(value, dict) else [child for _, child in left]


def names(step: Step, name: str | int) -> bool:
    if isinstance(name, str):
        return isinstance(step, str) and bool(
            re.fullmatch(step.replace(".", r"\.").replace("*", ".*"), name, re.DOTALL)
        )
    return step is None or step == name


def contradicting(rules: list[Steps]) -> bool:
    """Whether two paths part with a key and an index: the config is refused then, whatever the event."""
    heads = [(path[:n], isinstance(path[n], str)) for path in rules for n in range(len(path))]
    return any((head, not is_key) in heads for head, is_key in heads)


def check(text: str, drops: list[Steps], keeps: list[Steps] | None) -> None:
    config: dict[str, Any] = {"drop": [spelled(path) for path in drops]}
    if keeps is not None:
        config["keep"] = [spelled(path) for path in keeps]
    try:
        left = expected(decoded(text), drops, keeps)
    except WrongTypeError:
        event("refused")
        try:
            sanitized(text, **config)
        except UndecodableError as error:
            assert error.code in ("not_an_object", "not_an_array", "rules_contradict")  # noqa: PT017  # raised or not is the point
            return
        raise AssertionError("a rule led through a value of another type, and the event went on") from None
    event("changed" if left != decoded(text) else "unchanged")
    assert decoded(sanitized(text, **config)) == left


@settings(deadline=None, max_examples=200)
@given(documents, st.lists(paths, min_size=1, max_size=4))
def test_no_dropped_path_survives_in_any_json_and_all_else_does(text: str, drops: list[Steps]) -> None:
    if not contradicting(drops):
        check(text, drops, None)


@settings(deadline=None, max_examples=250)
@given(fitting())
def test_neither_dropped_nor_unlisted_paths_survive_where_the_types_fit(
    given: tuple[str, list[Steps], list[Steps]],
) -> None:
    text, drops, keeps = given
    check(text, drops, keeps or None)


@settings(deadline=None, max_examples=200)
@given(documents, st.lists(paths, max_size=2), st.lists(paths, min_size=1, max_size=4))
def test_only_kept_paths_survive_in_any_json(text: str, drops: list[Steps], keeps: list[Steps]) -> None:
    if not contradicting([*drops, *keeps]):
        check(text, drops, keeps)


payment_keys = st.sampled_from(["payment", "PAYMENT", "card-number", "Card-", "x"])
payments = object_texts(payment_keys, object_texts(payment_keys, st.sampled_from(["1", '"x"', "{}", "null"])))


@settings(deadline=None, max_examples=300)
@given(payments)
def test_no_card_key_stays_in_any_payment(text: str) -> None:
    """The one rule that everybody has, on objects made to provoke it: keys repeated, escaped, in either case."""
    body = decoded(sanitized(text, drop=["payment.card-*"]))
    given = decoded(text)
    assert body.keys() == given.keys()
    for key, value in given.items():
        folded = key.casefold() == "payment"
        assert body[key] == {k: v for k, v in value.items() if not (folded and k.casefold().startswith("card-"))}


secrets = st.sampled_from(
    ["4111 1111 1111 1111", "x4111111111111111", "john.doe@example.com", "<JOHN.DOE@example.com>", "plain", "é", "\\"]
)
planted = json_texts(st.lists(secrets, max_size=3).map(" ; ".join), st.lists(secrets, max_size=2).map("|".join))


@settings(deadline=None, max_examples=300)
@given(planted, st.sampled_from(["drop", "mask", "hash"]), st.sampled_from([{}, {"drop": ["plain.x"]}]))
def test_no_finding_survives_in_any_json(text: str, action: str, rules: dict[str, Any]) -> None:
    config = {**rules, "detect": {"card_numbers": action, "emails": action}}
    if action == "hash":
        config["hash"] = {"key": KEY}
    try:
        body = decoded(sanitized(text, **config))
    except DeliveryError as error:
        assert error.code in ("keys_collide", "nothing_left", "not_an_object")  # noqa: PT017  # raised or not is no point
        return
    for string in strings(body):
        assert "1111" not in string
        assert "@" not in string
    if action == "mask" and not rules:
        harmless = [string for string in strings(decoded(text)) if string in ("", "plain", "é", "\\")]
        assert [string for string in strings(body) if string in harmless] == harmless


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for child in value.values():
            yield from strings(child)
    elif isinstance(value, list):
        for child in value:
            yield from strings(child)
    elif isinstance(value, str) and not isinstance(value, Number):
        yield value


CONFIGS: list[dict[str, Any]] = [
    {"drop": ["payment.card-*", "items[*].note"]},
    {"keep": ["id", "payment.amount", "items[*].price"]},
    {"mask": ["customer.name", {"paths": ["payment.card-number"], "keep_last": 4}]},
    {"hash": {"paths": ["customer.*", "payment", "items[0]"], "key": KEY}},
    {"detect": {"card_numbers": "mask", "emails": "drop"}},
    {"drop": ["*"], "detect": {"card_numbers": "hash"}, "hash": {"key": KEY}},
]

damaged = st.builds(
    lambda body, at, length, noise: body[:at] + noise + body[at + length :],
    st.just(ORDER) | documents.map(str.encode),
    st.integers(0, len(ORDER)),
    st.integers(0, 20),
    st.binary(max_size=6)
    | st.sampled_from([b"\\u0041", b'"', b'\\"', b"{", b"]", b"1e", b"\xff", b"@x.yz", b"4111111111111111"]),
)


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=40) | damaged, st.sampled_from(CONFIGS))
def test_any_bytes_at_all_are_sanitised_or_fail_as_a_delivery_error(body: bytes, config: dict[str, Any]) -> None:
    try:
        result = stage(**config)(Event(body, id="1"))
    except DeliveryError as error:
        event(error.code)
        return
    event("sanitised")
    json.loads(result.body.decode())
