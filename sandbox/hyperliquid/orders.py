"""The venue's orders in the exchange's words, and back."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET

from normalization.decimals import ceil_to, floor_to
from normalization.orders import (
    Execution,
    Limit,
    OrderIntent,
    OrderStatus,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import Reason
from sandbox.hyperliquid.actions import TriggerTerms, WireOrder
from sandbox.hyperliquid.spelling import price_complaint, size_complaint, spelled
from sandbox.hyperliquid.universe import Asset
from sandbox.wires.desk import CANCELED, PARENT_CANCELED, POSITION_CLOSED, SIBLING_CAME_FIRST, Draft, Standing
from sandbox.wires.records import OrderRecord, Phase, Trigger

Grouping = Literal["na", "normalTpsl", "positionTpsl"]

_MIN_NOTIONAL: Final = Decimal(10)
# Reduce-only orders are cut to the position when they fire: with this many lots they are about all of it.
_WHOLE_POSITION_LOTS: Final = 10**9


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was asked for. ``size`` zero is the whole position, whatever it is by then."""

    coin: str
    is_buy: bool
    price: Decimal
    size: Decimal
    reduce_only: bool
    tif: str | None
    trigger: TriggerTerms | None
    grouping: Grouping

    @property
    def is_position_tpsl(self) -> bool:
        return self.grouping == "positionTpsl"


Record = OrderRecord[Terms]


class BadOrder(Exception):
    """Refused before it reaches the exchange; the message is the venue's."""


def draft_of(order: WireOrder, asset: Asset, grouping: Grouping, *, is_child: bool) -> Draft[Terms]:
    """:raises BadOrder: the venue has no such price or size."""
    price, size = Decimal(order.p), Decimal(order.s)
    trigger = None if order.t.trigger is UNSET else order.t.trigger
    is_whole = size == 0 and grouping == "positionTpsl"
    complaint = price_complaint(price, asset.size_decimals)
    if not is_whole:
        complaint = complaint or size_complaint(size, asset.size_decimals)
    if trigger is not None:
        complaint = complaint or price_complaint(Decimal(trigger.triggerPx), asset.size_decimals)
    if complaint:
        raise BadOrder(complaint)
    if not order.r and price * size < _MIN_NOTIONAL:
        raise BadOrder("Order must have minimum value of $10.")
    terms = Terms(
        coin=asset.coin,
        is_buy=order.b,
        price=price,
        size=size,
        reduce_only=order.r,
        tif=None if order.t.limit is UNSET else order.t.limit.tif,
        trigger=trigger,
        grouping=grouping,
    )
    intent = OrderIntent(
        symbol=asset.symbol,
        side=Side.BUY if order.b else Side.SELL,
        size=asset.instrument.lot_size * _WHOLE_POSITION_LOTS if is_whole else size,
        execution=_execution(terms, asset),
        reduce_only=order.r,
    )
    waits = trigger is not None and not trigger.isMarket
    return Draft(
        client_id=order.cloid,
        intent=intent,
        terms=terms,
        trigger=_trigger(terms, asset) if waits else None,
        is_child=is_child,
    )


def _execution(terms: Terms, asset: Asset) -> Execution:
    """The exchange's step is as coarse as the venue's at high prices: finer prices are rounded to be no worse."""
    side = Side.BUY if terms.is_buy else Side.SELL
    price = asset.instrument.worst_price(side, terms.price)
    if price <= 0:
        raise BadOrder("Order has invalid price.")
    if terms.trigger is not None and terms.trigger.isMarket:
        reached = _trigger(terms, asset).price
        return Stop(trigger_price=reached) if terms.trigger.tpsl == "sl" else TakeProfit(trigger_price=reached)
    match terms.tif:
        case "Alo":
            return PostOnly(price=price)
        case "Ioc" | "FrontendMarket":
            return Limit(price=price, time_in_force=TimeInForce.IOC)
        case _:
            return Limit(price=price)


def _trigger(terms: Terms, asset: Asset) -> Trigger:
    """Rounded so that it never fires before the price that was asked for."""
    assert terms.trigger is not None  # noqa: S101
    rising = (terms.trigger.tpsl == "sl") == terms.is_buy
    price, tick = Decimal(terms.trigger.triggerPx), asset.instrument.tick_size
    rounded = ceil_to(price, tick) if rising else floor_to(price, tick)
    if rounded <= 0:
        raise BadOrder("Order has invalid price.")
    return Trigger(rounded, rising)


# What the venue shows.

