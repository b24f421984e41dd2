"""The ``sanitize`` stage: what must not be stored is taken out, or stood in for, before an event goes anywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from forkstream.errors import UndecodableError
from forkstream.event import Event
from forkstream.fields.paths import Path
from forkstream.ports import Context, EventStage
from forkstream.settings import Secret, Settings
from forkstream.stages.detectors import CARD_NUMBERS, EMAILS, Detector
from forkstream.stages.exact_json import encode_exact
from forkstream.stages.redact import GONE, Hash, Mask, Treatment
from forkstream.stages.rewrite import Rewrite, Rule
from forkstream.stages.sanitize_attributes import AttributeRewrite
from forkstream.stages.scrub import Scrub


class MaskRule(Settings):
    """Places that are masked alike."""

    paths: Annotated[tuple[str, ...], Meta(description="what to mask", min_length=1)]
    keep_last: Annotated[
        int, Meta(description="characters to leave at the end of a value at least twice as long", ge=0, le=8)
    ] = 0


Masks: TypeAlias = tuple[str | MaskRule, ...]


class HashRule(Settings):
    """Places whose values become pseudonyms."""

    key: Annotated[Secret, Meta(description="the secret of the pseudonyms, 32 characters or more: ${HASH_KEY}")]
    paths: Annotated[tuple[str, ...], Meta(description="what to hash")] = ()


class AttributeRules(Settings):
    """The same rules for message attributes, by name; ``*`` stands for any characters."""

    drop: Annotated[tuple[str, ...], Meta(description="names to drop")] = ()
    keep: Annotated[
        tuple[str, ...] | None, Meta(description="names to keep; all others are dropped. An empty list keeps none")
    ] = None
    mask: Annotated[Masks, Meta(description="names to mask, or {paths, keep_last}")] = ()
    hash: Annotated[tuple[str, ...], Meta(description="names to hash, with the key of `hash`")] = ()


Detection: TypeAlias = Literal["drop", "mask", "hash"]


class DetectRules(Settings):
    """What is looked for in every string, number, key and attribute that no other rule has replaced."""

    card_numbers: Annotated[
        Detection | None, Meta(description="13 to 19 digits that pass the Luhn check, spaces and dashes allowed")
    ] = None
    emails: Annotated[Detection | None, Meta(description="e-mail addresses")] = None


class SanitizeConfig(Settings):
    """Which parts of an event go, and how. Paths read ``payment.card-*``, ``items[*].note``, ``a."key.with.dots"``."""

    drop: Annotated[tuple[str, ...], Meta(description="paths to drop, keys and values")] = ()
    keep: Annotated[tuple[str, ...] | None, Meta(description="paths to keep; everything else is dropped")] = None
    mask: Annotated[Masks, Meta(description="paths to replace by ****, or {paths, keep_last}")] = ()
    hash: Annotated[HashRule | None, Meta(description="values to replace by a keyed HMAC-SHA-256")] = None
    attributes: AttributeRules = AttributeRules()
    detect: DetectRules = DetectRules()
    case: Annotated[
        Literal["insensitive", "sensitive"],
        Meta(description="how drop, mask and hash compare keys; keep always compares exactly"),
    ] = "insensitive"


class Sanitize(EventStage[SanitizeConfig]):
    """Takes out what must not be stored, and fails closed: an event that a rule cannot be applied to goes nowhere.

    **Order.** ``keep`` first, then ``drop``, ``mask`` and ``hash``; where several fit one place, the one that leaves
    least wins, in this order. A place that was replaced is replaced whole: rules below it have nothing left to do.
    ``detect`` comes last and looks at all that the rules have left as it was.

    **Case.** ``Card-Number`` is dropped by a rule for ``card-number``, since many readers of JSON (Athena, Go, .NET)
    take one for the other and a key left in the clear is the worse mistake. For the same reason ``keep`` compares
    exactly. ``case: sensitive`` makes all rules exact.

    **What fails.** A body that is not JSON in UTF-8, is nested too deep, or holds a value of another type where a
    path leads through: a list or a scalar where a key is to be looked up, an object or a scalar where an index is,
    also below a ``*``. What is missing passes, and so does null, which holds nothing, unless it is the whole body.
    Error details name rules and types, never a value or a key of the event.

    **What goes out** where a rule for the body exists is always encoded anew, so that no key that was written twice
    or with escapes gets past. Numbers keep their digits; what no rule leads through, and no detector suspects, keeps
    its bytes. The stage remembers short keys it has met, as what to do with them, and nothing else of any event.
    """

    sanitizes: ClassVar[bool] = True

    def __init__(self, config: SanitizeConfig, context: Context) -> None:
        super().__init__(config, context)
        hashing = _hashing(config)
        scrub = _scrub(config.detect, hashing)
        self._body = _body_rewrite(config, hashing, scrub)
        self._attributes = _attribute_rewrite(config, hashing, scrub)
        if self._body is None and self._attributes is None:
            raise ValueError("there is no rule: give drop, keep, mask, hash, attributes or detect")

    @property
    def attributes_named(self) -> Collection[str]:
        given = self.config.attributes
        masked = [name for rule in given.mask for name in ([rule] if isinstance(rule, str) else rule.paths)]
        return {name for name in (*given.drop, *(given.keep or ()), *masked, *given.hash) if "*" not in name}

    def __call__(self, event: Event) -> Event:
        """Give the event with a new body and new attributes, as far as there are rules for them."""
        return event.with_(
            body=None if self._body is None else _rewritten(event.body, self._body),
            attributes=None if self._attributes is None else self._attributes(event.attributes),
        )


def _hashing(config: SanitizeConfig) -> Hash | None:
    detect = config.detect
    if config.hash is None:
        return None
    if not (config.hash.paths or config.attributes.hash or "hash" in (detect.card_numbers, detect.emails)):
        raise ValueError("hash has a key but nothing to hash: give hash.paths, attributes.hash or a detector with hash")
    return Hash(config.hash.key)


def _rewritten(body: bytes, rewrite: Rewrite) -> bytes:
    try:
        if not body.isascii():
            body.decode()  # what stays undecoded is not looked at again
        return encode_exact(rewrite(body))
    except UnicodeDecodeError as error:
        raise UndecodableError("not_utf8", f"byte {error.start} of {len(body)}") from None
    except msgspec.DecodeError as error:
        raise UndecodableError("not_json", str(error)) from None
    except RecursionError:
        raise UndecodableError("nested_too_deep", f"{len(body)} bytes") from None


def _body_rewrite(config: SanitizeConfig, hashing: Hash | None, scrub: Scrub | None) -> Rewrite | None:
    if config.keep == ():
        raise ValueError("keep is empty, so nothing of the body would be left: name what to keep")
    ranked = list(_ranked(config.drop, config.mask, config.hash.paths if config.hash else (), hashing))
    paths = _parsed([place for place, _ in ranked] + list(config.keep or ()))
    fold = config.case == "insensitive"
    rules = [
        Rule(paths[place], GONE if treatment is GONE else treatment.of_raw, fold=fold) for place, treatment in ranked
    ]
    keep = None if config.keep is None else [Rule(paths[place]) for place in config.keep]
    return Rewrite(rules, keep, scrub) if rules or keep or scrub else None


def _parsed(texts: Iterable[str]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    problems: list[str] = []
    for text in texts:
        try:
            paths[text] = Path.parse(text)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(dict.fromkeys(problems)))
    return paths


def _attribute_rewrite(config: SanitizeConfig, hashing: Hash | None, scrub: Scrub | None) -> AttributeRewrite | None:
    given = config.attributes
    if given.hash and hashing is None:
        raise ValueError("attributes.hash needs a key: give hash: {key: ...}")
    rules = list(_ranked(given.drop, given.mask, given.hash, hashing))
    if not rules and given.keep is None and scrub is None:
        return None
    return AttributeRewrite(rules, given.keep, scrub, fold=config.case == "insensitive")


def _ranked(
    drop: Iterable[str], mask: Masks, hashed: Iterable[str], hashing: Hash | None
) -> Iterator[tuple[str, Treatment]]:
    """Yield each place with its treatment, those that leave least first."""
    yield from ((place, GONE) for place in drop)
    masks = [MaskRule(paths=(given,)) if isinstance(given, str) else given for given in mask]
    for rule in sorted(masks, key=lambda rule: rule.keep_last):
        yield from ((place, Mask(rule.keep_last)) for place in rule.paths)
    if hashing is not None:
        yield from ((place, hashing) for place in hashed)


def _scrub(detect: DetectRules, hashing: Hash | None) -> Scrub | None:
    treatments: dict[Detection, Treatment | None] = {"drop": GONE, "mask": Mask(), "hash": hashing}
    detectors: list[tuple[Detector, Treatment]] = []
    for detector, wanted in ((CARD_NUMBERS, detect.card_numbers), (EMAILS, detect.emails)):
        treatment = treatments[wanted] if wanted else None
        if treatment is not None:
            detectors.append((detector, treatment))
        elif wanted:
            raise ValueError("detect with hash needs a key: give hash: {key: ...}")
    return Scrub(detectors) if detectors else None
