"""One credential's connection to a venue through ccxt. A venue that has to be asked in ways of its own derives one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeVar

import msgspec

from adapters.base import Grouping, LegOutcome, Submission
from adapters.ccxt_venues.bridge import unified
from adapters.ccxt_venues.bridge.handing import in_threads
from adapters.ccxt_venues.bridge.quirks import MarkSource, Quirks
from adapters.ccxt_venues.checks import bound_price, check, refused
from adapters.ccxt_venues.link import Link, before_sending
from adapters.ccxt_venues.markets import Listings
from adapters.ccxt_venues.refusals import Action
from adapters.transport import MAX_BODY
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import trimmed
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, MarketSummary, MarkPrice, OrderBook
from normalization.orders import Limit, Market, Order, OrderIntent, PostOnly, Side, Stop, TakeProfit, TimeInForce
from normalization.venue_failures import Reason, VenueFailure, VenueRejected, VenueUnclear

T = TypeVar("T")

TIMEFRAMES: Final = {1: "1m", 5: "5m", 15: "15m", 60: "1h", 240: "4h", 1440: "1d"}


class UnderWay:
    """What one call of ours is for, and whether any of it has left."""

    def __init__(self, action: Action, *, in_threads: bool = False, max_body: int = MAX_BODY) -> None:
        self.action = action
        self.in_threads = in_threads
        self.max_body = max_body
        self.has_sent = False


under_way: ContextVar[UnderWay] = ContextVar("under_way")


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What a session works with. ``urls`` are ccxt's ``urls.api``; what is ``hidden`` must stand in no text."""

    link: Link
    urls: Mapping[str, str]
    listings: Listings[unified.Listed]
    now_ms: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    hidden: Sequence[str] = ()


