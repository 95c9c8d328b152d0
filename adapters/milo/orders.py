"""Orders in Milo's words and back. Pure.

ours            Milo's trigger                  Milo's amount
market          price gte 0                     tokens; of a sale of part of a position, its percentage
limit           buy: price lte, sell: gte       tokens; of one that only reduces, a percentage
stop            buy: price gte, sell: lte       the same
protection      sell: rise, drop in percent     a percentage
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Final

from msgspec import UNSET, UnsetType

from adapters.base import Submission
from adapters.milo.tokens import BY_MINT
from adapters.milo.trading import (
    NewAmount,
    NewOrder,
    NewPayload,
    NewTrigger,
    OrderLine,
    Payload,
    Position,
    WholeOrder,
)
from adapters.milo.wire import at_ms, number
from normalization.decimals import ZERO, floor_to
from normalization.instruments import Instrument
from normalization.orders import (
    Execution,
    Limit,
    Market,
    Order,
    OrderIntent,
    OrderStatus,
    OrderType,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import Reason, VenueRejected

OPEN_STATUSES: Final = ("active", "paused", "draft")

_HUNDRED: Final = Decimal(100)
# What a JavaScript number of two digits before the point still holds exactly.
_PERCENT_STEP: Final = Decimal("1E-12")

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_WORDS: Final = {side: word for word, side in _SIDES.items()}
# Whether it is a trigger order is told by the order itself.
_STATUSES: Final = {
    "active": OrderStatus.OPEN,
    "paused": OrderStatus.PENDING,
    "draft": OrderStatus.PENDING,
    "error": OrderStatus.REJECTED,
    "fulfilled": OrderStatus.FILLED,
    "archived": OrderStatus.CANCELED,
}


def new_order(submission: Submission, position: Position | None) -> NewOrder:
    """The order as Milo takes it; ``position`` is the open one in its token, needed for sales only.

    :raises VenueRejected: it is one that Milo cannot keep as it was meant.
    """
    intent = submission.intent
    amount = _buy_amount(intent) if intent.side is Side.BUY else _sell_amount(intent, position)
    word = _WORDS[intent.side]
    return NewOrder(
        token_address=submission.instrument.venue_symbol,
        type=word,
        status="active",
        payload=NewPayload(type=word, amount=amount, trigger=_trigger(intent)),
    )


def protection(submission: Submission, position: Position | None) -> NewOrder:
    """A take-profit or stop-loss of a whole position, counted from its entry price where it lies on the right side.

    :raises VenueRejected: there is no such position, or it is for a part of it.
    """
    intent, held = submission.intent, held_in(position)
    if intent.side is Side.BUY:
        raise _refused(Reason.NO_POSITION, "Milo has no short positions to protect")
    if position is None or not held:
        raise _refused(Reason.NO_POSITION, f"there is no position in {submission.instrument.base} to protect")
    if intent.size < held:
        raise _refused(
            Reason.INVALID_ORDER,
            f"Milo ends one protection with the other only when the position ends: protect all of it, {held:f}",
        )
    order = new_order(submission, position)
    trigger = _from_entry(intent.execution, position) or order.payload.trigger
    payload = NewPayload(type="sell", amount=order.payload.amount, trigger=trigger)
    return NewOrder(token_address=order.token_address, type="sell", status="active", payload=payload)


def acknowledged(created: WholeOrder, submission: Submission) -> Order:
    """The order as Milo has just taken it: what it is stands in the submission, what it has become in the reply."""
    intent = submission.intent
    status = _status(created.status, intent.type)
    return Order(
        order_id=created.id,
        client_id=None,
        symbol=intent.symbol,
        side=intent.side if created.type is UNSET else _SIDES[created.type],
        type=intent.type,
        size=intent.size,
        price=intent.price,
        trigger_price=intent.trigger_price,
        reduce_only=intent.reduce_only,
        status=status,
        created_at_ms=submission.valid_until_ms if created.created_at is UNSET else at_ms(created.created_at),
        **_filled(created, intent.size),
    )


def order_of(line: OrderLine, positions: Mapping[str, Position], others: Mapping[str, OrderLine]) -> Order | None:
    """None for a token that is no market here. ``positions`` by thesis and ``others`` by id tell what a share is of.

    :raises ValueError, LookupError: Milo leaves out what an order is, or has a word that we do not know.
    """
    if line.type is UNSET or line.payload is UNSET or line.token_address is UNSET or line.created_at is UNSET:
        raise ValueError("an order without its particulars")
    instrument = BY_MINT.get(line.token_address)
    if instrument is None:
        return None
    side = _SIDES[line.type]
    kind, price = _kind(side, line.payload, None if line.trigger_price is UNSET else line.trigger_price)
    size = _size(line, instrument, positions, others)
    return Order(
        order_id=line.id,
        client_id=None,
        symbol=instrument.symbol,
        side=side,
        type=kind,
        size=size,
        price=price if kind is OrderType.LIMIT else None,
        trigger_price=price if kind in (OrderType.STOP, OrderType.TAKE_PROFIT) else None,
        reduce_only=side is Side.SELL,
        status=_status(line.status, kind),
        created_at_ms=at_ms(line.created_at),
        **_filled(line, size),
    )


def looks_like(order: Order, line: OrderLine, intent: OrderIntent) -> bool:
    """Whether an order may be what came of ``intent``, by everything but its time."""
    if (order.side, order.type, order.symbol) != (intent.side, intent.type, intent.symbol):
        return False
    payload = line.payload
    is_absolute = payload is not UNSET and payload.amount.type == "absolute"
    has_price = payload is not UNSET and payload.trigger.type == "absolute"
    return (not is_absolute or order.size == intent.size) and (
        not has_price or (order.price, order.trigger_price) == (intent.price, intent.trigger_price)
    )


def held_in(position: Position | None) -> Decimal:
    """What is left of a position."""
    return ZERO if position is None or position.amount is UNSET else number(position.amount)


def refuse_what_cannot_be(intent: OrderIntent) -> None:
    """:raises VenueRejected: Milo has nothing that keeps what is asked for."""
    if isinstance(intent.execution, PostOnly):
        raise _refused(Reason.INVALID_ORDER, "Milo has no post-only orders: its triggers take liquidity when they fire")
    if isinstance(intent.execution, Limit) and intent.execution.time_in_force is not TimeInForce.GTC:
        raise _refused(Reason.INVALID_ORDER, "Milo's orders wait until they are canceled: use GTC")
    if intent.side is Side.BUY and intent.reduce_only:
        raise _refused(
            Reason.REDUCE_ONLY_WOULD_INCREASE,
            "Milo has no short positions that a buy could reduce: send reduceOnly false",
        )


def _refused(reason: Reason, text: str) -> VenueRejected:
    return VenueRejected(reason, f"{text}. Nothing was sent")


def _buy_amount(intent: OrderIntent) -> NewAmount:
    return NewAmount(type="absolute", amount=intent.size)


def _sell_amount(intent: OrderIntent, position: Position | None) -> NewAmount:
    """A share of the position, where it is one that is sold now or that only reduces; else a number of tokens."""
    held = held_in(position)
    if not held:
        if intent.reduce_only:
            raise _refused(Reason.NO_POSITION, "there is no position to reduce")
        return NewAmount(type="absolute", amount=intent.size)
    if intent.reduce_only and intent.size >= held:
        return NewAmount(type="relative", percentage=_HUNDRED)
    is_share = intent.reduce_only or isinstance(intent.execution, Market)
    if not is_share or intent.size > held:
        return NewAmount(type="absolute", amount=intent.size)
    return NewAmount(type="relative", percentage=_percentage(intent.size, held))


def _percentage(size: Decimal, held: Decimal) -> Decimal:
    """Rounded up by less than a token's smallest unit, which Milo cuts off again."""
    with localcontext(prec=60):
        return min((size * _HUNDRED / held).quantize(_PERCENT_STEP, ROUND_CEILING), _HUNDRED).normalize()


