"""What Paradex says of orders, in our words. Pure; a status it has never had is an error, not a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from adapters.base import LegOutcome, Submission
from adapters.ccxt_venues.numbers import exact, optional, positive, rounded
from adapters.ccxt_venues.paradex.wire import BatchReply, FillList, FillWire, OrderList, OrderReport, Refusal
from adapters.ccxt_venues.refusals import Action, Refusals
from normalization.decimals import ZERO
from normalization.orders import Order, OrderStatus, OrderType, Side
from normalization.resolver import Markets, UnknownVenueSymbol
from normalization.venue_failures import Reason, VenueFailure, VenueRejected, VenueUnclear

_report: Final = msgspec.json.Decoder(OrderReport)
_reports: Final = msgspec.json.Decoder(OrderList)
_batch: Final = msgspec.json.Decoder(BatchReply)
_fills: Final = msgspec.json.Decoder(FillList)

_TYPES: Final = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LIMIT": OrderType.STOP,
    "STOP_MARKET": OrderType.STOP,
    "STOP_LOSS_LIMIT": OrderType.STOP,
    "STOP_LOSS_MARKET": OrderType.STOP,
    "TAKE_PROFIT_LIMIT": OrderType.TAKE_PROFIT,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT,
}


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """``settled`` is False while the venue has only queued it; ``refusal`` is why the venue gave up on it unfilled."""

    order: Order
    settled: bool
    refusal: VenueRejected | None = None

    def outcome(self, submission: Submission) -> LegOutcome:
        """What came of placing it, in the words of what was asked for."""
        if self.refusal is not None:
            return self.refusal
        intent = submission.intent
        return msgspec.structs.replace(self.order, type=intent.type, price=intent.price)


def parse_placed(body: bytes, submission: Submission, markets: Markets, refusals: Refusals) -> Reported:
    """:raises ValueError: it is not the order that was sent."""
    reported = _reported(_report.decode(body), markets, refusals)
    _require_same(reported.order, submission)
    return reported


def parse_batch(
    body: bytes, submissions: Sequence[Submission], markets: Markets, refusals: Refusals
) -> list[Reported | VenueFailure]:
    """One outcome per leg, in order. The venue puts orders and refusals in lists of their own: our ids tell which."""
    reply = _batch.decode(body)
    placed = {
        reported.order.client_id: reported
        for report in reply.orders or ()
        if report is not None
        for reported in [_reported(report, markets, refusals)]
    }
    if not placed.keys() <= {submission.client_id for submission in submissions}:
        raise ValueError("orders that were not sent")
    missing = [n for n, submission in enumerate(submissions) if submission.client_id not in placed]
    failures = _failures_of(missing, len(submissions), reply.errors or (), refusals)
    outcomes: list[Reported | VenueFailure] = []
    for number, submission in enumerate(submissions):
        reported = placed.get(submission.client_id)
        if reported is None:
            outcomes.append(failures[number])
        else:
            _require_same(reported.order, submission)
            outcomes.append(reported)
    return outcomes


def _failures_of(
    missing: Sequence[int], legs: int, errors: Sequence[Refusal | None], refusals: Refusals
) -> Mapping[int, VenueFailure]:
    """Why each leg without an order has none. Where that cannot be told apart, it is unclear for all of them."""
    judged = {n: refusals.judge(Action.PLACE, code=e.error, message=e.message or e.error) for n, e in _told(errors)}
    if len(errors) == legs and judged.keys() == set(missing):
        return judged
    in_order = list(judged.values())
    if len(in_order) == len(missing) and all(isinstance(failure, VenueRejected) for failure in in_order):
        return dict(zip(missing, in_order, strict=True))
    if len(in_order) == len(missing) == 1:
        return {missing[0]: in_order[0]}
    unclear = VenueUnclear(Reason.OTHER, "the venue's answer does not say what became of this order")
    return dict.fromkeys(missing, unclear)


def _told(errors: Sequence[Refusal | None]) -> list[tuple[int, Refusal]]:
    return [(n, error) for n, error in enumerate(errors) if error is not None and (error.error or error.message)]


def _require_same(order: Order, submission: Submission) -> None:
    if order.client_id != submission.client_id or order.size != submission.intent.size:
        raise ValueError("another order than the one that was sent")


def parse_order(body: bytes, markets: Markets, refusals: Refusals) -> Reported:
    return _reported(_report.decode(body), markets, refusals)


def parse_orders(body: bytes, markets: Markets, refusals: Refusals) -> list[Reported]:
    """Those on markets that the gateway lists: options and spot pairs are left out."""
    found = []
    for report in _reports.decode(body).results:
        try:
            found.append(_reported(report, markets, refusals))
        except UnknownVenueSymbol:
            continue
    return found


def _reported(report: OrderReport, markets: Markets, refusals: Refusals) -> Reported:
    symbol = markets.with_venue_symbol(report.market).symbol
    size, remaining = exact(report.size), exact(report.remaining_size)
    if not report.id.isdecimal() or not 0 <= remaining <= size:
        raise ValueError("an order without an id, or of which more remains than there was")
    kind, filled = _TYPES[report.type], size - remaining
    is_trigger = kind in (OrderType.STOP, OrderType.TAKE_PROFIT)
    refusal = _refusal(report, filled, remaining, refusals)
    order = Order(
        order_id=report.id,
        client_id=report.client_id or None,
        symbol=symbol,
        side=Side(report.side),
        type=kind,
        size=size,
        filled_size=filled,
        price=positive(report.price) if kind is OrderType.LIMIT else None,
        trigger_price=positive(report.trigger_price) if is_trigger else None,
        average_price=optional(report.avg_fill_price) if filled else None,
        reduce_only="REDUCE_ONLY" in (report.flags or ()),
        status=OrderStatus.REJECTED if refusal else _status(report, filled, remaining, is_trigger),
        created_at_ms=int(report.created_at),
    )
    return Reported(order=order, settled=report.status != "NEW", refusal=refusal)


def _status(report: OrderReport, filled: Decimal, remaining: Decimal, is_trigger: bool) -> OrderStatus:
    match report.status:
        case "UNTRIGGERED":
            return OrderStatus.PENDING
        case "NEW" | "OPEN" if filled:
            return OrderStatus.PARTIALLY_FILLED
        case "NEW":
            return OrderStatus.PENDING if is_trigger else OrderStatus.OPEN
        case "OPEN":
            return OrderStatus.OPEN
        case "CLOSED":
            whole = remaining == 0 and not report.cancel_reason
            return OrderStatus.FILLED if whole else OrderStatus.CANCELED
        case _:
            raise ValueError("an order status that is not known")


def _refusal(report: OrderReport, filled: Decimal, remaining: Decimal, refusals: Refusals) -> VenueRejected | None:
    """Why the venue closed an order of which nothing was filled, where that was its own doing."""
    if report.status != "CLOSED" or filled or not remaining or not report.cancel_reason:
        return None
    failure = refusals.judge(Action.EXECUTE, code=report.cancel_reason, message=report.cancel_reason)
    return failure if isinstance(failure, VenueRejected) else None


def parse_fills(body: bytes) -> list[FillWire]:
    """Newest first."""
    fills = _fills.decode(body).results
    for fill in fills:
        positive(fill.size)
        positive(fill.price)
        exact(fill.fee)
        Side(fill.side)
    return sorted(fills, key=lambda fill: -int(fill.created_at))


def with_fills(order: Order, fills: Sequence[FillWire]) -> Order:
    """The order with its average price and fees, where ``fills`` has every one of its fills."""
    own = [fill for fill in fills if fill.order_id == order.order_id]
    size = sum((Decimal(fill.size) for fill in own), ZERO)
    if not own or size != order.filled_size:
        return order
    paid = sum((Decimal(fill.price) * Decimal(fill.size) for fill in own), ZERO)
    fee = sum((Decimal(fill.fee) for fill in own), ZERO)
    return msgspec.structs.replace(order, average_price=rounded(paid / size, 10), fee=fee)
