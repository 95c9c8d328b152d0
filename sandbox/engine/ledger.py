"""Who has what. Cash and positions only ever move from one holder to another, so their sums never change.

Positions are signed lots; ``cash`` is what is left after paying for them in full, so that equity is cash plus positions
at the mark price. The house is the other side of every trade with the background and of funding. Fees and funding are
in whole millionths of the settle asset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_EVEN, ROUND_UP, Decimal
from typing import Final

import msgspec

from normalization.decimals import BPS, ZERO
from sandbox.engine.market import Market

DEFAULT_LEVERAGE: Final = 10
MAKER_BPS: Final = Decimal(2)
TAKER_BPS: Final = Decimal(5)
INSURANCE_AT_START: Final = Decimal(1_000_000)

_MILLIONTH: Final = Decimal("0.000001")


class Position(msgspec.Struct):
    """``cost`` is what was paid for the open part at its average price: signed, like ``lots``."""

    lots: int = 0
    cost: Decimal = ZERO


class Account(msgspec.Struct, kw_only=True):
    """``positions`` holds no flat ones. ``deposited`` is what it was opened with."""

    key: str
    cash: Decimal
    deposited: Decimal
    positions: dict[str, Position] = {}
    leverages: dict[str, int] = {}
    liquidations: int = 0

    def lots(self, symbol: str) -> int:
        position = self.positions.get(symbol)
        return 0 if position is None else position.lots

    def leverage(self, market: Market) -> int:
        return self.leverages.get(market.symbol) or min(DEFAULT_LEVERAGE, market.instrument.max_leverage)


class Books(msgspec.Struct, kw_only=True):
    """What is not any user's."""

    house_cash: Decimal = ZERO
    house_lots: dict[str, int] = {}
    insurance: Decimal = INSURANCE_AT_START
    fees: Decimal = ZERO


class Ledger:
    def __init__(self, markets: Mapping[str, Market]) -> None:
        self._markets = markets
        self.accounts: dict[str, Account] = {}
        self.books = Books()

    def open(self, key: str, cash: Decimal) -> None:
        if key not in self.accounts:
            self.accounts[key] = Account(key=key, cash=cash.quantize(_MILLIONTH), deposited=cash.quantize(_MILLIONTH))

    def market(self, symbol: str) -> Market:
        return self._markets[symbol]

    def exposed(self) -> Iterator[Account]:
        """Accounts with a position, in the order in which they were opened."""
        return (account for account in self.accounts.values() if account.positions)

    # Moves.

    def trade(self, account: Account, market: Market, signed_lots: int, ticks: int) -> Decimal:
        """Buy (or, negative, sell) at a price; the profit realized by what it closed. The other side is separate."""
        account.cash -= market.notional(ticks, signed_lots)
        position = account.positions.setdefault(market.symbol, Position())
        realized = _apply(position, market, signed_lots, ticks)
        if position.lots == 0:
            del account.positions[market.symbol]
        return realized

    def trade_house(self, market: Market, signed_lots: int, ticks: int) -> None:
        self.books.house_cash -= market.notional(ticks, signed_lots)
        self.books.house_lots[market.symbol] = self.books.house_lots.get(market.symbol, 0) + signed_lots

    def charge_fee(self, account: Account, notional: Decimal, bps: Decimal) -> Decimal:
        fee = fee_of(notional, bps)
        account.cash -= fee
        self.books.fees += fee
        return fee

    def pay_funding(self, account: Account, amount: Decimal) -> None:
        """From the account to the house; negative, the other way."""
        amount = amount.quantize(_MILLIONTH, ROUND_HALF_EVEN)
        account.cash -= amount
        self.books.house_cash += amount

    def cover(self, account: Account) -> None:
        """Have the insurance fund pay what a flat account owes."""
        if not account.positions and account.cash < 0:
            self.books.insurance += account.cash
            account.cash = ZERO

    # Margin.

    def equity(self, account: Account, second: int) -> Decimal:
        total = account.cash
        for symbol, position in account.positions.items():
            market = self._markets[symbol]
            total += market.notional(market.mark_ticks(second), position.lots)
        return total

    def maintenance(self, account: Account, second: int) -> Decimal:
        total = ZERO
        for symbol, position in account.positions.items():
            market = self._markets[symbol]
            total += market.notional(market.mark_ticks(second), abs(position.lots)) * market.maintenance_rate
        return total

    def is_liquidatable(self, account: Account, second: int) -> bool:
        equity = self.equity(account, second)
        return equity < 0 or equity < self.maintenance(account, second)

    def may_be_liquidatable(self, account: Account, level: int, index: int) -> bool:
        """Whether it can fail its maintenance margin within a candle of the path: judged at the worst prices in it."""
        spare = account.cash
        for symbol, position in account.positions.items():
            market = self._markets[symbol]
            node = market.path.node(level, index)
            worst = node.low if position.lots > 0 else node.high
            spare += market.notional(worst, position.lots)
            spare -= market.notional(worst, abs(position.lots)) * market.maintenance_rate
        return spare < 0

    def liquidation_price(self, account: Account, market: Market, second: int) -> Decimal | None:
        """The mark price of this market, all others standing still, at which maintenance margin is just met."""
        size = market.size(account.lots(market.symbol))
        spare = self.equity(account, second) - self.maintenance(account, second)
        slope = size - abs(size) * market.maintenance_rate
        price = market.mark(second) - spare / slope
        return price.quantize(market.instrument.price_exponent, ROUND_HALF_EVEN) if price > 0 else None


def fee_of(notional: Decimal, bps: Decimal) -> Decimal:
    return (notional * bps / BPS).quantize(_MILLIONTH, ROUND_UP)


def _apply(position: Position, market: Market, signed_lots: int, ticks: int) -> Decimal:
    """Move ``position`` by a trade: growth at its price, reduction at the average cost. Profit realized."""
    held = position.lots
    if held * signed_lots >= 0:
        position.lots += signed_lots
        position.cost += market.notional(ticks, signed_lots)
        return ZERO
    closed = min(abs(held), abs(signed_lots)) * (1 if signed_lots > 0 else -1)
    cost_of_closed = (position.cost * -closed / held).quantize(_MILLIONTH, ROUND_HALF_EVEN)
    position.lots += signed_lots
    if abs(signed_lots) >= abs(held):
        cost_of_closed = position.cost
        position.cost = market.notional(ticks, position.lots)
    else:
        position.cost -= cost_of_closed
    return market.notional(ticks, -closed) - cost_of_closed
