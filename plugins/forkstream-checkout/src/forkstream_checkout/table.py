"""The checkout step: every order becomes a row of CheckoutTable."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from forkstream.errors import UndecodableError
from forkstream.event import Event, Failure
from forkstream.ports import Context, EventSink, Load, Permission
from forkstream.settings import AwsSettings, Settings
from forkstream.sinks.rows import KeyType, Row, TableWriter
from forkstream_checkout.order import Order

CORRUPTED = "CORRUPTED!"
"""What the bug writes instead of a payment and a quantity."""
BUG_SWITCH = "checkout-bug"

_KEY: dict[str, KeyType] = {"CustomerId": "S", "DateOrderId": "S"}


class CheckoutTableConfig(Settings):
    """Where the rows go."""

    table: Annotated[str, Meta(description="the table's name or ARN", min_length=1)]
    bug_enabled: Annotated[
        bool, Meta(description=f"write {CORRUPTED} instead of the payment; the switch {BUG_SWITCH} goes before it")
    ] = False
    aws: AwsSettings = AwsSettings()


class CheckoutTable(EventSink[CheckoutTableConfig]):
    """Writes each order as one row: CustomerId and DateOrderId are its key, then the payment and the quantity.

    A row is a pure function of its order and its key holds the order's identity, so a repeat changes nothing. A row
    that the bug corrupted is not: it goes in only where no right row is, so that an order which is delivered again
    to a task that does not yet know the bug is off spoils nothing that was repaired.
    """

    switches = (BUG_SWITCH,)

    def __init__(self, config: CheckoutTableConfig, context: Context) -> None:
        super().__init__(config, context)
        aws = config.aws.over(context.aws)
        self._right = TableWriter(config.table, key=_KEY, version=None, aws=aws)
        # by the rule "equal or newer wins": a PaymentId that is text does not compare to one that is a number
        self._corrupted = TableWriter(config.table, key=_KEY, version="PaymentId", aws=aws, at_once=4)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._right)
        await self._stack.enter_async_context(self._corrupted)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def check(self) -> None:
        """See that the table is there and has the right key."""
        await self._right.check()

    def permissions(self) -> Iterable[Permission]:
        yield from self._right.permissions()
        yield from self._corrupted.permissions()

    def billed(self, load: Load) -> Mapping[str, float]:
        """A write unit an order: a row is far below 1 KB."""
        return {"dynamodb_write_unit": load.events}

    async def write(self, events: Sequence[Event]) -> Collection[Failure]:
        """Write the rows; an order that is none is a permanent failure of its own."""
        bug = self.context.switches(BUG_SWITCH, default=self.config.bug_enabled)
        rows: list[tuple[Event, Row]] = []
        failures: list[Failure] = []
        for event in events:
            try:
                order = Order.of_body(event.body) or Order.read(event.data)
                rows.append((event, to_row(order, corrupted=bug)))
            except UndecodableError as error:
                failures.append(Failure.permanent(event, error.code, error.detail))
            except msgspec.ValidationError as error:
                failures.append(Failure.permanent(event, "not_an_order", str(error)))
        failures += await (self._write_corrupted(rows) if bug else self._right.write(rows))
        return failures

    async def _write_corrupted(self, rows: Sequence[tuple[Event, Row]]) -> list[Failure]:
        failures = await self._corrupted.write(rows)
        return [failure for failure in failures if failure.code != "version_type"]  # a right row is there, and stays


def to_row(order: Order, *, corrupted: bool = False) -> Row:
    """Make an order's row; ``corrupted`` makes the one that the bug writes."""
    key: Row = {"CustomerId": str(order.customer.id), "DateOrderId": f"{order.date}-{order.id}"}
    if corrupted:
        bad = dict.fromkeys(("PaymentId", "PaymentAmount", "PaymentCurrency", "TotalQuantity"), CORRUPTED)
        return {**key, **bad}
    return {
        **key,
        "PaymentId": order.payment.id,
        "PaymentAmount": order.payment.amount,
        "PaymentCurrency": order.payment.currency,
        "TotalQuantity": order.quantity,
    }
