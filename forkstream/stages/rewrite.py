"""Rules over a JSON body, compiled into the shallowest decode that can apply them.

Only the objects and arrays on the way to a rule are decoded: what no rule touches is never looked into and goes out as
the bytes it came in. Every level that is looked into is encoded anew from its decoded members, so a key that was written
twice, or with escapes, leaves no trace but its last value.

The first bodies are taken level by level. Once they bring no new keys, all levels together are compiled into one
:class:`Shape`; a body that does not fit it, be it for a key or for a type, is taken level by level again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final, TypeAlias

import msgspec
from msgspec import Raw

from forkstream.errors import PermanentError, UndecodableError
from forkstream.fields.paths import Index, Key, Path, Step
from forkstream.stages.exact_json import decode_elements, decode_members, decode_raw
from forkstream.stages.redact import GONE, Gone
from forkstream.stages.scrub import Scrub
from forkstream.stages.shape import Elements, Part, Shape, fits

# Measured on an order of 626 bytes, event in, event out (Python 3.11.7, msgspec 0.22, one core, best of 400 runs):
#   drop: [payment.card-*]                            2.3 µs compiled, 4.7 µs level by level
#   drop: [payment.card-*, items[*].note]             3.4 µs, 8.3 µs
#   keep: [id, payment.amount, items[*].price]        3.2 µs, 8.8 µs
# Decoding all of it with Decimal fractions, filtering `payment` by hand and encoding all again takes 7.1 µs. Of the
# 2.3 µs, the typed decode takes 1.0, the encode 0.4, the copy of the event 0.3, and the look for bytes beyond ASCII 0.1.

Action: TypeAlias = Callable[[Raw], object] | Gone | None
"""What happens to a value: something stands in for it, unless that is ``GONE``; ``GONE`` drops it unseen, None leaves it."""

# Keys repeat from event to event, so each level remembers what it does with them: the first thousand, none of them long,
# so that no producer can fill the memory.
_MEMO_KEYS: Final = 1024
_MEMO_LENGTH: Final = 64

_QUIET_BODIES: Final = 16  # so many in a row without a new key say that the keys are known
_DEEPEST_PART: Final = 8  # steps into a body that are compiled: Python nests blocks, and of them loops 20 deep
_MOST_COMPILATIONS: Final = 32  # a shape takes about a millisecond to compile, so no producer may cause it for ever


class Rule:
    """One path and what happens there, nothing for a path to keep. ``fold`` matches its keys in any case."""

    def __init__(self, path: Path, action: Action = None, *, fold: bool = False) -> None:
        self.path = path
        self.action = action
        self.fold = fold
        self.steps = tuple(step.folded() if fold and isinstance(step, Key) else step for step in path.steps)


_Cursor: TypeAlias = tuple[Rule, int]  # a rule, and how many of its steps are behind us
_Cursors: TypeAlias = tuple[_Cursor, ...]


class Rewrite:
    """Applies rules to a body, the first that fits winning, below an optional allow-list, and a scrub to what they leave.

    Under ``keep``, what is neither listed nor on the way to something listed is dropped before any rule sees it.
    """

    def __init__(self, rules: Sequence[Rule], keep: Sequence[Rule] | None, scrub: Scrub | None) -> None:
        _refuse_contradictions([*rules, *(keep or ())])
        self.scrub = scrub
        self._levels: dict[tuple[_Cursors | None, _Cursors], _Level] = {}
        root = self.below(
            None if keep is None else tuple((rule, 0) for rule in keep), tuple((rule, 0) for rule in rules)
        )
        self._root = root if isinstance(root, _Level) else lambda body: _applied(root, decode_raw(body))
        self._object = root if isinstance(root, _ObjectLevel) else None
        self._shape: Callable[[bytes], object] | None = None
        self._known = self._quiet = self._compilations = 0

    def __call__(self, body: bytes) -> object:
        """Decode as deep as the rules go, and give what ``encode_exact`` turns into the new body."""
        if self._shape is not None:
            try:
                return self._shape(body)
            except msgspec.ValidationError:  # whether that is a new key or a wrong type is told level by level
                pass
        data = self._root(body)
        if data is GONE:
            raise PermanentError("nothing_left", "the body as a whole is something to drop")
        if self._object is not None and self._compilations < _MOST_COMPILATIONS:
            self._learn(self._object)
        return data

    def _learn(self, root: _ObjectLevel) -> None:
        """Compile the keys that are known as soon as they are new to the shape, and no longer new to the bodies."""
        known = sum(level.known for level in self._levels.values())
        if known != self._known:
            self._known, self._quiet = known, 0
        self._quiet += 1
        if self._quiet == _QUIET_BODIES:
            shape = root.shape()
            self._shape = shape.compiled() if shape else None
            self._compilations += 1

    def below(self, keep: _Cursors | None, rules: _Cursors) -> Action:
        """Find what happens to a value where these rules have come to; ``keep`` is None where everything is kept."""
        if keep is not None and any(depth == len(rule.steps) for rule, depth in keep):
            keep = None
        for rule, depth in rules:
            if depth == len(rule.steps):
                return rule.action
        if keep is None and not rules:
            return None if self.scrub is None else self.scrub.raw
        if (keep, rules) not in self._levels:
            self._levels[keep, rules] = _level(self, keep, rules)
        return self._levels[keep, rules]


class _Level(ABC):
    """What happens to the value that some rules lead through, wherever in the body they come together."""

    code: ClassVar[str]
    expected: ClassVar[str]

    known = 0
    """How many keys of its objects this level has met."""

    def __init__(self, rewrite: Rewrite, keep: _Cursors | None, rules: _Cursors) -> None:
        self._rewrite = rewrite
        self._keep = keep
        self._rules = rules

    @abstractmethod
    def __call__(self, raw: Raw | bytes) -> object:
        """Rewrite the value, or raise if it is not of the type that the rules expect."""

    def part(self) -> Part:
        """Give the level as a part of the shape above it: compiled, or as it is."""
        return self

    def _at(self, token: str | int) -> Action:
        keep = None if self._keep is None else _advance(self._keep, token)
        return GONE if keep == () else self._rewrite.below(keep, _advance(self._rules, token))

    def _refuse(self, raw: Raw | bytes) -> Raw:
        """Pass on null, which holds nothing that a rule could miss, unless it is the whole body; anything else is an error."""
        if isinstance(raw, Raw) and bytes(raw) == b"null":
            return raw
        rule, depth = (*self._rules, *(self._keep or ()))[0]
        place = str(Path(rule.path.steps[:depth])) or "the body"
        raise UndecodableError(self.code, f"{place}: expected {self.expected}, found {_kind(raw)}")


class _ObjectLevel(_Level):
    code = "not_an_object"
    expected = "an object"

    def __init__(self, rewrite: Rewrite, keep: _Cursors | None, rules: _Cursors) -> None:
        super().__init__(rewrite, keep, rules)
        self._scrub = rewrite.scrub
        self._memo: dict[str, Action] = {}

    def __call__(self, raw: Raw | bytes) -> object:
        try:
            members: dict[str, Any] = decode_members(raw)
        except msgspec.ValidationError:
            return self._refuse(raw)
        memo = self._memo
        gone = []
        for key, value in members.items():
            try:
                action = memo[key]
            except KeyError:
                action = self._remember(key)
            if action is None:
                continue
            new = GONE if action is GONE else action(value)
            if new is GONE:
                gone.append(key)
            else:
                members[key] = new
        for key in gone:
            del members[key]
        return members if self._scrub is None else self._scrub.members(members)

    def _remember(self, key: str) -> Action:
        action = self._at(key)
        if len(self._memo) < _MEMO_KEYS and len(key) <= _MEMO_LENGTH:
            self._memo[key] = action
            self.known += 1
        return action

    def shape(self) -> Shape | None:
        """Compile the keys met so far, here and below; None if they cannot be."""
        if any(depth > _DEEPEST_PART for _, depth in (*self._rules, *(self._keep or ()))):
            return None
        if not fits(self._memo) or not (self._scrub is None or self._scrub.finds_nothing(self._memo)):
            return None
        return Shape({key: a.part() if isinstance(a, _Level) else a for key, a in self._memo.items()})

    def part(self) -> Part:
        return self.shape() or self


class _ArrayLevel(_Level):
    code = "not_an_array"
    expected = "an array"

    def __init__(self, rewrite: Rewrite, keep: _Cursors | None, rules: _Cursors) -> None:
        super().__init__(rewrite, keep, rules)
        steps = (rule.steps[depth] for rule, depth in (*rules, *(keep or ())))
        named = {step.position for step in steps if isinstance(step, Index) and step.position is not None}
        self._at_position = {position: self._at(position) for position in named}
        self._elsewhere = self._at(-1)

    def part(self) -> Part:
        if self._at_position or not isinstance(self._elsewhere, _ObjectLevel):
            return self
        shape = self._elsewhere.shape()
        return Elements(shape) if shape else self

    def __call__(self, raw: Raw | bytes) -> object:
        try:
            elements: list[Any] = decode_elements(raw)
        except msgspec.ValidationError:
            return self._refuse(raw)
        kept: list[object] = []
        for position, element in enumerate(elements):
            action = self._at_position.get(position, self._elsewhere)
            new = _applied(action, element)
            if new is not GONE:
                kept.append(new)
        return kept


class _TornLevel(_Level):
    """Some rules expect an object and others an array here: whatever it is, a rule could not be applied."""

    code = "rules_contradict"
    expected = "an object and an array at once"

    def __call__(self, raw: Raw | bytes) -> object:
        return self._refuse(raw)


def _level(rewrite: Rewrite, keep: _Cursors | None, rules: _Cursors) -> _Level:
    kinds = {type(rule.steps[depth]) for rule, depth in (*rules, *(keep or ()))}
    level = _TornLevel if len(kinds) > 1 else _ArrayLevel if Index in kinds else _ObjectLevel
    return level(rewrite, keep, rules)


def _advance(cursors: _Cursors, token: str | int) -> _Cursors:
    return tuple((rule, depth + 1) for rule, depth in cursors if _fits(rule.steps[depth], token, fold=rule.fold))


def _fits(step: Step, token: str | int, *, fold: bool) -> bool:
    if isinstance(step, Key):
        return isinstance(token, str) and step.matches(token.casefold() if fold else token)
    return isinstance(token, int) and step.matches(token)


def _applied(action: Action, raw: Raw) -> object:
    return raw if action is None else GONE if action is GONE else action(raw)


def _kind(raw: Raw | bytes) -> str:
    first = bytes(raw).lstrip()[:1]
    return {b"{": "an object", b"[": "an array", b'"': "a string", b"t": "true", b"f": "false", b"n": "null"}.get(
        first, "a number"
    )


def _refuse_contradictions(rules: Iterable[Rule]) -> None:
    seen: dict[tuple[Step, ...], tuple[type[Step], Path]] = {}
    for rule in rules:
        for depth, step in enumerate(rule.steps):
            kind, path = seen.setdefault(rule.steps[:depth], (type(step), rule.path))
            if kind is not type(step):
                raise ValueError(
                    f"{path} and {rule.path} contradict each other: one expects an object where the other expects"
                    " an array, so no event could pass"
                )
