from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forkstream.aws.origin import ORIGIN_ATTRIBUTE, Origin
from forkstream.event import Attribute, Event


@example("an id with spaces", 1335920046.655)
@given(st.text(min_size=1), st.floats(allow_nan=False, allow_infinity=False))
def test_an_origin_comes_back_exactly(identity: str, sent_at: float) -> None:
    marked = Origin.of(Event(b"", id=identity, sent_at=sent_at)).mark({})
    assert Origin.parse(marked[ORIGIN_ATTRIBUTE]) == Origin(identity, sent_at)


def test_the_other_attributes_stay() -> None:
    attributes = {"amount": Attribute("Number", "1")}
    assert set(Origin("1", 2.0).mark(attributes)) == {"amount", ORIGIN_ATTRIBUTE}
    assert set(attributes) == {"amount"}


@pytest.mark.parametrize(
    "attribute",
    [
        None,
        Attribute("Binary", b"a 1"),
        *(Attribute("String", text) for text in ("", "a", "a b", " 1", "a nan", "a inf")),
    ],
)
def test_what_is_not_of_our_making_is_no_origin(attribute: Attribute | None) -> None:
    assert Origin.parse(attribute) is None