class BridgedSession:
    """``exchange`` is ccxt's, guarded; ``secrets`` those of the credential."""

    def __init__(
        self, exchange: Any, quirks: Quirks, secrets: Mapping[str, str], tools: Tools, listed: unified.Listed
    ) -> None:
        self._exchange = exchange
        self._quirks = quirks
        self._secrets = secrets
        self._tools = tools
        self._now_ms = tools.now_ms
        self._listed = listed
        exchange.set_markets_from_exchange(listed.template)

    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        asked = self._exchange.fetch_order_book(self._theirs(instrument), depth)
        return await self._read(asked, lambda book: unified.book_of(book, depth))

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        theirs = self._theirs(instrument)
        if self._quirks.mark_source is MarkSource.TICKER:
            return await self._read(self._exchange.fetch_ticker(theirs), unified.mark_of)
        return await self._read(self._exchange.fetch_funding_rate(theirs), unified.mark_of)

    async def get_candles(self, instrument: Instrument, interval_minutes: int, limit: int) -> Sequence[Candle]:
        interval_ms, now_ms = interval_minutes * 60_000, self._now_ms()
        since_ms = now_ms - now_ms % interval_ms - (limit - 1) * interval_ms
        asked = self._exchange.fetch_ohlcv(self._theirs(instrument), TIMEFRAMES[interval_minutes], since_ms, limit)
        return await self._read(asked, lambda candles: [unified.candle_of(candle) for candle in candles][-limit:])

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._read(self._exchange.fetch_funding_rate(self._theirs(instrument)), unified.funding_of)

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        raise NotImplementedError("a venue that says it can be asked this has a session of its own")

    async def get_fees(self, instrument: Instrument) -> Fees:
        return await self._read(self._exchange.fetch_trading_fee(self._theirs(instrument)), unified.fees_of)

    async def get_balance(self) -> Balance:
        asked = self._exchange.fetch_balance(dict(self._quirks.listing))
        return await self._read(asked, lambda balance: self._quirks.balance(balance["info"]))

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        found = await self._read(self._exchange.fetch_positions(), self._positions)
        return on(instrument, found)

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        symbol = None if instrument is None else self._theirs(instrument)
        asked = self._exchange.fetch_open_orders(symbol, None, None, dict(self._quirks.listing))
        return on(instrument, await self._read(asked, self._orders))

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        asked = self._exchange.fetch_my_trades(self._theirs(instrument), None, limit)
        fills = await self._read(asked, lambda trades: [unified.fill_of(trade, instrument) for trade in trades])
        return sorted(fills, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        asked = self._exchange.fetch_order(self._known(order_id, instrument), self._their_symbol(instrument))
        return await self._read(asked, self._order)

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        params = {"clientOrderId": self._quirks.client_id(client_id)}
        asked = self._exchange.fetch_order(None, self._theirs(instrument), params)
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
        params |= {"clientOrderId": self._quirks.client_id(submission.client_id)}
        params |= self._quirks.expiry(submission, self._now_ms())
        if intent.reduce_only:
            params |= self._quirks.reduce_only
        asked = self._exchange.create_order(
            self._theirs(submission.instrument), kind, intent.side.lower(), trimmed(intent.size), price, params
        )
        return await self._ask(Action.PLACE, asked, lambda order: self._acknowledged(order, submission))

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        """One by one. Protection is two legs of which nothing cancels the other where a venue cannot tie them."""
        outcomes: list[LegOutcome] = []
        for submission in submissions:
            try:
                outcomes.append(await self.place_order(submission))
            except VenueFailure as failure:
                outcomes.append(failure)
        return outcomes

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        asked = self._exchange.cancel_order(self._known(order_id, instrument), self._their_symbol(instrument))
        await self._ask(Action.CANCEL, asked, done)

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        params = {"clientOrderId": self._quirks.client_id(client_id)}
        await self._ask(Action.CANCEL, self._exchange.cancel_order(None, self._theirs(instrument), params), done)

    async def cancel_all(self, instrument: Instrument) -> None:
        await self._ask(Action.CANCEL, self._exchange.cancel_all_orders(self._theirs(instrument)), done)

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        asked = self._exchange.set_leverage(leverage, self._theirs(instrument), dict(self._quirks.leverage))
        await self._ask(Action.SET, asked, done)

    async def close(self) -> None:
        """The connections are everybody's."""

    async def cancel_listed(self, instrument: Instrument) -> None:
        """Cancel what is open one by one, for a venue that cannot be asked to cancel everything.

        :raises VenueFailure: of the first cancel that failed, after the others were tried.
        """
        orders = await self.get_open_orders(instrument)
        outcomes = await asyncio.gather(
            *(self.cancel_order(order.order_id, instrument) for order in orders), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not _is_over(outcome):
                raise outcome

    async def _terms(self, submission: Submission) -> tuple[str, str | None, dict[str, Any]]:
        """Type, price and parameters in ccxt's words. A market order is an IOC limit at the slippage bound."""
        intent, instrument = submission.intent, submission.instrument
        match intent.execution:
            case Limit(price=price, time_in_force=time_in_force):
                if time_in_force not in self._quirks.limit:
                    offered = " or ".join(sorted(self._quirks.limit))
                    raise refused(f"{instrument.exchange} has no {time_in_force} orders: use {offered}")
                return "limit", trimmed(price), dict(self._quirks.limit[time_in_force])
            case PostOnly(price=price):
                return "limit", trimmed(price), dict(self._quirks.post_only)
            case Market(max_slippage_bps=slippage_bps):
                return await self._market_terms(intent, instrument, slippage_bps)
            case Stop() | TakeProfit():
                bps, worst = self._quirks.triggered_slippage_bps, None
                if bps is not None:
                    trigger = intent.execution.trigger_price
                    worst = trimmed(bound_price(instrument, trigger, bps, buying=intent.side is Side.BUY))
                return self._quirks.triggered_as, worst, dict(self._quirks.trigger(intent.side, intent.execution))

    async def _market_terms(
        self, intent: OrderIntent, instrument: Instrument, slippage_bps: int
    ) -> tuple[str, str | None, dict[str, Any]]:
        buying = intent.side is Side.BUY
        book = await before_sending(self.get_orderbook(instrument, 5))
        levels = book.asks if buying else book.bids
        if not levels:
            raise VenueRejected(Reason.NO_LIQUIDITY, "nothing was sent: nobody is on the other side of the book")
        worst = bound_price(instrument, levels[0].price, slippage_bps, buying=buying)
        return "limit", trimmed(worst), dict(self._quirks.limit[TimeInForce.IOC])

    def _acknowledged(self, order: unified.Structure, submission: Submission) -> Order:
        return unified.acknowledged(order, submission, self._now_ms())

    def _order(self, order: unified.Structure, /) -> Order:
        return unified.order_of(order, self._names)

    def _orders(self, orders: Sequence[unified.Structure]) -> list[Order]:
        return [self._order(order) for order in orders if order["symbol"] in self._names.ours]

    def _position(self, position: unified.Structure, /) -> Position:
        return unified.position_of(position, self._names)

    def _positions(self, positions: Sequence[unified.Structure]) -> list[Position]:
        listed = (position for position in positions if position["symbol"] in self._names.ours)
        return [self._position(position) for position in listed if not unified.is_flat(position)]

    @property
    def _names(self) -> unified.Names:
        """Those of the latest list of markets, which ccxt is given too when there is a new one."""
        latest = self._tools.listings.present or self._listed
        if latest is not self._listed:
            self._exchange.set_markets_from_exchange(latest.template)
            self._listed = latest
        return latest.names

    def _theirs(self, instrument: Instrument) -> str:
        """:raises VenueRejected: the venue no longer lists it."""
        symbol = self._names.theirs.get(instrument.symbol)
        if symbol is None:
            raise VenueRejected(Reason.MARKET_CLOSED, "the venue no longer lists this market")
        return symbol

    def _their_symbol(self, instrument: Instrument | None) -> str | None:
        return None if instrument is None else self._theirs(instrument)

    def _known(self, order_id: str, instrument: Instrument | None) -> str:
        """``order_id``, if the venue can have an order of that id.

        :raises VenueRejected: it cannot, or it would have to be told the market.
        """
        if not re.fullmatch(self._quirks.order_ids, order_id):
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "no order of this venue has such an id")
        if instrument is None and self._quirks.needs_market:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "this venue finds an order by its id and its market")
        return order_id

    async def _read(self, asked: Awaitable[Any], parse: Callable[[Any], T]) -> T:
        return await self._ask(Action.READ, asked, parse)

    async def _first_found(self, action: Action, parse: Callable[[Any], T], *asks: Callable[[], Awaitable[Any]]) -> T:
        """What the first of them finds, where a venue keeps the orders that wait for a trigger apart.

        :raises VenueRejected: with ``ORDER_NOT_FOUND`` when none of them does.
        """
        for ask in asks[:-1]:
            try:
                return await self._ask(action, ask(), parse)
            except VenueRejected as refusal:
                if refusal.reason is not Reason.ORDER_NOT_FOUND:
                    raise
        return await self._ask(action, asks[-1](), parse)

    async def _ask(self, action: Action, asked: Awaitable[Any], parse: Callable[[Any], T]) -> T:
        """What ccxt makes of it, read strictly.

        :raises VenueFailure: and nothing else: what ccxt itself raises proves only whether anything had left.
        """
        call = UnderWay(action, in_threads=self._quirks.signs_in_threads)
        token = under_way.set(call)
        try:
            if call.in_threads and isinstance(asked, Coroutine):
                return parse(await in_threads(asked))
            return parse(await asked)
        except VenueFailure as failure:
            raise self._without_secrets(failure) from failure
        except Exception as problem:
            name = type(problem).__name__
            if not call.has_sent:
                raise refused(name) from problem
            raise VenueUnclear(Reason.OTHER, f"the reply could not be read: {name}") from problem
        finally:
            under_way.reset(token)

    def _without_secrets(self, failure: VenueFailure) -> VenueFailure:
        """A venue may repeat what it was sent."""
        if not any(secret in failure.text for secret in self._tools.hidden):
            return failure
        return type(failure)(failure.reason, "a reply that repeats our own credentials")


def done(reply: Any) -> None:
    """That it was taken is in what ``refusal`` did not find."""


def understood(parse: Callable[[], T]) -> T:
    """What ``parse`` makes of several replies together.

    :raises VenueUnclear: they cannot be read.
    """
    try:
        return parse()
    except VenueFailure:
        raise
    except Exception as problem:
        raise VenueUnclear(Reason.OTHER, f"the reply could not be read: {type(problem).__name__}") from problem


class OnAMarket(Protocol):
    @property
    def symbol(self) -> str: ...


M = TypeVar("M", bound=OnAMarket)


def on(instrument: Instrument | None, found: Iterable[M]) -> list[M]:
    """What is on that market: venues take it for a wish."""
    return [thing for thing in found if instrument is None or thing.symbol == instrument.symbol]


def _is_over(outcome: BaseException) -> bool:
    return isinstance(outcome, VenueRejected) and outcome.reason in (
        Reason.ORDER_NOT_FOUND,
        Reason.ORDER_ALREADY_CLOSED,
    )
