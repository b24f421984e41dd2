"""What a plugin's settings are made of: the base struct, and quantities that carry their unit."""

from __future__ import annotations

import math
import re
from typing import Annotated, ClassVar, Self, dataclass_transform

import msgspec
from msgspec import Meta

_MOST_SHOWN = 60


class _KeywordOnly(msgspec.StructMeta):
    """Makes every struct of this kind keyword-only, which msgspec's ``kw_only`` does for one class and none below it."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, object], **options: object
    ) -> _KeywordOnly:
        return super().__new__(cls, name, bases, namespace, **{"kw_only": True, **options})  # type: ignore[arg-type]  # msgspec's own


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Settings(msgspec.Struct, metaclass=_KeywordOnly, frozen=True, forbid_unknown_fields=True):
    """The base of every settings struct. Fields are checked, defaulted and documented from their declaration.

    Document a field with ``Annotated[int, Meta(description="…", ge=1)]``.
    """


class Quantity:
    """A number that a config writes with its unit: what :class:`Duration`, :class:`Size` and :class:`Rate` share."""

    units: ClassVar[dict[str, float]]
    example: ClassVar[str]

    @classmethod
    def expected(cls) -> str:
        """What would fit, in words; ``example`` is one."""
        return f"a number with a unit ({', '.join(cls.units)})"

    @classmethod
    def _scaled(cls, text: str) -> float:
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z/]+)\s*", text)
        factor = cls.units.get(match[2]) if match else None
        scaled = float(match[1]) * factor if match and factor else math.inf
        if not math.isfinite(scaled):
            found = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
            raise ValueError(f"expected {cls.expected()} such as {cls.example}, found {found!r}")
        return scaled

    @classmethod
    def _written(cls, value: float) -> str:
        for unit, factor in sorted(cls.units.items(), key=lambda item: -item[1]):
            count = round(value / factor, 9)  # 0.07 s is 70.00000000000001 ms
            if count >= 1 and count.is_integer():
                return f"{int(count)}{unit}"
        if value == 0:
            return f"0{next(unit for unit, factor in cls.units.items() if factor == 1)}"
        unit, factor = min(cls.units.items(), key=lambda item: item[1])
        return f"{value / factor:.12g}{unit}"


class Duration(Quantity, float):
    """Seconds, written with a unit: ``250ms``, ``60s``, ``15m``, ``12h``, ``14d``."""

    units: ClassVar[dict[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    example: ClassVar[str] = "60s"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``60s``; raises ValueError with what would fit."""
        return cls(cls._scaled(text))

    def __str__(self) -> str:
        return self._written(float(self))


class Size(Quantity, int):
    """Bytes, written with a unit: ``64KiB``, ``5MiB``, ``1GiB`` (or ``5MB``, powers of ten)."""

    units: ClassVar[dict[str, float]] = {
        "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9,
    }  # fmt: skip
    example: ClassVar[str] = "5MiB"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``5MiB``; raises ValueError with what would fit."""
        return cls(int(cls._scaled(text)))

    def __str__(self) -> str:
        return self._written(float(self))


class Rate(Quantity, float):
    """Events per second, written ``500/s`` or ``30/m``."""

    units: ClassVar[dict[str, float]] = {"/s": 1.0, "/m": 1 / 60, "/h": 1 / 3600}
    example: ClassVar[str] = "500/s"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``500/s``; raises ValueError with what would fit."""
        return cls(cls._scaled(text))

    def __str__(self) -> str:
        return f"{float(self):g}/s"


class Secret(str):
    """A string that is masked wherever settings are shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


class AwsSettings(Settings):
    """Where and as whom AWS is reached. At the top of the config, on a fork or on a plugin; the nearest wins, field by field."""

    region: Annotated[str | None, Meta(description="region, such as eu-west-1")] = None
    profile: Annotated[str | None, Meta(description="profile of the AWS config file to act as")] = None
    role_arn: Annotated[str | None, Meta(description="role to assume before anything else is asked")] = None
    external_id: Annotated[str | None, Meta(description="external id that the role's trust policy demands")] = None
    endpoint_url: Annotated[str | None, Meta(description="where every service is reached, instead of AWS itself")] = (
        None
    )

    def over(self, outer: AwsSettings) -> AwsSettings:
        """These settings, with what they leave out taken from ``outer``."""
        return AwsSettings(
            **{
                name: getattr(self, name) if getattr(self, name) is not None else getattr(outer, name)
                for name in self.__struct_fields__
            }
        )