_REJECTIONS: Final[Mapping[str, str]] = {
    Reason.INSUFFICIENT_FUNDS: "perpMarginRejected",
    Reason.REDUCE_ONLY_WOULD_INCREASE: "reduceOnlyRejected",
    Reason.NO_POSITION: "reduceOnlyRejected",
    Reason.POST_ONLY_WOULD_TAKE: "badAloPxRejected",
    Reason.NO_LIQUIDITY: "iocCancelRejected",
    Reason.TRIGGER_WOULD_FIRE: "badTriggerPxRejected",
    Reason.PRICE_OUT_OF_RANGE: "oracleRejected",
}
_ENDED_HERE: Final[Mapping[str, str]] = {
    CANCELED: "canceled",
    PARENT_CANCELED: "canceled",
    SIBLING_CAME_FIRST: "siblingFilledCanceled",
    POSITION_CLOSED: "reduceOnlyCanceled",
}
_ENDED_THERE: Final[Mapping[str, str]] = {
    "it would have traded with its own account": "selfTradeCanceled",
    "the other order of the pair came first": "siblingFilledCanceled",
    "its position was closed": "reduceOnlyCanceled",
    "nothing is left to reduce": "reduceOnlyCanceled",
    "nothing to reduce": "reduceOnlyCanceled",
    "insufficient margin when it fired": "marginCanceled",
    "liquidation": "liquidatedCanceled",
}


def status_of(standing: Standing[Terms]) -> str:
    """The venue's word for how an order stands."""
    record, found = standing
    if record.phase is Phase.REFUSED:
        return _REJECTIONS.get(record.ended, "rejected")
    if record.phase is Phase.ENDED:
        return _ENDED_HERE.get(record.ended, _REJECTIONS.get(record.ended, "canceled"))
    if found is None:
        return "open"
    match found.order.status:
        case OrderStatus.FILLED:
            return "filled"
        case OrderStatus.CANCELED | OrderStatus.EXPIRED | OrderStatus.REJECTED:
            return _ENDED_THERE.get(found.ended_because, "canceled")
        case _:
            return "open"


def changed_at_ms(standing: Standing[Terms]) -> int:
    """When it came to stand so."""
    record, found = standing
    if found is not None and found.ended_at_ms is not None:
        return found.ended_at_ms
    return record.created_at_ms if standing.is_open else record.changed_at_ms


def left_of(standing: Standing[Terms]) -> Decimal:
    """What is still to be filled. An order that found nothing to match at all still shows its size."""
    record, order = standing.record, standing.order
    if order is None or record.terms.size == 0:
        return record.terms.size
    if order.status is OrderStatus.FILLED:
        return Decimal(0)
    return max(Decimal(0), min(record.terms.size, order.size) - order.filled_size)


def order_type(terms: Terms) -> str:
    if terms.trigger is None:
        return "Market" if terms.tif == "FrontendMarket" else "Limit"
    kind = "Take Profit" if terms.trigger.tpsl == "tp" else "Stop"
    return f"{kind} {'Market' if terms.trigger.isMarket else 'Limit'}"


def open_order(standing: Standing[Terms]) -> dict[str, Any]:
    """As ``openOrders`` has it."""
    record, terms = standing.record, standing.record.terms
    shown: dict[str, Any] = {
        "coin": terms.coin,
        "side": "B" if terms.is_buy else "A",
        "limitPx": spelled(terms.price),
        "sz": spelled(left_of(standing)),
        "oid": record.number,
        "timestamp": record.created_at_ms,
        "origSz": spelled(terms.size),
    }
    if terms.reduce_only:
        shown["reduceOnly"] = True
    if record.client_id is not None:
        shown["cloid"] = record.client_id
    return shown


def front_order(standing: Standing[Terms], children: list[dict[str, Any]]) -> dict[str, Any]:
    """As ``frontendOpenOrders``, ``orderStatus`` and ``historicalOrders`` have it."""
    record, terms = standing.record, standing.record.terms
    is_trigger = terms.trigger is not None and record.triggered_at_ms is None
    return {
        "coin": terms.coin,
        "side": "B" if terms.is_buy else "A",
        "limitPx": spelled(terms.price),
        "sz": spelled(left_of(standing)),
        "oid": record.number,
        "timestamp": record.created_at_ms,
        "triggerCondition": _condition(terms) if is_trigger else "N/A",
        "isTrigger": is_trigger,
        "triggerPx": "0.0" if terms.trigger is None else spelled(Decimal(terms.trigger.triggerPx)),
        "children": children,
        "isPositionTpsl": terms.is_position_tpsl,
        "reduceOnly": terms.reduce_only,
        "orderType": order_type(terms),
        "origSz": spelled(terms.size),
        "tif": terms.tif if terms.trigger is None else None,
        "cloid": record.client_id,
    }


def _condition(terms: Terms) -> str:
    assert terms.trigger is not None  # noqa: S101
    rising = (terms.trigger.tpsl == "sl") == terms.is_buy
    return f"Price {'above' if rising else 'below'} {terms.trigger.triggerPx}"
