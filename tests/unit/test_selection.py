"""Fields of a document: what is included, what is left out, and that nothing else changes."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkstream.event import Json
from forkstream.stages.selection import Selection

ORDER: dict[str, Json] = {
    "id": 15311,
    "customer": {"id": 65144, "email": "j@example.com", "name": None},
    "items": [{"id": 1, "note": "a", "tags": ["x", "y"]}, {"id": 2}, 3, None],
    "dotted.key": {"a": 1},
}


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (["id"], {"id": 15311}),
        (["customer"], {"customer": ORDER["customer"]}),
        (["customer.id", "customer.name"], {"customer": {"id": 65144, "name": None}}),
        (["customer.*"], {"customer": ORDER["customer"]}),
        (["customer.id", "customer"], {"customer": ORDER["customer"]}),
        (["items[*].note"], {"items": [{"note": "a"}]}),
        (["items[*]"], {"items": ORDER["items"]}),
        (["items[0].tags[1]", "id"], {"id": 15311, "items": [{"tags": ["y"]}]}),
        (['"dotted.key".a'], {"dotted.key": {"a": 1}}),
        (["id.x", "missing", "customer[0]", "items.id"], {}),
    ],
)
def test_only_included_fields_stay(include: list[str], expected: Json) -> None:
    assert Selection(include, [])(ORDER) == expected


@pytest.mark.parametrize(
    ("exclude", "changed"),
    [
        (["id"], {"id": "gone"}),
        (["customer.email"], {"customer": {"id": 65144, "name": None}}),
        (["customer.*"], {"customer": {}}),
        (["items[*].id"], {"items": [{"note": "a", "tags": ["x", "y"]}, {}, 3, None]}),
        (["items[0]"], {"items": [{"id": 2}, 3, None]}),
        (["items[0].tags[*]"], {"items": [{"id": 1, "note": "a", "tags": []}, {"id": 2}, 3, None]}),
        (["*.id"], {"customer": {"email": "j@example.com", "name": None}}),
        (['"dotted.key"', "customer"], {"dotted.key": "gone", "customer": "gone"}),
        (["id.x", "missing", "customer[0]", "items.id"], {}),
    ],
)
def test_excluded_fields_go_and_the_rest_stays(exclude: list[str], changed: dict[str, Json]) -> None:
    expected = {key: value for key, value in (ORDER | changed).items() if value != "gone"}
    assert Selection([], exclude)(ORDER) == expected


def test_exclusion_cuts_from_what_is_included() -> None:
    assert Selection(["customer"], ["customer.email"])(ORDER) == {"customer": {"id": 65144, "name": None}}


def test_the_given_data_stays_unchanged() -> None:
    before = copy.deepcopy(ORDER)
    Selection(["customer", "items"], ["customer.email", "items[*].id", "items[0].tags[0]"])(ORDER)
    assert before == ORDER


_keys = st.sampled_from(["a", "b", "ab"])
_data = st.dictionaries(
    _keys,
    st.recursive(st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner)),
)
_paths = st.lists(
    st.builds("{}{}".format, _keys | st.just("*") | st.just("a*"), st.sampled_from(["", ".a", ".*", "[*]", "[0].b"])),
    max_size=3,
)


@given(_data, _paths, _paths)
def test_no_excluded_path_stays_and_no_other_value_goes(
    data: dict[str, Json], include: list[str], exclude: list[str]
) -> None:
    selected = Selection(include, exclude)(data)
    if any("[" in path for path in exclude):
        return  # an element that goes moves the next one into its place
    places, left = dict(_places(data)), dict(_places(selected))
    for place in left:
        assert not any(_leads(path, place) for path in exclude), place
    for place, leaf in places.items():
        wanted = not include or any(_leads(path, place[:end]) for path in include for end in range(len(place) + 1))
        unwanted = any(_leads(path, place[:end]) for path in exclude for end in range(len(place) + 1))
        if wanted and not unwanted and not any("[" in path for path in include):
            assert leaf == left[place]


_Place: TypeAlias = tuple[str | int, ...]


def _places(value: Json, place: _Place = ()) -> Iterator[tuple[_Place, Json]]:
    """Every value with where it stands; containers stand for themselves, empty."""
    if isinstance(value, dict):
        yield place, {}
        for key, child in value.items():
            yield from _places(child, (*place, key))
    elif isinstance(value, list):
        yield place, []
        for at, child in enumerate(value):
            yield from _places(child, (*place, at))
    else:
        yield place, value


def _leads(path: str, place: _Place) -> bool:
    """Tell by the text of a path alone whether it names a place: ``a.b[0]`` names ("a", "b", 0)."""
    spelled = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    pattern = re.escape("." + path).replace(r"\[\*\]", r"\[\d+\]").replace(r"\*", r"[^.\[]*")
    return re.fullmatch(pattern, spelled) is not None
