"""One credential at Milo: the common operations over its partner API, and that API itself.

Milo knows no client order ids and no time after which it would not take a request any more. So nobody can prove that an
order is not there, nor which of two that look alike is ours: ``find_alike`` names what looks like it, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, ParamSpec, TypeVar

from msgspec import UNSET

from adapters.base import Grouping, LegOutcome, Submission
from adapters.ccxt_venues.link import before_sending
from adapters.milo import orders, reads
from adapters.milo.api import Query
from adapters.milo.client import MiloClient
from adapters.milo.endpoints import (
    CLOSE_POSITION,
    CREATE_ORDER,
    DELETE_ORDER,
    GET_HOLDINGS,
    GET_ORDER,
    GET_TRADES,
    LIST_ORDERS,
    LIST_POSITIONS,
    Endpoint,
)
from adapters.milo.trading import NewOrder, OrderLine
from adapters.milo.trading import Position as Thesis
from adapters.milo.wire import Paged, at_ms
from normalization.accounts import Balance, Fill, Position
from normalization.errors import UnsupportedOperation
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, MarketSummary, MarkPrice, OrderBook
from normalization.orders import Order, OrderIntent, Side
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueFailure,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)

T = TypeVar("T")
P = ParamSpec("P")

PER_PAGE: Final = 100
MOST_PAGES: Final = 100
PER_CURSOR: Final = 200
_ACTIVE: Final = ("active", "pending")


class MiloSession:
    """What Milo cannot do is not in its capabilities, and so is never asked of a session."""

    def __init__(self, client: MiloClient) -> None:
        self._client = client

    @property
    def partner_api(self) -> MiloClient:
        return self._client

    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        raise NotImplementedError

    async def get_candles(self, instrument: Instrument, interval_minutes: int, limit: int) -> Sequence[Candle]:
        raise NotImplementedError

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        raise NotImplementedError

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        raise NotImplementedError

    async def get_fees(self, instrument: Instrument) -> Fees:
        raise NotImplementedError

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        raise NotImplementedError

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        """:raises UnsupportedOperation: the wallet holds none of it: Milo tells prices with holdings only."""
        holdings = (await self._client.ask(GET_HOLDINGS)).data
        price = _read(reads.price_in, holdings, instrument.venue_symbol)
        if price is None:
            raise UnsupportedOperation(
                f"Milo tells the price of what the wallet holds, and it holds no {instrument.base}. "
                "Ask a credential of another exchange.",
                details={"exchange": instrument.exchange, "market": instrument.symbol},
            )
        return MarkPrice(mark_price=price, index_price=None)

    async def get_balance(self) -> Balance:
        holdings = (await self._client.ask(GET_HOLDINGS)).data
        return _read(reads.balance_of, holdings)

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        theses = await self._theses("active")
        found = [_read(reads.position_of, thesis) for thesis in theses]
        return [one for one in found if one is not None and (instrument is None or one.symbol == instrument.symbol)]

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        lines: list[OrderLine] = []
        for status in orders.OPEN_STATUSES:
            lines += await self._lines(status=status, tokenAddress=instrument.venue_symbol if instrument else None)
        return orders.newest_first(await self._orders(lines))

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        fills: list[Fill] = []
        cursor = None
        while len(fills) < limit:
            query = {
                "limit": min(limit - len(fills), PER_CURSOR),
                "cursor": cursor,
                "token": instrument.venue_symbol,
            }
            page = await self._client.ask(GET_TRADES, query=query)
            fills += [_read(reads.fill_of, trade) for trade in page.data]
            cursor = page.next_cursor
            if cursor is None or not page.data:
                break
        return fills

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        try:
            line = (await self._client.ask(GET_ORDER, ids={"orderId": order_id})).data
        except VenueRejected as refusal:
            raise _about_an_order(refusal) from refusal
        found = await self._orders([line])
        if not found:
            raise VenueUnclear(Reason.OTHER, "the order is for a token that is no market here: miloGetOrder shows it")
        return found[0]

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        raise _no_client_ids()

    async def find_alike(
        self, intent: OrderIntent, instrument: Instrument, since_ms: int, until_ms: int
    ) -> Sequence[Order]:
        kind = "buy" if intent.side is Side.BUY else "sell"
        query: Query = {"tokenAddress": instrument.venue_symbol, "type": kind, "pageSize": PER_PAGE}
        lines = [
            line
            for line in (await self._client.ask(LIST_ORDERS, query=query)).data
            if line.created_at is not UNSET and since_ms <= _read(at_ms, line.created_at) <= until_ms
        ]
        by_id = {line.id: line for line in lines}
        return [order for order in await self._orders(lines) if orders.looks_like(order, by_id[order.order_id], intent)]

    async def test(self) -> Sequence[str]:
        await self._client.profile()
        return ["This key can also send tokens away: miloSendTokens, which no key of the gateway may use unless named"]

    async def place_order(self, submission: Submission) -> Order:
        orders.refuse_what_cannot_be(submission.intent)
        new = await before_sending(self._planned(submission, orders.new_order))
        return await self._create(new, submission)

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        """One after the other. Both of a protection are checked before the first is sent."""
        build = orders.protection if grouping is Grouping.ONE_CANCELS_OTHER else orders.new_order
        planned: list[NewOrder] = []
        for submission in submissions:
            orders.refuse_what_cannot_be(submission.intent)
            planned.append(await before_sending(self._planned(submission, build)))
        outcomes: list[LegOutcome] = []
        for new, submission in zip(planned, submissions, strict=True):
            try:
                outcomes.append(await self._create(new, submission))
            except VenueFailure as failure:
                outcomes.append(failure)
        return outcomes

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        try:
            await self._client.ask(DELETE_ORDER, ids={"orderId": order_id})
        except VenueRejected as refusal:
            raise _about_an_order(refusal) from refusal

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        raise _no_client_ids()

    async def cancel_all(self, instrument: Instrument) -> None:
        """:raises VenueUnclear: some were canceled, and then something went wrong."""
        canceled = 0
        open_orders = await self.get_open_orders(instrument)
        for order in open_orders:
            try:
                await self.cancel_order(order.order_id, instrument)
            except VenueRejected as refusal:
                # It closed by itself, or with the order that it hung on.
                if refusal.reason not in (Reason.ORDER_ALREADY_CLOSED, Reason.ORDER_NOT_FOUND):
                    raise
            except (VenueDeferred, VenueNotReached) as failure:
                if not canceled:
                    raise
                text = f"{canceled} of {len(open_orders)} orders were canceled, then: {failure.text}"
                raise VenueUnclear(failure.reason, text, retry_after_s=failure.retry_after_s) from failure
            canceled += 1

    async def close_positions(self, instrument: Instrument) -> None:
        """Milo's own close of every position in a token: what waits of it is canceled, what is left is sold."""
        for thesis in await self._theses(*_ACTIVE):
            if thesis.token_address == instrument.venue_symbol:
                await self._client.ask(CLOSE_POSITION, ids={"thesisId": thesis.thesis_id})

    async def close(self) -> None:
        """The connections are the process's."""

    async def _planned(
        self, submission: Submission, build: Callable[[Submission, Thesis | None], NewOrder]
    ) -> NewOrder:
        await self._client.own_ids()
        position = None
        if submission.intent.side is Side.SELL:
            mint = submission.instrument.venue_symbol
            held = [thesis for thesis in await self._theses("active") if thesis.token_address == mint]
            position = held[0] if held else None
        return _read(build, submission, position)

    async def _create(self, new: NewOrder, submission: Submission) -> Order:
        created = (await self._client.ask(CREATE_ORDER, body=new)).data.data
        return _read(orders.acknowledged, created, submission)

    async def _orders(self, lines: Sequence[OrderLine]) -> list[Order]:
        """Those that are for markets here. A share of a position takes a look at the positions."""
        theses: Mapping[str, Thesis] = {}
        if any(orders.is_share(line) and not line.fill for line in lines):
            theses = {thesis.thesis_id: thesis for thesis in await self._theses("active")}
        others = {line.id: line for line in lines}
        found = (_read(orders.order_of, line, theses, others) for line in lines)
        return [order for order in found if order is not None]

    async def _lines(self, **query: str | None) -> list[OrderLine]:
        return await self._pages(LIST_ORDERS, query)

    async def _theses(self, *statuses: str) -> list[Thesis]:
        found: list[Thesis] = []
        for status in statuses:
            found += await self._pages(LIST_POSITIONS, {"status": status})
        return found

    async def _pages(self, endpoint: Endpoint[Paged[list[T]]], query: Mapping[str, str | None]) -> list[T]:
        """Every page.

        :raises VenueUnclear: there are more than Milo shows.
        """
        found: list[T] = []
        for number in range(1, MOST_PAGES + 1):
            page = await self._client.ask(endpoint, query={**query, "page": number, "pageSize": PER_PAGE})
            found += page.data
            if number >= page.meta.pages:
                return found
        raise VenueUnclear(Reason.OTHER, "there are more than Milo shows")


def _read(parse: Callable[P, T], *told: P.args, **more: P.kwargs) -> T:
    """:raises VenueUnclear: Milo says it in other words than the ones we know."""
    try:
        return parse(*told, **more)
    except (ValueError, LookupError, ArithmeticError) as problem:
        raise VenueUnclear(Reason.OTHER, "Milo's answer is not as it is known here") from problem


def _about_an_order(refusal: VenueRejected) -> VenueRejected:
    if refusal.reason is Reason.NOT_FOUND:
        return VenueRejected(Reason.ORDER_NOT_FOUND, refusal.text)
    return refusal


def _no_client_ids() -> VenueUnclear:
    return VenueUnclear(Reason.OTHER, "Milo keeps no client order ids: it cannot say whether it has this order")
