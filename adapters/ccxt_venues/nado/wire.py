"""Nado's words for ours and ours for its. Pure.

Sizes, prices and money are integers there, in units of 10^-18.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.ccxt_venues.bridge import raw
from adapters.ccxt_venues.bridge.quirks import Document, fires_on_the_way_up
from adapters.ccxt_venues.numbers import exact, positive, rounded
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import ZERO, is_multiple, product
from normalization.instruments import Instrument
from normalization.orders import (
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

PAGE: Final = 500
"""The most rows that the venue gives of a list."""

_UNIT: Final = Decimal("1e-18")
_WHOLE: Final = Decimal(10**18)
_LONGEST: Final = 60

_VERSION: Final = 1
_REDUCE_ONLY: Final = 1 << 11
_BY_PRICE: Final = 1 << 12
_KINDS: Final = {TimeInForce.GTC: 0, TimeInForce.IOC: 1, TimeInForce.FOK: 2}
_POST_ONLY: Final = 3

_RANDOM_BITS: Final = 20
_LAST_EXPIRY: Final = (1 << 32) - 1

_TRIGGER_STATUSES: Final = {
    "waiting_price": OrderStatus.PENDING,
    "waiting_dependency": OrderStatus.PENDING,
    "triggering": OrderStatus.PENDING,
    # What came of it is in the other lists; where nothing did, it found nobody to trade with.
    "triggered": OrderStatus.CANCELED,
    "cancelled": OrderStatus.CANCELED,
    "internal_error": OrderStatus.REJECTED,
}


class Mark(msgspec.Struct, frozen=True):
    """How an order tells that it is ours: by what stands where the venue wants a random number, and by its expiration.

    The venue has no client order ids. Ours are 47 bits wide: 20 are in the nonce and 27 in the second at which the
    order expires, some eighty years from now.
    """

    random: int
    expiration: int

    @classmethod
    def of(cls, client_id: str) -> Mark:
        number = int(client_id, 16)
        return cls(number & ((1 << _RANDOM_BITS) - 1), _LAST_EXPIRY - (number >> _RANDOM_BITS))

    def nonce(self, valid_until_ms: int) -> int:
        """The venue takes no order after the time that is in its nonce."""
        return (valid_until_ms << _RANDOM_BITS) | self.random

    def is_on(self, row: Document) -> bool:
        bits = int(row["nonce"]) & ((1 << _RANDOM_BITS) - 1)
        return (bits, int(row["expiration"])) == (self.random, self.expiration)


def client_id(token: bytes) -> str:
    return f"{int.from_bytes(token[:6]) >> 1:012x}"


def appendix(intent: OrderIntent) -> int:
    """The venue's packed flags. Those of a builder and of its fee stay zero: ccxt would fill in its own."""
    flags = _VERSION | (_REDUCE_ONLY if intent.reduce_only else 0)
    match intent.execution:
        case Limit(time_in_force=time_in_force):
            return flags | _KINDS[time_in_force] << 9
        case PostOnly():
            return flags | _POST_ONLY << 9
        case Market():
            return flags | _KINDS[TimeInForce.IOC] << 9
        case Stop() | TakeProfit():
            return flags | _KINDS[TimeInForce.IOC] << 9 | _BY_PRICE


def trigger(intent: OrderIntent) -> dict[str, Any]:
    """What stands beside an order that waits for the oracle's price; nothing beside any other."""
    execution = intent.execution
    if not isinstance(execution, Stop | TakeProfit):
        return {}
    way = "above" if fires_on_the_way_up(intent.side, execution) else "below"
    requirement = {f"oracle_price_{way}": to_x18(execution.trigger_price)}
    return {"trigger": {"price_trigger": {"price_requirement": requirement}}}


def to_x18(value: Decimal) -> str:
    """:raises ValueError: it has more places than the venue has."""
    scaled = product(value, _WHOLE)
    if not is_multiple(scaled, Decimal(1)):
        raise ValueError("more than eighteen places")
    return f"{scaled:f}".partition(".")[0]


def from_x18(value: Any) -> Decimal:
    """:raises ValueError: it is not a number of sane size."""
    text = str(value)
    if len(text) > _LONGEST:
        raise ValueError("not a number of sane size")
    number = Decimal(text)
    return exact(product(number, _UNIT)) if number.is_finite() else exact(number)


def resting_order(row: Document, instrument: Instrument) -> Order:
    amount = from_x18(row["amount"])
    return _order(
        row,
        instrument,
        amount=amount,
        filled=abs(amount) - abs(from_x18(row["unfilled_amount"])),
        status=OrderStatus.OPEN,
        price=from_x18(row["price_x18"]),
        created_at_ms=int(row["placed_at"]) * 1000,
    )