def _trigger(intent: OrderIntent) -> NewTrigger:
    is_buy = intent.side is Side.BUY
    match intent.execution:
        case Market():
            return _at("gte", ZERO)
        case Limit(price=price) | PostOnly(price=price):
            return _at("lte" if is_buy else "gte", price)
        case Stop(trigger_price=price):
            return _at("gte" if is_buy else "lte", price)
        case TakeProfit(trigger_price=price):
            return _at("lte" if is_buy else "gte", price)


def _at(operator: str, value: Decimal) -> NewTrigger:
    return NewTrigger(type="absolute", operator=operator, value=value)


def _from_entry(execution: Execution, position: Position) -> NewTrigger | None:
    """The trigger as a change from the entry price; None where that would be no rise, or no drop."""
    price = execution.trigger_price if isinstance(execution, Stop | TakeProfit) else None
    entry = position.average_entry_price
    if price is None or entry is UNSET or entry is None or not number(entry):
        return None
    with localcontext(prec=60):
        percent = ((price / number(entry) - 1) * _HUNDRED).quantize(_PERCENT_STEP).normalize()
    rises = isinstance(execution, TakeProfit)
    if percent == 0 or (percent > 0) is not rises:
        return None
    return NewTrigger(type="relative", operator="rise" if rises else "drop", value=abs(percent))


