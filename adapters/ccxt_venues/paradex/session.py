"""One credential's connection to Paradex."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeVar

from adapters.base import Grouping, LegOutcome, Submission
from adapters.ccxt_venues.link import before_sending
from adapters.ccxt_venues.markets import Listings
from adapters.ccxt_venues.nonces import Nonces
from adapters.ccxt_venues.paradex import orders, reads
from adapters.ccxt_venues.paradex import wire as w
from adapters.ccxt_venues.paradex.build import signed_order
from adapters.ccxt_venues.paradex.client import Client
from adapters.ccxt_venues.paradex.orders import Reported
from adapters.ccxt_venues.paradex.signing import Signer, account_address
from adapters.ccxt_venues.refusals import Refusals
from normalization.accounts import Balance, Fill, Position
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, MarketSummary, MarkPrice, OrderBook
from normalization.orders import Market, Order, Side
from normalization.resolver import Markets
from normalization.venue_failures import Reason, VenueFailure, VenueRejected

T = TypeVar("T")

_ORDER_ID: Final = re.compile(r"[0-9]{1,40}")
_HISTORY: Final = 500
_CANDLES_AT_ONCE: Final = 1_000

# The venue checks margin and matches after it has answered: how long to wait for what it finds.
_SETTLING_S: Final = (0.0, 0.1)


class ParadexSession:
    """``signing`` is held for each signature, by all sessions of the venue."""

    def __init__(
        self,
        *,
        client: Client,
        listings: Listings[reads.Listed],
        signer: Signer,
        account: str,
        nonces: Nonces,
        refusals: Refusals,
        signing: asyncio.Lock,
        now_ms: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._client = client
        self._listings = listings
        self._signer = signer
        self._account = account
        self._nonces = nonces
        self._refusals = refusals
        self._signing = signing
        self._now_ms = now_ms
        self._sleep = sleep

    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        path = f"/v1/orderbook/{instrument.venue_symbol}"
        return await self._client.public(path, lambda body: reads.parse_book(body, instrument, depth), {"depth": depth})

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return await self._summary(instrument.venue_symbol, lambda body: reads.parse_mark(body, instrument))

    async def get_candles(self, instrument: Instrument, interval_minutes: int, limit: int) -> Sequence[Candle]:
        """Longer intervals than an hour are put together of hours: the venue has none."""
        minutes = next(m for m in reads.RESOLUTIONS if interval_minutes % m == 0)
        interval_ms, now_ms = interval_minutes * 60_000, self._now_ms()
        start_ms = now_ms - now_ms % interval_ms - (limit - 1) * interval_ms
        page_ms = minutes * 60_000 * _CANDLES_AT_ONCE
        pages = await asyncio.gather(
            *(
                self._client.public(
                    "/v1/markets/klines",
                    reads.parse_candles,
                    {
                        "symbol": instrument.venue_symbol,
                        "resolution": minutes,
                        "start_at": first_ms,
                        "end_at": min(first_ms + page_ms - 1, now_ms),
                    },
                )
                for first_ms in range(start_ms, now_ms + 1, page_ms)
            )
        )
        unique = {candle.opened_at_ms: candle for page in pages for candle in page if candle.opened_at_ms >= start_ms}
        return reads.merged([unique[at_ms] for at_ms in sorted(unique)], interval_ms)[-limit:]

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        hours = (await self._listings.get()).funding_hours[instrument.symbol]
        return await self._summary(
            instrument.venue_symbol, lambda body: reads.parse_funding(body, instrument, hours, self._now_ms())
        )

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        markets = await self._markets()
        return await self._summary("ALL", lambda body: reads.parse_market_summaries(body, markets))

    async def get_fees(self, instrument: Instrument) -> Fees:
        listed = await self._listings.get()
        fees: Fees | None
        try:
            fees = await self._client.get(
                "/v1/account/info", lambda body: reads.parse_account_fees(body, self._account)
            )
        except VenueRejected:
            fees = None
        fees = fees or listed.fees.get(instrument.symbol)
        if fees is None:
            raise VenueRejected(Reason.OTHER, "paradex does not say what this account pays on this market")
        return fees

    async def get_balance(self) -> Balance:
        return await self._client.get("/v1/account", reads.parse_balance)

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        markets = await self._markets()
        found = await self._client.get("/v1/positions", lambda body: reads.parse_positions(body, markets))
        wanted = [p for p in found if instrument is None or p.market == instrument.venue_symbol]
        return await asyncio.gather(*(self._position(position, markets) for position in wanted))

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        query = _on(instrument)
        return [reported.order for reported in await self._reports("/v1/orders", query)]

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        fills = await self._fills(instrument, limit)
        own = [reads.fill_of(fill, instrument) for fill in fills if fill.market == instrument.venue_symbol]
        return own[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        reported = await self._by_id(order_id, instrument) if _ORDER_ID.fullmatch(order_id) else None
        if reported is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "paradex has no order of that id on this account")
        return await self._with_fills(reported.order)

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        """Among the open ones, then among all there ever were: an order that closes in between is in both."""
        path = f"/v1/orders/by_client_id/{client_id}"
        reported = await self._one(path)
        if reported is None or reported.order.client_id != client_id:
            past = await self._reports(
                "/v1/orders-history", {"client_id": client_id, "page_size": 10, **_on(instrument)}
            )
            reported = next((r for r in past if r.order.client_id == client_id), None)
        return None if reported is None else await self._with_fills(reported.order)

    async def test(self) -> Sequence[str]:
        account = await self._client.get("/v1/account", reads.parse_account)
        warnings = [f"The account is in state {account.status[:40]}."] if account.status not in ("", "ACTIVE") else []
        config = (await self._listings.get()).config
        classes = (int(config.paraclear_account_hash, 16), int(config.paraclear_account_proxy_hash, 16))
        if account_address(self._signer.public_key, *classes) == int(self._account, 16):
            warnings.append("This is the account's main key: it can withdraw everything. Register a subkey and use it.")
        return warnings

    async def place_order(self, submission: Submission) -> Order:
        (wire,), token = await self._signed([submission], Grouping.NONE)
        markets = await self._markets()
        reported = await self._client.place(
            "/v1/orders", wire, token, lambda body: orders.parse_placed(body, submission, markets, self._refusals)
        )
        outcome = (await self._settled(reported)).outcome(submission)
        if isinstance(outcome, VenueFailure):
            raise outcome
        return outcome

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        wires, token = await self._signed(submissions, grouping)
        markets = await self._markets()
        legs = await self._client.place(
            "/v1/orders/batch",
            wires,
            token,
            lambda body: orders.parse_batch(body, submissions, markets, self._refusals),
        )
        settled = await self._all_settled([leg for leg in legs if isinstance(leg, Reported) and not leg.settled])
        verdicts = {reported.order.client_id: reported for reported in settled}
        return [
            verdicts.get(leg.order.client_id, leg).outcome(submission) if isinstance(leg, Reported) else leg
            for leg, submission in zip(legs, submissions, strict=True)
        ]

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        if not _ORDER_ID.fullmatch(order_id):
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "paradex has no order of that id on this account")
        await self._client.delete(f"/v1/orders/{order_id}")

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        await self._client.delete(f"/v1/orders/by_client_id/{client_id}", {"market": instrument.venue_symbol})

    async def cancel_all(self, instrument: Instrument) -> None:
        await self._client.delete("/v1/orders", {"market": instrument.venue_symbol})

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        # The same request also chooses between cross and isolated margin: that is left as it is.
        present = await self._margin(instrument)
        content = {"leverage": leverage, "margin_type": present.margin_type if present else "CROSS"}
        await self._client.set(f"/v1/account/margin/{instrument.venue_symbol}", content)

    async def close(self) -> None:
        await self._client.tokens.close()

    async def _markets(self) -> Markets:
        return (await self._listings.get()).markets

    async def _signed(self, submissions: Sequence[Submission], grouping: Grouping) -> tuple[Sequence[w.OrderWire], str]:
        """The orders as they go out, and the token to send them with.

        A signature takes most of a millisecond, and in a thread half as much again: between any two of this venue,
        whoever wants them, everybody else has a turn.
        """
        token = await before_sending(self._client.tokens.get())
        best_prices = await self._best_prices(submissions)
        wires: list[w.OrderWire] = []
        for submission in submissions:
            async with self._signing:
                timestamp_ms = await self._nonces.take(self._account)
                wires.append(signed_order(submission, timestamp_ms, best_prices, grouping, self._signer))
                await asyncio.sleep(0)
        return wires, token

    async def _best_prices(self, submissions: Sequence[Submission]) -> dict[tuple[str, Side], Decimal]:
        """The best opposite price of every market on which a market order is to be placed."""
        wanted = {s.instrument.symbol: s.instrument for s in submissions if isinstance(s.intent.execution, Market)}
        if not wanted:
            return {}
        told = await before_sending(asyncio.gather(*(self._best(instrument) for instrument in wanted.values())))
        best: dict[tuple[str, Side], Decimal] = {}
        for symbol, prices in zip(wanted, told, strict=True):
            best.update({(symbol, side): price for side, price in prices.items() if price})
        for submission in submissions:
            intent = submission.intent
            if isinstance(intent.execution, Market) and (intent.symbol, intent.side) not in best:
                raise VenueRejected(Reason.NO_LIQUIDITY, "nothing was sent: nobody is on the other side of the book")
        return best

    async def _best(self, instrument: Instrument) -> dict[Side, Decimal | None]:
        return await self._client.public(
            f"/v1/bbo/{instrument.venue_symbol}", lambda body: reads.parse_best(body, instrument), {}
        )

    async def _settled(self, reported: Reported) -> Reported:
        """What the venue made of an order that it had only queued, as far as it says so within a moment."""
        for pause_s in _SETTLING_S:
            if reported.settled or not self._client.has_reads_to_spare():
                break
            if pause_s:
                await self._sleep(pause_s)
            try:
                reported = await self._by_id(reported.order.order_id, None) or reported
            except VenueFailure:
                # It was accepted: that nobody says more just now takes nothing of it back.
                break
        return reported

    async def _all_settled(self, several: Sequence[Reported]) -> Sequence[Reported]:
        """The same of several at once; others have a turn before each is asked for."""
        asking = []
        for reported in several:
            asking.append(asyncio.create_task(self._settled(reported)))
            await asyncio.sleep(0)
        return await asyncio.gather(*asking)

    async def _one(self, path: str) -> Reported | None:
        """An order that is open or closed a short while ago; None where the venue says that there is none."""
        markets = await self._markets()
        try:
            return await self._client.get(path, lambda body: orders.parse_order(body, markets, self._refusals))
        except VenueRejected as refusal:
            if refusal.reason is not Reason.ORDER_NOT_FOUND:
                raise
            return None

    async def _by_id(self, order_id: str, instrument: Instrument | None) -> Reported | None:
        reported = await self._one(f"/v1/orders/{order_id}")
        if reported is not None:
            return reported
        past = await self._reports("/v1/orders-history", {"page_size": _HISTORY, **_on(instrument)})
        return next((r for r in past if r.order.order_id == order_id), None)

    async def _reports(self, path: str, query: Mapping[str, str | int]) -> list[Reported]:
        markets = await self._markets()
        return await self._client.get(path, lambda body: orders.parse_orders(body, markets, self._refusals), query)

    async def _with_fills(self, order: Order) -> Order:
        if not order.filled_size:
            return order
        instrument = (await self._markets()).resolve(order.symbol)
        try:
            return orders.with_fills(order, await self._fills(instrument, 100))
        except VenueFailure:
            # How much was filled is known; what it cost can be asked again.
            return order

    async def _fills(self, instrument: Instrument, limit: int) -> list[w.FillWire]:
        return await self._client.get("/v1/fills", orders.parse_fills, {"page_size": limit, **_on(instrument)})

    async def _position(self, position: w.PositionWire, markets: Markets) -> Position:
        instrument = markets.with_venue_symbol(position.market)
        mark = await self.get_mark_price(instrument)
        if position.leverage:
            leverage = int(Decimal(position.leverage))
        else:
            config = await self._margin(instrument)
            leverage = config.leverage if config else instrument.max_leverage
        return reads.position_of(position, instrument.symbol, mark.mark_price, leverage)

    async def _margin(self, instrument: Instrument) -> w.MarginConfig | None:
        try:
            return await self._client.get(
                "/v1/account/margin",
                lambda body: reads.parse_margin(body, instrument),
                {"market": instrument.venue_symbol},
            )
        except VenueRejected as refusal:
            if refusal.reason is not Reason.ORDER_NOT_FOUND:
                raise
            return None

    async def _summary(self, market: str, parse: Callable[[bytes], T]) -> T:
        return await self._client.public("/v1/markets/summary", parse, {"market": market})


def _on(instrument: Instrument | None) -> dict[str, str | int]:
    return {} if instrument is None else {"market": instrument.venue_symbol}