def archived_order(row: Document, instrument: Instrument) -> Order:
    """It is not open any more: what was not filled was canceled."""
    filled, fee = from_x18(row["base_filled"]), from_x18(row["fee"])
    first_fill_s = row.get("first_fill_timestamp")
    order = _order(
        row,
        instrument,
        amount=from_x18(row["amount"]),
        filled=abs(filled),
        status=OrderStatus.CANCELED,
        price=from_x18(row["price_x18"]),
        # Until when it could have been accepted, where nothing says when it was.
        created_at_ms=int(first_fill_s) * 1000 if first_fill_s else int(row["nonce"]) >> _RANDOM_BITS,
    )
    if not filled:
        return order
    average = _price_of(filled, from_x18(row["quote_filled"]), fee)
    return msgspec.structs.replace(order, average_price=average, fee=fee)


def trigger_order(row: Document, instrument: Instrument) -> Order:
    placed, signed = row["order"], row["order"]["order"]
    ((name, at),) = placed["trigger"]["price_trigger"]["price_requirement"].items()
    status = row["status"]
    order = _order(
        {**signed, "digest": placed["digest"]},
        instrument,
        amount=from_x18(signed["amount"]),
        filled=ZERO,
        status=_TRIGGER_STATUSES[status if isinstance(status, str) else next(iter(status))],
        price=from_x18(signed["priceX18"]),
        created_at_ms=int(row["placed_at"]),
    )
    stops = name.endswith("above") is (order.side is Side.BUY)
    return msgspec.structs.replace(
        order, type=OrderType.STOP if stops else OrderType.TAKE_PROFIT, price=None, trigger_price=from_x18(at)
    )


def position(balance: Document, oracle: Document, instrument: Instrument) -> Position:
    """What it cost is what its quote would have to bring for nothing to be won or lost since it was last settled."""
    size, quote, mark = (from_x18(x) for x in (balance["amount"], balance["v_quote_balance"], oracle))
    return raw.position(
        instrument,
        signed_size=size,
        entry_price=positive(rounded(-quote / size)),
        mark_price=positive(mark),
        leverage=instrument.max_leverage,
        unrealized_pnl=product(size, mark) + quote,
    )


def balance(reply: Document) -> Balance:
    """Health by the initial weights is what new orders may use; unweighted, what the account is worth."""
    initial, _, unweighted = (from_x18(health["health"]) for health in reply["data"]["healths"])
    return Balance(equity=unweighted, free_collateral=max(initial, ZERO), account_value=unweighted)


def fill(row: Document, instrument: Instrument, at_s: int) -> Fill:
    base, fee = from_x18(row["base_filled"]), from_x18(row["fee"])
    return Fill(
        # Both sides of a match have its number.
        fill_id=f"{row['submission_idx']}-{row['digest'][2:10]}",
        order_id=raw.number(row["digest"]),
        symbol=instrument.symbol,
        side=Side.BUY if base > 0 else Side.SELL,
        size=positive(abs(base)),
        price=_price_of(base, from_x18(row["quote_filled"]), fee),
        fee=fee,
        at_ms=at_s * 1000,
    )


def hourly_funding(row: Document) -> Decimal:
    """The venue tells a day's rate, and pays every hour."""
    return rounded(exact(row["funding_rate"]) / 24)


def whole(rows: list[Document]) -> list[Document]:
    """:raises VenueUnclear: there may be more of them."""
    if len(rows) >= PAGE:
        raise raw.too_long()
    return rows


def _order(
    row: Document,
    instrument: Instrument,
    *,
    amount: Decimal,
    filled: Decimal,
    status: OrderStatus,
    price: Decimal,
    created_at_ms: int,
) -> Order:
    size = positive(abs(amount))
    return Order(
        order_id=raw.number(row["digest"]),
        client_id=None,
        symbol=instrument.symbol,
        side=Side.BUY if amount > 0 else Side.SELL,
        type=OrderType.LIMIT,
        size=size,
        filled_size=filled,
        price=positive(price),
        reduce_only=bool(int(row.get("appendix", 0)) & _REDUCE_ONLY),
        status=raw.checked(status, filled, size),
        created_at_ms=created_at_ms,
    )


def _price_of(base: Decimal, quote: Decimal, fee: Decimal) -> Decimal:
    """``quote`` is what changed hands with the fee already taken off."""
    return positive(rounded(-(quote + fee) / base))
