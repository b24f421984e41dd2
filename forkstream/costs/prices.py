"""What AWS asks for one unit of what it bills."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta

from forkstream.errors import CommandError


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One unit's price in US dollars, and where it was read."""

    usd: Annotated[float, Meta(ge=0)]
    source: str


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price list: of one region, as of a month (``2026-03``), by the unit's name."""

    region: str
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}$")]
    units: dict[str, Price]

    @classmethod
    def read(cls, path: Path | None = None) -> Prices:
        """Read a list, the shipped one if none is named; raises CommandError that says what is wrong with it."""
        text = path.read_text() if path else files(__package__).joinpath("prices.yaml").read_text()
        try:
            return msgspec.convert(yaml.safe_load(text), cls)
        except (msgspec.ValidationError, yaml.YAMLError) as error:
            raise CommandError(
                f"{path}: no price list: {error}; the shipped one shows what it looks like: "
                f"{files(__package__).joinpath('prices.yaml')}"
            ) from None

    def usd(self, unit: str, amount: float) -> float:
        """What so many units cost; raises CommandError for a unit that the list does not know."""
        if unit not in self.units:
            raise CommandError(
                f"the price list has no unit {unit}; it has {', '.join(self.units)}. "
                "Give one that has it with --prices FILE"
            )
        return amount * self.units[unit].usd
