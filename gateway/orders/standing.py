"""How an order stands, told from its journal row: the same words for a first answer and for every replay of it."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.base import Capabilities
from gateway.operations.desk import Leg, Placed
from gateway.orders.absence import final_by_ms
from gateway.orders.states import DENIED, UNDECIDED, state_of
from normalization.decimals import ZERO, trimmed
from normalization.errors import ExchangeError, GatewayError, OrderNoLongerKept
from normalization.instruments import Instrument
from normalization.orders import (
    Execution,
    Limit,
    Market,
    Order,
    OrderIntent,
    OrderType,
    PostOnly,
    Stop,
    TakeProfit,
)
from normalization.venue_failures import RETRYABLE, Reason
from storage.ports import JournalRow, OrderState

_orders: Final = msgspec.json.Decoder(Order)
_intents: Final = msgspec.json.Decoder(OrderIntent)
_encoder: Final = msgspec.json.Encoder()

RECOVERED: Final = "recovered"
"""The operation of orders whose rows were lost: what placed them is not known."""

_NOT_KEPT: Final = "it was so long ago that the details are no longer kept"
_MESSAGES: Final = {
    OrderState.REJECTED: "{exchange} refused the order: {evidence}",
    OrderState.NOT_SENT: "Nothing was sent to {exchange}: {evidence}",
    OrderState.NOT_PLACED: "{exchange} does not have the order and can no longer accept it: {evidence}",
}


def canonical_request(intent: OrderIntent) -> bytes:
    """The same bytes for the same order, however its numbers were spelled (``0.10`` is ``0.1``)."""
    return _encoder.encode(_plainly(intent))


def is_recovered(row: JournalRow) -> bool:
    """It was made from the venue's report: neither its client order id nor its operation is what the caller gave."""
    return row.operation == RECOVERED


def is_request_of(row: JournalRow, leg: Leg, leg_hash: bytes) -> bool:
    """Whether ``leg``, whose request has that hash, asks for the order of ``row``."""
    if is_recovered(row):
        leg_hash = request_hash(RECOVERED, canonical_request(_as_reported(leg.intent)))
    return row.request_hash == leg_hash


def _as_reported(intent: OrderIntent) -> OrderIntent:
    """As much of it as a venue's report of the order shows again."""
    match intent.execution:
        case Limit(price=price) | PostOnly(price=price):
            return msgspec.structs.replace(intent, execution=Limit(price=price))
        case Market():
            return msgspec.structs.replace(intent, execution=Market())
        case Stop() | TakeProfit():
            return intent


def intent_of(row: JournalRow) -> OrderIntent:
    return _intents.decode(row.request)


def encode_order(order: Order) -> bytes:
    return _encoder.encode(order)


def order_of(row: JournalRow) -> Order | None:
    return None if row.venue_order is None else _orders.decode(row.venue_order)


def standing_of(row: JournalRow, leg: Leg, capabilities: Capabilities, *, replayed: bool = False) -> Placed:
    """``leg`` is what was asked for, and under which id: a tombstone or a row that was lost and found does not know."""
    return Placed(
        client_order_id=leg.client_order_id or row.client_order_id,
        intent=leg.intent,
        instrument=leg.instrument,
        state=row.state,
        order=None if row.state in DENIED else order_of(row),
        failure=failure_of(row, known_as=leg.client_order_id, replayed=replayed),
        replayed=replayed,
        final_by_ms=final_by_ms(row, capabilities) if row.state in UNDECIDED else None,
    )


def request_hash(operation: str, request: bytes) -> bytes:
    """What tells whether two requests with one client order id are the same."""
    return hashlib.sha256(operation.encode() + b"\n" + request).digest()


def intent_of_stranger(order: Order) -> OrderIntent:
    """What must have been asked for, as far as the venue's report tells."""
    price, trigger = order.price or ZERO, order.trigger_price or ZERO
    execution: Execution
    match order.type:
        case OrderType.LIMIT:
            execution = Limit(price=price)
        case OrderType.MARKET:
            execution = Market()
        case OrderType.STOP:
            execution = Stop(trigger_price=trigger)
        case OrderType.TAKE_PROFIT:
            execution = TakeProfit(trigger_price=trigger)
    return OrderIntent(
        symbol=order.symbol, side=order.side, size=order.size, execution=execution, reduce_only=order.reduce_only
    )


def standing_of_stranger(order: Order, instrument: Instrument) -> Placed:
    """An order of the account that has no row: it was placed on the venue directly."""
    return Placed(
        client_order_id=None,
        intent=intent_of_stranger(order),
        instrument=instrument,
        state=state_of(order),
        order=order,
        failure=None,
        replayed=False,
    )


def failure_of(row: JournalRow, *, known_as: str | None, replayed: bool = False) -> GatewayError | None:
    """Why nothing can be told of an order on the venue: there is none, or it was too long ago. None where it can.

    ``known_as`` is the client order id by which the caller asks, if by that.
    """
    if row.state not in DENIED and not row.is_tombstone:
        return None
    more: dict[str, Any] = {"clientOrderId": known_as or row.client_order_id}
    if replayed:
        more["replayed"] = True
    if row.state in DENIED:
        return _denial(row, more)
    return _no_longer_kept(row, more)


def _no_longer_kept(row: JournalRow, more: dict[str, Any]) -> OrderNoLongerKept:
    return OrderNoLongerKept(
        f"The order with clientOrderId {more['clientOrderId']!a} ended as {row.state}, so long ago that its details "
        "are no longer kept. The id stays used: nothing is sent for it again.",
        details={"status": row.state, "orderId": row.venue_order_id, **more},
    )


def _denial(row: JournalRow, more: dict[str, Any]) -> ExchangeError:
    reason = Reason(row.reason or Reason.OTHER)
    evidence = row.evidence or (_NOT_KEPT if row.is_tombstone else "no reason given")
    return ExchangeError(
        _MESSAGES[row.state].format(exchange=row.exchange, evidence=evidence),
        outcome="rejected" if row.state is OrderState.REJECTED else "not_sent",
        reason=reason,
        retryable=reason in RETRYABLE or row.state is OrderState.NOT_PLACED,
        venue_text=row.evidence if row.state is OrderState.REJECTED else None,
        **more,
    )


def _plainly(intent: OrderIntent) -> OrderIntent:
    execution = intent.execution
    changes = {
        name: Decimal(trimmed(value))
        for name in execution.__struct_fields__
        if isinstance(value := getattr(execution, name), Decimal)
    }
    return msgspec.structs.replace(
        intent, size=Decimal(trimmed(intent.size)), execution=msgspec.structs.replace(execution, **changes)
    )
