"""Take-profits and stop-losses: the sales that wait for a buy to fill."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from sandbox.milo.trading.checks import HUNDRED
from sandbox.milo.trading.orders import (
    NewOrder,
    Order,
    OrderStatus,
    OrderType,
    Relative,
    RelativeTrigger,
    SubType,
)


class Dependant(NamedTuple):
    """A child that was asked for: its order, or why there is none."""

    type: SubType
    order: Order | None
    error: str | None


class Wanted(NamedTuple):
    """A child to be made, unless ``error`` says why it cannot be."""

    type: SubType
    order: NewOrder
    error: str | None


def wanted(new: NewOrder) -> Iterator[Wanted]:
    """The children of an order, in the order in which they were given."""
    profits = [
        (item.percentage, RelativeTrigger(operator="rise", value=item.profit_percentage)) for item in new.take_profits
    ]
    losses = [
        (item.percentage, RelativeTrigger(operator="drop", value=item.loss_percentage)) for item in new.stop_losses
    ]
    for type_, items in ((SubType.TAKE_PROFIT, profits), (SubType.STOP_LOSS, losses)):
        taken = Decimal(0)
        for percentage, trigger in items:
            child = NewOrder(
                token=new.token,
                type=OrderType.SELL,
                amount=Relative(percentage=percentage),
                trigger=trigger,
                status=OrderStatus.DRAFT,
            )
            error = _too_much(type_, taken, percentage)
            taken += 0 if error else percentage
            yield Wanted(type_, child, error)


def _too_much(type_: SubType, taken: Decimal, percentage: Decimal) -> str | None:
    """All of one kind may fire one after the other: together they must not sell more than there is."""
    if taken + percentage <= HUNDRED:
        return None
    name = "takeProfits" if type_ is SubType.TAKE_PROFIT else "stopLosses"
    return f"{name} would sell {taken + percentage}% of the position: expected at most {HUNDRED - taken}% more"
