"""Funding that an account paid, worked out from its fills: rates and marks are functions of time, not stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from sandbox.engine import Engine
from sandbox.engine.market import HOUR_S
from sandbox.engine.orders import FillRecord
from sandbox.wires.exchange import WireExchange

_ALL: Final = 10_000


class Payment(NamedTuple):
    """``amount`` is what the account paid, negative where it received; ``size`` the signed position."""

    symbol: str
    at_ms: int
    size: Decimal
    rate: Decimal
    amount: Decimal


def payments(engine: Engine, fills: Sequence[FillRecord], start_ms: int, end_ms: int) -> Iterator[Payment]:
    """Of each hour within the bounds, oldest first. ``fills`` are all of the account's, newest first."""
    ahead = sorted(fills, key=lambda fill: fill.number)
    if not ahead:
        return
    hour_ms = HOUR_S * 1_000
    held: dict[str, Decimal] = {}
    place = 0
    first = max(-(-start_ms // hour_ms), -(-ahead[0].at_ms // hour_ms))
    for hour in range(first, min(end_ms, engine.now_ms) // hour_ms + 1):
        # At an hour, funding is paid before anybody trades.
        while place < len(ahead) and ahead[place].at_ms < hour * hour_ms:
            fill = ahead[place]
            held[fill.symbol] = fill.position_before + fill.side.sign * fill.size
            place += 1
        for symbol, size in held.items():
            if size:
                market = engine.views.market(symbol)
                rate = market.funding_rate(hour * HOUR_S - 1)
                yield Payment(symbol, hour * hour_ms, size, rate, size * market.mark(hour * HOUR_S) * rate)


class PaidSinceOpen:
    """What each open position has paid since it was last flat, worked out anew for a new fill or a new hour."""

    def __init__(self, exchange: WireExchange) -> None:
        self._exchange = exchange
        self._known: dict[str, tuple[tuple[int, int], dict[str, Decimal]]] = {}

    async def of(self, account: str) -> dict[str, Decimal]:
        """By symbol. Nothing for an account that does not exist."""
        latest = await self._exchange.fills(account, 1)
        if not latest:
            return {}
        as_of = (latest[0].number, self._exchange.now_ms() // (HOUR_S * 1_000))
        known = self._known.get(account)
        if known is None or known[0] != as_of:
            fills = await self._exchange.fills(account, _ALL)
            paid = await self._exchange.read(lambda engine: _paid_since_open(engine, fills))
            known = self._known[account] = (as_of, paid)
        return known[1]


def _paid_since_open(engine: Engine, fills: Sequence[FillRecord]) -> dict[str, Decimal]:
    opened: dict[str, int] = {}
    for fill in reversed(fills):
        after = fill.position_before + fill.side.sign * fill.size
        if fill.position_before == 0 or after * fill.position_before < 0:
            opened[fill.symbol] = fill.at_ms
    paid: dict[str, Decimal] = {}
    for payment in payments(engine, fills, min(opened.values(), default=engine.now_ms), engine.now_ms):
        if payment.at_ms >= opened.get(payment.symbol, 0):
            paid[payment.symbol] = paid.get(payment.symbol, Decimal(0)) + payment.amount
    return paid
