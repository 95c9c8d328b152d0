"""What Hyperliquid says of orders, in our words. Pure; a status it has never had is an error, not a guess."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from adapters.base import LegOutcome, Submission
from adapters.ccxt_venues.hyperliquid.wire import (
    ExchangeReply,
    Filled,
    FillWire,
    LegStatus,
    OrderReport,
    OrderStatusReply,
    ReportedOrder,
)
from adapters.ccxt_venues.numbers import exact, positive, rounded
from adapters.ccxt_venues.refusals import Action, Refusals
from normalization.decimals import ZERO
from normalization.orders import Limit, Order, OrderStatus, OrderType, Side, TimeInForce
from normalization.resolver import Markets, UnknownVenueSymbol

SIDES: Final = {"B": Side.BUY, "A": Side.SELL}

_exchange: Final = msgspec.json.Decoder(ExchangeReply)
_order_status: Final = msgspec.json.Decoder(OrderStatusReply)
_reports: Final = msgspec.json.Decoder(list[OrderReport])
_fills: Final = msgspec.json.Decoder(list[FillWire])

_ACCEPTED_WITHOUT_ID: Final = frozenset({"waitingForTrigger", "waitingForFill"})
_MARKET_TIFS: Final = frozenset({"FrontendMarket", "LiquidationMarket"})

_OVER: Final = {
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "scheduledCancel": OrderStatus.CANCELED,
}


class AcceptedWithoutId(Exception):
    """The venue took the order and did not say under which id: it has to be asked by our own."""


PlacedLeg = LegOutcome | AcceptedWithoutId


def parse_placed(body: bytes, submissions: Sequence[Submission], refusals: Refusals, now_ms: int) -> list[PlacedLeg]:
    """One outcome per leg, in order.

    :raises VenueFailure: the whole of it was refused.
    :raises ValueError: the reply is not one about these legs.
    """
    statuses = parse_statuses(body, Action.PLACE, refusals, kind="order")
    if len(statuses) != len(submissions):
        raise ValueError("a reply about another number of orders")
    return [_placed(status, s, refusals, now_ms) for status, s in zip(statuses, submissions, strict=True)]


def parse_done(body: bytes, action: Action, refusals: Refusals, *, kind: str) -> None:
    """An action without legs, or one whose legs must all have succeeded.

    :raises VenueFailure: it, or its first leg that failed, was refused.
    :raises ValueError: the reply says neither that it was done nor why not.
    """
    for status in parse_statuses(body, action, refusals, kind=kind):
        if isinstance(status, LegStatus) and status.error is not None:
            raise refusals.judge(action, message=status.error)
        if status != "success":
            raise ValueError("a status that is not known")


def parse_statuses(body: bytes, action: Action, refusals: Refusals, *, kind: str) -> list[LegStatus | str]:
    reply = _exchange.decode(body)
    if isinstance(reply.response, str):
        if reply.status != "err":
            raise ValueError("a text that is no error")
        raise refusals.judge(action, message=reply.response)
    if reply.status != "ok" or reply.response.type != kind:
        raise ValueError("a reply to something else")
    return reply.response.data.statuses if reply.response.data else []


def _placed(status: LegStatus | str, submission: Submission, refusals: Refusals, now_ms: int) -> PlacedLeg:
    if isinstance(status, str):
        if status not in _ACCEPTED_WITHOUT_ID:
            raise ValueError("a status that is not known")
        return AcceptedWithoutId()
    match status:
        case LegStatus(error=str(text), resting=None, filled=None):
            return refusals.judge(Action.PLACE, message=text)
        case LegStatus(resting=resting, filled=None, error=None) if resting is not None:
            state = OrderStatus.OPEN if submission.intent.trigger_price is None else OrderStatus.PENDING
            return _acknowledged(submission, resting.oid, resting.cloid, state, now_ms)
        case LegStatus(filled=filled, resting=None, error=None) if filled is not None:
            return _executed(submission, filled, now_ms)
        case _:
            raise ValueError("a status that says nothing, or two things")


def _executed(submission: Submission, filled: Filled, now_ms: int) -> Order:
    size, intent = positive(filled.total_sz), submission.intent
    if size >= intent.size:
        state = OrderStatus.FILLED
    elif _drops_its_rest(submission):
        state = OrderStatus.CANCELED
    else:
        state = OrderStatus.PARTIALLY_FILLED
    order = _acknowledged(submission, filled.oid, filled.cloid, state, now_ms)
    return msgspec.structs.replace(order, filled_size=size, average_price=positive(filled.avg_px))


def _drops_its_rest(submission: Submission) -> bool:
    execution = submission.intent.execution
    return not isinstance(execution, Limit) or execution.time_in_force is not TimeInForce.GTC


def _acknowledged(submission: Submission, oid: int, cloid: str | None, status: OrderStatus, now_ms: int) -> Order:
    intent = submission.intent
    if oid <= 0:
        raise ValueError("an order without an id")
    return Order(
        order_id=str(oid),
        client_id=cloid or submission.client_id,
        symbol=intent.symbol,
        side=intent.side,
        type=intent.type,
        size=intent.size,
        price=intent.price,
        trigger_price=intent.trigger_price,
        reduce_only=intent.reduce_only,
        status=status,
        created_at_ms=now_ms,
    )


def parse_order_status(body: bytes, markets: Markets) -> Order | None:
    """None where the venue says that it has no such order."""
    reply = _order_status.decode(body)
    if reply.status == "unknownOid" and reply.order is None:
        return None
    if reply.status != "order" or reply.order is None:
        raise ValueError("an order status that is not known")
    return _order(reply.order, markets)


def parse_open_orders(body: bytes, markets: Markets) -> list[Order]:
    """Those on markets that the gateway lists; spot pairs and builders' markets are left out."""
    found = []
    for report in _reports.decode(body):
        try:
            markets.with_venue_symbol(report.coin)
        except UnknownVenueSymbol:
            continue
        found.append(_order(ReportedOrder(order=report, status="open", status_timestamp=report.timestamp), markets))
    return found