def _kind(side: Side, payload: Payload, told: str | None) -> tuple[OrderType, Decimal | None]:
    """What kind of order a trigger makes, and its price where it is known."""
    trigger, value = payload.trigger, number(payload.trigger.value)
    if trigger.type == "relative":
        price = None if told is None else number(told)
        favourable = _OPERATORS[trigger.operator] is (side is Side.SELL)
        waits = OrderType.TAKE_PROFIT if side is Side.SELL else OrderType.LIMIT
        return (waits if favourable else OrderType.STOP), price
    if trigger.type != "absolute":
        raise LookupError(trigger.type)
    if trigger.operator == "gte" and value == 0:
        return OrderType.MARKET, None
    return (OrderType.LIMIT if _OPERATORS[trigger.operator] is (side is Side.SELL) else OrderType.STOP), value


# Whether it fires when the price rises.
_OPERATORS: Final = {"gte": True, "rise": True, "lte": False, "drop": False}


def _status(word: str, kind: OrderType) -> OrderStatus:
    """:raises KeyError: a word that is not the reference's."""
    status = _STATUSES[word]
    waits = status is OrderStatus.OPEN and kind in (OrderType.STOP, OrderType.TAKE_PROFIT)
    return OrderStatus.PENDING if waits else status


def _filled(line: OrderLine, size: Decimal) -> dict[str, Decimal]:
    """What is known of what was filled."""
    fill = line.fill
    if fill is UNSET or fill is None:
        return {"filled_size": size} if line.status == "fulfilled" else {}
    told = {"filled_size": number(fill.amount), "average_price": number(fill.price)}
    return told if fill.fee is UNSET else told | {"fee": number(fill.fee)}


def _size(
    line: OrderLine, instrument: Instrument, positions: Mapping[str, Position], others: Mapping[str, OrderLine]
) -> Decimal:
    """In tokens. Zero where it is a share of what nobody knows yet: of what a buy that waits will bring."""
    if line.fill is not UNSET and line.fill is not None:
        return number(line.fill.amount)
    if line.payload is UNSET:
        return ZERO
    amount = line.payload.amount
    match amount.type:
        case "absolute":
            return _told(amount.amount)
        case "absolute_usd":
            value = number(line.payload.trigger.value)
            is_priced = line.payload.trigger.type == "absolute" and value > 0
            return floor_to(_told(amount.amount) / value, instrument.lot_size) if is_priced else ZERO
        case "relative":
            return floor_to(_whole(line, positions, others) * _told(amount.percentage) / 100, instrument.lot_size)
        case unknown:
            raise LookupError(unknown)


def _whole(line: OrderLine, positions: Mapping[str, Position], others: Mapping[str, OrderLine]) -> Decimal:
    """What a share is of: what its parent bought or will buy, or what the position holds."""
    parent = None if line.parent_id is UNSET or line.parent_id is None else others.get(line.parent_id)
    instrument = None if line.token_address is UNSET else BY_MINT.get(line.token_address)
    if parent is not None and instrument is not None:
        return _size(parent, instrument, positions, {})
    thesis = None if line.thesis_id is UNSET else line.thesis_id
    return held_in(None if thesis is None else positions.get(thesis))


def _told(text: str | UnsetType) -> Decimal:
    if text is UNSET:
        raise ValueError("an amount without a number")
    return number(text)


def is_share(line: OrderLine) -> bool:
    """Whether how much it is takes a look at the position."""
    return line.payload is not UNSET and line.payload.amount.type == "relative"


def newest_first(orders: Sequence[Order]) -> list[Order]:
    return sorted(orders, key=lambda order: -order.created_at_ms)
