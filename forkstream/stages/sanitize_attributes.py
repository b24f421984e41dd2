"""The rules of a sanitize stage for message attributes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from forkstream.event import Attribute
from forkstream.fields.paths import Key
from forkstream.stages.redact import GONE, Gone, Redaction, Treatment
from forkstream.stages.scrub import Scrub

# See "Amazon SQS message attributes", Name: letters, digits, underscore, hyphen and period; the * is ours.
_NAME = re.compile(r"[A-Za-z0-9_.*-]+")


class AttributeRewrite:
    """Applies rules to message attributes, the first that fits winning, below an optional allow-list.

    What stands in for a value is of type ``String``, also for a Number or a Binary one. A scrub looks at all other
    values, at Binary ones as the text they may be. A name with a finding goes with its attribute: names cannot have stars.
    """

    def __init__(
        self, rules: Sequence[tuple[str, Treatment]], keep: Sequence[str] | None, scrub: Scrub | None, *, fold: bool
    ) -> None:
        self._fold = fold
        names = [(_name(text), treatment) for text, treatment in rules]
        self._rules = [(name.folded() if fold else name, treatment) for name, treatment in names]
        self._keep = None if keep is None else [_name(text) for text in keep]
        self._scrub = scrub

    def __call__(self, attributes: Mapping[str, Attribute]) -> Mapping[str, Attribute]:
        """Give the attributes as they may be stored."""
        if not attributes:
            return attributes
        return {
            name: rewritten
            for name, attribute in attributes.items()
            if (rewritten := self._rewritten(name, attribute)) is not GONE
        }

    def _rewritten(self, name: str, attribute: Attribute) -> Attribute | Gone:
        if self._keep is not None and not any(key.matches(name) for key in self._keep):
            return GONE
        if self._scrub is not None and self._scrub.text(name) != name:
            return GONE
        compared = name.casefold() if self._fold else name
        for key, treatment in self._rules:
            if key.matches(compared):
                return treatment if treatment is GONE else _redacted(attribute.value, treatment)
        return attribute if self._scrub is None else _scrubbed(attribute, self._scrub)


def _redacted(value: str | bytes, redaction: Redaction) -> Attribute:
    return Attribute("String", redaction.of_text(value) if isinstance(value, str) else redaction.of_bytes(value))


def _scrubbed(attribute: Attribute, scrub: Scrub) -> Attribute | Gone:
    value = attribute.value
    if isinstance(value, str):
        text, encoding = value, ""
    else:
        text, encoding = _text(value)
    new = scrub.text(text)
    if new is GONE:
        return GONE
    if new == text:
        return attribute
    if isinstance(value, bytes):
        return Attribute(attribute.type, new.encode(encoding))
    return Attribute("String" if attribute.type.startswith("Number") else attribute.type, new)


def _text(data: bytes) -> tuple[str, str]:
    """Read bytes as the text they may be, and say in which encoding every one of them is a character."""
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def _name(text: str) -> Key:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"attribute {text!r}: names of message attributes have letters, digits, _, - and . only;"
            " * stands for any of them, as in card-*"
        )
    return Key.glob(text)
