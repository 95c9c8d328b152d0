"""What can be asked of the exchange, in everybody's vocabulary. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from normalization.accounts import Balance, Fill, Position
from normalization.decimals import ZERO
from normalization.market_data import Candle, Fees, FundingRate, MarketSummary, MarkPrice, OrderBook
from normalization.orders import Limit, Order, OrderType, PositionSide, PostOnly, Side, Stop, TakeProfit
from normalization.orders import Market as MarketOrder
from normalization.venue_failures import Reason, VenueRejected
from sandbox.engine.floor import Floor
from sandbox.engine.ledger import MAKER_BPS, TAKER_BPS, Account, Ledger
from sandbox.engine.margin import initial_margin, pending_of
from sandbox.engine.market import HOUR_S, Market
from sandbox.engine.orders import FillRecord, OrderIndex, OrderRecord
from sandbox.engine.path import LEVEL_OF_MINUTES

MAX_DEPTH: Final = 100
MAX_CANDLES: Final = 500

_TYPES: Final = {
    Limit: OrderType.LIMIT,
    PostOnly: OrderType.LIMIT,
    MarketOrder: OrderType.MARKET,
    Stop: OrderType.STOP,
    TakeProfit: OrderType.TAKE_PROFIT,
}


class Views:
    """Queries at the instant to which the exchange was last brought."""

    def __init__(self, markets: Mapping[str, Market], ledger: Ledger, orders: OrderIndex, floor: Floor) -> None:
        self._markets = markets
        self._ledger = ledger
        self._orders = orders
        self._floor = floor

    def market(self, symbol: str) -> Market:
        """:raises VenueRejected: there is no such market."""
        market = self._markets.get(symbol)
        if market is None:
            raise VenueRejected(Reason.INVALID_ORDER, f"No market {symbol[:40]!a}")
        return market

    # Markets.

    def orderbook(self, symbol: str, depth: int) -> OrderBook:
        market, second = self.market(symbol), self._floor.second
        depth = max(1, min(depth, MAX_DEPTH))
        return OrderBook(bids=market.levels(Side.BUY, second, depth), asks=market.levels(Side.SELL, second, depth))

    def mark_price(self, symbol: str) -> MarkPrice:
        market, second = self.market(symbol), self._floor.second
        return MarkPrice(mark_price=market.mark(second), index_price=market.index(second))

    def candles(self, symbol: str, interval_minutes: int, limit: int) -> Sequence[Candle]:
        """Oldest first; the last one is growing. Intervals are 1, 5, 15, 60, 240 and 1440 minutes."""
        market, second = self.market(symbol), self._floor.second
        if interval_minutes not in LEVEL_OF_MINUTES:
            raise VenueRejected(Reason.OTHER, "No candles of that interval")
        latest = second // (interval_minutes * 60)
        first = max(0, latest - max(1, min(limit, MAX_CANDLES)) + 1)
        return [market.candle(interval_minutes, number, second) for number in range(first, latest + 1)]

    def funding_rate(self, symbol: str) -> FundingRate:
        second = self._floor.second
        return FundingRate(
            rate=self.market(symbol).funding_rate(second),
            next_funding_ms=(second - second % HOUR_S + HOUR_S) * 1_000,
        )

    def summaries(self) -> Sequence[MarketSummary]:
        second = self._floor.second
        longs: dict[str, int] = {}
        for account in self._ledger.exposed():
            for symbol, position in account.positions.items():
                longs[symbol] = longs.get(symbol, 0) + max(0, position.lots)
        return [
            MarketSummary(
                symbol=market.symbol,
                mark_price=market.mark(second),
                funding_rate=market.funding_rate(second),
                open_interest=market.background_interest(second)
                + market.notional(market.mark_ticks(second), longs.get(market.symbol, 0)),
            )
            for market in self._markets.values()
        ]

    def fees(self) -> Fees:
        return Fees(maker_bps=MAKER_BPS, taker_bps=TAKER_BPS)

    # Accounts.

    def balance(self, account: Account) -> Balance:
        second = self._floor.second
        equity = self._ledger.equity(account, second)
        tied_up = initial_margin(self._ledger, account, pending_of(self._orders.open_of(account.key)), second)
        return Balance(equity=equity, free_collateral=max(ZERO, equity - tied_up), account_value=equity)

    def positions(self, account: Account, symbol: str | None = None) -> Sequence[Position]:
        return [self._position(account, key) for key in account.positions if symbol in (None, key)]

    def _position(self, account: Account, symbol: str) -> Position:
        market, held, second = self._markets[symbol], account.positions[symbol], self._floor.second
        mark = market.mark_ticks(second)
        entry = held.cost / market.size(held.lots)
        return Position(
            symbol=symbol,
            side=PositionSide.LONG if held.lots > 0 else PositionSide.SHORT,
            size=market.size(abs(held.lots)),
            entry_price=entry.quantize(market.instrument.price_exponent.scaleb(-4)),
            mark_price=market.price(mark),
            unrealized_pnl=market.notional(mark, held.lots) - held.cost,
            leverage=account.leverage(market),
            liquidation_price=self._ledger.liquidation_price(account, market, second),
        )

    # Orders.

    def order(self, record: OrderRecord) -> Order:
        market = self._markets[record.symbol]
        execution = record.execution
        average = record.paid / market.size(record.filled_lots) if record.filled_lots else None
        return Order(
            order_id=record.order_id,
            client_id=record.client_id,
            symbol=record.symbol,
            side=record.side,
            type=_TYPES[type(execution)],
            size=market.size(record.lots),
            filled_size=market.size(record.filled_lots),
            price=execution.price if isinstance(execution, Limit | PostOnly) else None,
            trigger_price=execution.trigger_price if isinstance(execution, Stop | TakeProfit) else None,
            average_price=None if average is None else average.quantize(market.instrument.price_exponent.scaleb(-4)),
            fee=record.fee,
            reduce_only=record.reduce_only,
            status=record.status,
            created_at_ms=record.accepted_at_ms,
        )

    def open_orders(self, account: Account, symbol: str | None = None) -> Sequence[Order]:
        """Oldest first, those waiting for a trigger included."""
        return [self.order(o) for o in self._orders.open_of(account.key) if symbol in (None, o.symbol)]

    def find_by_id(self, account: Account, order_id: str) -> Order | None:
        record = self._orders.by_id(account.key, order_id)
        return None if record is None else self.order(record)

    def find_by_client_id(self, account: Account, client_id: str) -> Order | None:
        record = self._orders.by_client_id(account.key, client_id)
        return None if record is None else self.order(record)

    def fills(self, account: Account, symbol: str | None, limit: int) -> Sequence[Fill]:
        """Newest first."""
        return [fill_of(record) for record in islice(self._orders.fills_of(account.key, symbol), limit)]


def fill_of(record: FillRecord) -> Fill:
    return Fill(
        fill_id=record.fill_id,
        order_id=record.order_id,
        symbol=record.symbol,
        side=record.side,
        size=record.size,
        price=record.price,
        fee=record.fee,
        at_ms=record.at_ms,
    )