def _order(reported: ReportedOrder, markets: Markets) -> Order:
    report = reported.order
    size, remaining = exact(report.orig_sz), exact(report.sz)
    if not 0 <= remaining <= size:
        raise ValueError("more remains than there was")
    kind = _type(report)
    filled = size if reported.status == "filled" else size - remaining
    is_trigger = kind in (OrderType.STOP, OrderType.TAKE_PROFIT)
    return Order(
        order_id=str(report.oid),
        client_id=report.cloid,
        symbol=markets.with_venue_symbol(report.coin).symbol,
        side=SIDES[report.side],
        type=kind,
        size=size,
        filled_size=filled,
        price=exact(report.limit_px) if kind is OrderType.LIMIT else None,
        trigger_price=exact(report.trigger_px) if is_trigger else None,
        reduce_only=report.reduce_only,
        status=_status(reported, filled, is_trigger),
        created_at_ms=report.timestamp,
    )


def _type(report: OrderReport) -> OrderType:
    if report.order_type.startswith("Stop"):
        return OrderType.STOP
    if report.order_type.startswith("Take Profit"):
        return OrderType.TAKE_PROFIT
    if report.order_type == "Market" or report.tif in _MARKET_TIFS:
        return OrderType.MARKET
    return OrderType.LIMIT


def _status(reported: ReportedOrder, filled: Decimal, is_trigger: bool) -> OrderStatus:
    status = reported.status
    if status in ("open", "triggered"):
        if filled:
            return OrderStatus.PARTIALLY_FILLED
        return OrderStatus.PENDING if is_trigger and status == "open" else OrderStatus.OPEN
    if status in _OVER:
        return _OVER[status]
    if status.endswith("Canceled"):
        return OrderStatus.CANCELED
    if status.endswith("Rejected"):
        # What an order executed before the venue gave up on it did happen.
        return OrderStatus.CANCELED if filled else OrderStatus.REJECTED
    raise ValueError("an order status that is not known")


def parse_fills(body: bytes) -> list[FillWire]:
    fills = _fills.decode(body)
    for fill in fills:
        _require_sane(fill)
    return fills


def _require_sane(fill: FillWire) -> None:
    positive(fill.px)
    positive(fill.sz)
    exact(fill.fee)
    if fill.side not in SIDES:
        raise ValueError("a fill on neither side")


def with_fills(order: Order, fills: Iterable[FillWire]) -> Order:
    """The order with its average price and fees, where ``fills`` has every one of its fills."""
    own = [fill for fill in fills if str(fill.oid) == order.order_id]
    size = sum((fill.sz for fill in own), ZERO)
    if not own or size != order.filled_size:
        return order
    paid = sum((fill.px * fill.sz for fill in own), ZERO)
    fee = sum((fill.fee for fill in own), ZERO)
    return msgspec.structs.replace(order, average_price=rounded(paid / size, 10), fee=fee)
