"""Whether an order is one that can be placed at all, whoever places it."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from sandbox.milo.errors import bad_request
from sandbox.milo.tokens import USDC, Token
from sandbox.milo.trading.orders import (
    Absolute,
    AbsoluteTrigger,
    AbsoluteUsd,
    Amount,
    NewOrder,
    OrderStatus,
    OrderType,
    Relative,
    RelativeTrigger,
    Trigger,
)
from sandbox.milo.wire import finite, positive

MOST_TAKE_PROFITS: Final = 5
MOST_STOP_LOSSES: Final = 5
MOST_DEPENDANTS: Final = 8
HUNDRED: Final = Decimal(100)

_FIRST_STATUSES: Final = (OrderStatus.ACTIVE, OrderStatus.PAUSED, OrderStatus.DRAFT)


def check(new: NewOrder) -> None:
    """:raises ApiError: 400; what was expected."""
    if new.status not in _FIRST_STATUSES:
        raise bad_request("`status` must be active, paused or draft", field="status")
    _check_amount(new.amount, new.type, new.token)
    _check_trigger(new.trigger)
    if new.take_profits or new.stop_losses:
        _check_dependants(new)


def _check_amount(amount: Amount, type_: OrderType, token: Token) -> None:
    field = "payload.amount.amount"
    match amount:
        case Absolute(amount=number):
            if positive(number, field) != number.to_integral_value():
                raise bad_request(
                    f"`{field}` must be a whole number of the token's smallest units: {token.units(Decimal(1))} are"
                    f" 1 {token.symbol}",
                    field=field,
                )
        case AbsoluteUsd(amount=number):
            positive(number, field)
        case Relative(percentage=percentage):
            if type_ is OrderType.BUY:
                raise bad_request(
                    "`payload.amount.type` must be absolute or absolute_usd: a buy has no position to be relative to",
                    field="payload.amount.type",
                )
            _part(percentage, "payload.amount.percentage")


def _check_trigger(trigger: Trigger) -> None:
    field = "payload.trigger.value"
    match trigger:
        case AbsoluteTrigger(operator="gte", value=value):
            if finite(value, field) < 0:
                raise bad_request(f"`{field}` must be a price, or 0 for a market order", field=field)
        case AbsoluteTrigger(value=value) | RelativeTrigger(operator="rise", value=value):
            positive(value, field)
        case RelativeTrigger(value=value):
            _part(value, field)


def _check_dependants(new: NewOrder) -> None:
    if new.type is OrderType.SELL or new.token is USDC:
        raise bad_request(
            "`takeProfits` and `stopLosses` protect a position: expected a buy of anything but USDC",
            field="takeProfits",
        )
    counts = len(new.take_profits), len(new.stop_losses)
    if counts[0] > MOST_TAKE_PROFITS:
        raise bad_request(f"`takeProfits` has {counts[0]} items: expected at most {MOST_TAKE_PROFITS}")
    if counts[1] > MOST_STOP_LOSSES:
        raise bad_request(f"`stopLosses` has {counts[1]} items: expected at most {MOST_STOP_LOSSES}")
    if sum(counts) > MOST_DEPENDANTS:
        raise bad_request(
            f"`takeProfits` and `stopLosses` have {sum(counts)} items together: expected at most {MOST_DEPENDANTS}"
        )
    for place, profit in enumerate(new.take_profits):
        _percentage(profit.percentage, f"takeProfits[{place}].percentage")
        positive(profit.profit_percentage, f"takeProfits[{place}].profitPercentage")
    for place, loss in enumerate(new.stop_losses):
        _percentage(loss.percentage, f"stopLosses[{place}].percentage")
        _percentage(loss.loss_percentage, f"stopLosses[{place}].lossPercentage")


def _part(value: Decimal, field: str) -> None:
    if positive(value, field) > HUNDRED:
        raise bad_request(f"`{field}` must be a percentage above 0 and at most 100", field=field)


def _percentage(value: Decimal, field: str) -> None:
    if not 1 <= finite(value, field) <= HUNDRED:
        raise bad_request(f"`{field}` must be a percentage from 1 to 100", field=field)
