"""Objects whose keys are known by now: one typed decode for all of their levels, instead of one decode a level."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from forkstream.stages.redact import GONE, Gone

Call: TypeAlias = Callable[[Raw], object]
Part: TypeAlias = "Shape | Elements | Call | Gone | None"
"""What happens to a member: a shape of its own, a call for its undecoded value, dropped, or left as the bytes it is."""

MOST_KEYS: Final = 64
"""Keys that an object of one shape has at most: one with more is a map, whose keys would never all be known."""


class Shape:
    """An object that may have these keys and no others, as a struct that msgspec fills in one pass.

    A body that is not of this shape raises ``msgspec.ValidationError``, so that nothing unknown is ever passed over;
    of a key that is written twice the last value counts, and one with escapes is the key that it spells. Members
    come out in the order in which their keys were first met.
    """

    def __init__(self, members: Mapping[str, Part]) -> None:
        """Describe the members; their keys have to be such that :func:`fits`."""
        self._parts = {f"m{number}": part for number, part in enumerate(members.values())}
        fields = [
            (name, _type(part) | UnsetType, msgspec.field(default=UNSET, name=key))
            for (name, part), key in zip(self._parts.items(), members, strict=True)
        ]
        # no cycles can come of it, so the garbage collector need not look
        self.struct = msgspec.defstruct("Shape", fields, forbid_unknown_fields=True, gc=False)

    def compiled(self) -> Callable[[bytes], object]:
        """Make the function that decodes a body of this shape and applies what happens to its members.

        What it returns is for ``encode_exact``. A loop over the names of the members would take four times as long as
        the statements that are written out here, from nothing but their numbers.
        """
        calls: list[Call] = []
        body = "\n".join(self.statements("value", 1, calls))
        scope: dict[str, Any] = {"UNSET": UNSET, "GONE": GONE, "calls": calls}
        scope["decode"] = msgspec.json.Decoder(self.struct).decode
        exec(f"def rewrite(body):\n value = decode(body)\n{body}\n return value", scope)  # noqa: S102  # no text of a config or event is in it
        rewrite: Callable[[bytes], object] = scope["rewrite"]
        return rewrite

    def statements(self, value: str, depth: int, calls: list[Call]) -> Iterator[str]:
        """Write what happens to the members of the variable ``value``, indented by ``depth``; adds the ``calls`` it needs."""
        indent, member = " " * depth, f"{value}_"
        for name, part in self._parts.items():
            place = f"{value}.{name}"
            if part is GONE:
                yield f"{indent}{place} = UNSET"
            elif part is not None:
                yield f"{indent}{member} = {place}"
                yield f"{indent}if {member} is not UNSET and {member} is not None:"  # a null holds nothing to look for
                yield from _changing(part, place, member, depth + 1, calls)


class Elements:
    """An array all of whose elements are objects of one shape, or null."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape


def fits(keys: Iterable[str]) -> bool:
    """Tell whether an object with these keys can be compiled: not too many, and none that JSON has to escape."""
    known = list(keys)
    return len(known) <= MOST_KEYS and all(msgspec.json.encode(key) == f'"{key}"'.encode() for key in known)


def _type(part: Part) -> Any:
    if isinstance(part, Shape):
        return part.struct | None
    if isinstance(part, Elements):
        return list[part.shape.struct | None] | None  # type: ignore[name-defined]  # a type that exists only at run time
    return Raw


def _changing(
    part: Shape | Elements | Call | Gone, place: str, member: str, depth: int, calls: list[Call]
) -> Iterator[str]:
    indent = " " * depth
    if isinstance(part, Shape):
        yield f"{indent}pass"
        yield from part.statements(member, depth, calls)
    elif isinstance(part, Elements):
        yield f"{indent}for {member}_ in {member}:"
        yield f"{indent} if {member}_ is not None:"
        yield f"{indent}  pass"
        yield from part.shape.statements(f"{member}_", depth + 2, calls)
    else:
        assert callable(part)  # noqa: S101  # what is dropped was sorted out
        yield f"{indent}{member} = calls[{len(calls)}]({member})"
        yield f"{indent}{place} = UNSET if {member} is GONE else {member}"
        calls.append(part)
