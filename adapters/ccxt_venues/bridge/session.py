"""One credential's connection to a venue through ccxt."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from adapters.base import Grouping, LegOutcome, Submission
from adapters.ccxt_venues.bridge import unified
from adapters.ccxt_venues.bridge.quirks import Quirks
from adapters.ccxt_venues.checks import bound_price, check
from adapters.ccxt_venues.link import before_sending
from adapters.ccxt_venues.refusals import Action
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import trimmed
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, MarketSummary, MarkPrice, OrderBook
from normalization.orders import Limit, Market, Order, PostOnly, Side, Stop, TakeProfit
from normalization.venue_failures import Reason, VenueFailure, VenueRejected, VenueUnclear

T = TypeVar("T")

_TIMEFRAMES: Final = {1: "1m", 5: "5m", 15: "15m", 60: "1h", 240: "4h", 1440: "1d"}


class UnderWay:
    """What one call of ours is for, and whether any of it has left."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.has_sent = False


under_way: ContextVar[UnderWay] = ContextVar("under_way")


class BridgedSession:
    """``exchange`` is ccxt's, guarded, with the markets of ``names``."""

    def __init__(self, *, exchange: Any, names: unified.Names, quirks: Quirks, now_ms: Callable[[], int]) -> None:
        self._exchange = exchange
        self._names = names
        self._quirks = quirks
        self._now_ms = now_ms

    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        asked = self._exchange.fetch_order_book(self._theirs(instrument), depth)
        return await self._read(asked, lambda book: unified.book_of(book, depth))

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return await self._read(self._exchange.fetch_funding_rate(self._theirs(instrument)), unified.mark_of)

    async def get_candles(self, instrument: Instrument, interval_minutes: int, limit: int) -> Sequence[Candle]:
        interval_ms, now_ms = interval_minutes * 60_000, self._now_ms()
        since_ms = now_ms - now_ms % interval_ms - (limit - 1) * interval_ms
        asked = self._exchange.fetch_ohlcv(self._theirs(instrument), _TIMEFRAMES[interval_minutes], since_ms, limit)
        return await self._read(asked, lambda candles: [unified.candle_of(candle) for candle in candles][-limit:])

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._read(self._exchange.fetch_funding_rate(self._theirs(instrument)), unified.funding_of)

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        raise NotImplementedError("no venue that says it can be asked this is spoken to through ccxt")

    async def get_fees(self, instrument: Instrument) -> Fees:
        return await self._read(self._exchange.fetch_trading_fee(self._theirs(instrument)), unified.fees_of)

    async def get_balance(self) -> Balance:
        asked = self._exchange.fetch_balance(dict(self._quirks.market_params))
        return await self._read(asked, lambda balance: self._quirks.balance(balance["info"]))

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        found = await self._read(self._exchange.fetch_positions(), self._positions)
        return [p for p in found if instrument is None or p.symbol == instrument.symbol]

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        symbol = None if instrument is None else self._theirs(instrument)
        asked = self._exchange.fetch_open_orders(symbol, None, None, dict(self._quirks.market_params))
        return await self._read(asked, self._orders)

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        asked = self._exchange.fetch_my_trades(self._theirs(instrument), None, limit)
        fills = await self._read(asked, lambda trades: [unified.fill_of(trade, instrument) for trade in trades])
        return sorted(fills, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        if instrument is None or not order_id.isdecimal():
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "an order is looked up by its number and its market")
        return await self._read(self._exchange.fetch_order(order_id, self._theirs(instrument)), self._order)

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        asked = self._exchange.fetch_order(None, self._theirs(instrument), {"clientOrderId": client_id})
        try:
            order = await self._read(asked, self._order)
        except VenueRejected as refusal:
            if refusal.reason is Reason.ORDER_NOT_FOUND:
                return None
            raise
        if order.client_id != client_id:
            raise VenueUnclear(Reason.OTHER, "the venue answered with another order")
        return order

    async def test(self) -> Sequence[str]:
        await self.get_balance()
        return []

    async def place_order(self, submission: Submission) -> Order:
        check(submission)
        kind, price, params = await self._terms(submission)
        intent = submission.intent
        params |= {"clientOrderId": submission.client_id}
        if intent.reduce_only:
            params |= self._quirks.reduce_only
        asked = self._exchange.create_order(
            self._theirs(submission.instrument), kind, intent.side.lower(), trimmed(intent.size), price, params
        )
        return await self._ask(
            Action.PLACE, asked, lambda order: unified.acknowledged(order, submission, self._now_ms())
        )

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        outcomes: list[LegOutcome] = []
        for submission in submissions:
            try:
                outcomes.append(await self.place_order(submission))
            except VenueFailure as failure:
                outcomes.append(failure)
        return outcomes

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        if instrument is None or not order_id.isdecimal():
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "an order is canceled by its number and its market")
        await self._ask(Action.CANCEL, self._exchange.cancel_order(order_id, self._theirs(instrument)), _done)

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        asked = self._exchange.cancel_order(None, self._theirs(instrument), {"clientOrderId": client_id})
        await self._ask(Action.CANCEL, asked, _done)

    async def cancel_all(self, instrument: Instrument) -> None:
        await self._ask(Action.CANCEL, self._exchange.cancel_all_orders(self._theirs(instrument)), _done)

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        await self._ask(Action.SET, self._exchange.set_leverage(leverage, self._theirs(instrument)), _done)

    async def close(self) -> None:
        """The connections are everybody's."""

    async def _terms(self, submission: Submission) -> tuple[str, str | None, dict[str, Any]]:
        """Type, price and parameters in ccxt's words. A market order is an IOC limit at the slippage bound."""
        intent, instrument = submission.intent, submission.instrument
        match intent.execution:
            case Limit(price=price, time_in_force=time_in_force):
                return "limit", trimmed(price), {"timeInForce": time_in_force.value}
            case PostOnly(price=price):
                return "limit", trimmed(price), dict(self._quirks.post_only)
            case Market(max_slippage_bps=slippage_bps):
                buying = intent.side is Side.BUY
                book = await before_sending(self.get_orderbook(instrument, 5))
                levels = book.asks if buying else book.bids
                if not levels:
                    raise VenueRejected(
                        Reason.NO_LIQUIDITY, "nothing was sent: nobody is on the other side of the book"
                    )
                worst = bound_price(instrument, levels[0].price, slippage_bps, buying=buying)
                return "limit", trimmed(worst), {"timeInForce": "IOC"}
            case Stop() | TakeProfit():
                return "market", None, dict(self._quirks.trigger(intent.execution))

    def _order(self, order: unified.Structure) -> Order:
        return unified.order_of(order, self._names)

    def _orders(self, orders: Sequence[unified.Structure]) -> list[Order]:
        return [self._order(order) for order in orders if order["symbol"] in self._names.ours]

    def _positions(self, positions: Sequence[unified.Structure]) -> list[Position]:
        return [
            unified.position_of(position, self._names)
            for position in positions
            if position["symbol"] in self._names.ours
        ]

    def _theirs(self, instrument: Instrument) -> str:
        """:raises VenueRejected: the venue no longer lists it."""
        symbol = self._names.theirs.get(instrument.symbol)
        if symbol is None:
            raise VenueRejected(Reason.MARKET_CLOSED, "the venue no longer lists this market")
        return symbol

    async def _read(self, asked: Coroutine[Any, Any, Any], parse: Callable[[Any], T]) -> T:
        return await self._ask(Action.READ, asked, parse)

    async def _ask(self, action: Action, asked: Coroutine[Any, Any, Any], parse: Callable[[Any], T]) -> T:
        """What ccxt makes of it, read strictly.

        :raises VenueFailure: and nothing else: what ccxt itself raises proves only whether anything had left.
        """
        call = UnderWay(action)
        token = under_way.set(call)
        try:
            return parse(await asked)
        except VenueFailure:
            raise
        except Exception as problem:
            name = type(problem).__name__
            if not call.has_sent:
                raise VenueRejected(Reason.INVALID_ORDER, f"nothing was sent: {name}") from problem
            raise VenueUnclear(Reason.OTHER, f"the reply could not be read: {name}") from problem
        finally:
            under_way.reset(token)


def _done(reply: Any) -> None:
    """That it was taken is in what ``refusal`` did not find."""
