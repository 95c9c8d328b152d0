"""One credential's connection to Hyperliquid."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from adapters.base import Grouping, LegOutcome, Submission
from adapters.ccxt_venues.hyperliquid import orders, reads
from adapters.ccxt_venues.hyperliquid import wire as w
from adapters.ccxt_venues.hyperliquid.build import needs_best_price, place_action
from adapters.ccxt_venues.hyperliquid.signing import Signer
from adapters.ccxt_venues.link import Link, before_sending
from adapters.ccxt_venues.markets import Listings
from adapters.ccxt_venues.nonces import Nonces
from adapters.ccxt_venues.refusals import Action, Refusals
from adapters.transport import Request
from normalization.accounts import Balance, Fill, Position
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, MarketSummary, MarkPrice, OrderBook
from normalization.orders import Order, Side
from normalization.venue_failures import Reason, VenueFailure, VenueRejected, VenueUnclear

T = TypeVar("T")

_JSON: Final = {"Content-Type": "application/json"}
_ORDER_ID: Final = re.compile(r"[1-9][0-9]{0,18}")
_encode: Final = msgspec.json.Encoder().encode

# What a request costs of the address's 1,200 a minute.
_LIGHT, _PLAIN, _HEAVY = 2, 20, 60


class HyperliquidSession:
    """``account`` is whose orders they are; ``vault`` the same address where it is not its ``master`` itself."""

    def __init__(
        self,
        *,
        link: Link,
        listings: Listings[reads.Listed],
        signer: Signer,
        account: str,
        master: str,
        vault: str | None,
        nonces: Nonces,
        refusals: Refusals,
        now_ms: Callable[[], int],
    ) -> None:
        self._link = link
        self._listings = listings
        self._signer = signer
        self._account = account
        self._master = master
        self._vault = vault
        self._nonces = nonces
        self._refusals = refusals
        self._now_ms = now_ms

    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        return await self._info(
            {"type": "l2Book", "coin": instrument.venue_symbol},
            lambda body: reads.parse_book(body, instrument, depth),
            _LIGHT,
        )

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return reads.mark_price(await self._context(instrument))

    async def get_candles(self, instrument: Instrument, interval_minutes: int, limit: int) -> Sequence[Candle]:
        interval_ms = interval_minutes * 60_000
        now_ms = self._now_ms()
        request = {
            "coin": instrument.venue_symbol,
            "interval": reads.INTERVALS[interval_minutes],
            "startTime": now_ms - now_ms % interval_ms - (limit - 1) * interval_ms,
            "endTime": now_ms,
        }
        return await self._info(
            {"type": "candleSnapshot", "req": request}, lambda body: reads.parse_candles(body, limit)
        )

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return reads.funding_rate(await self._context(instrument), self._now_ms())

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        listed = await self._listings.get()
        return reads.market_summaries(await self._contexts(), listed.markets)

    async def get_fees(self, instrument: Instrument) -> Fees:
        return await self._of_user("userFees", reads.parse_fees)

    async def get_balance(self) -> Balance:
        return await self._of_user("clearinghouseState", reads.parse_balance, _LIGHT)

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        markets = (await self._listings.get()).markets
        found = await self._of_user("clearinghouseState", lambda body: reads.parse_positions(body, markets), _LIGHT)
        return [p for p in found if instrument is None or p.symbol == instrument.symbol]

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        markets = (await self._listings.get()).markets
        found = await self._of_user("frontendOpenOrders", lambda body: orders.parse_open_orders(body, markets))
        return [order for order in found if instrument is None or order.symbol == instrument.symbol]

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        fills = await self._of_user("userFills", orders.parse_fills)
        own = [reads.fill_of(fill, instrument) for fill in fills if fill.coin == instrument.venue_symbol]
        return sorted(own, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        order = await self._order(int(order_id)) if _ORDER_ID.fullmatch(order_id) else None
        if order is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "hyperliquid has no order of that id on this account")
        return order

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        return await self._order(client_id)

    async def test(self) -> Sequence[str]:
        role = await self._info({"type": "userRole", "user": self._signer.address}, _role, _HEAVY)
        owner = str(role.data.get("user", "")).lower()
        acts_for = {self._account, self._master}
        if role.role == "agent" and owner in acts_for:
            return await self._agent_warnings(owner)
        if role.role in ("user", "vault", "subAccount") and self._signer.address in acts_for:
            return ["This is the account's own key: it can withdraw everything. Approve an API wallet and use its key."]
        raise VenueRejected(
            Reason.AUTHENTICATION_FAILED, "this key is not, or no longer, an approved API wallet of the account"
        )

    async def place_order(self, submission: Submission) -> Order:
        (outcome,) = await self.place_orders([submission], Grouping.NONE)
        if isinstance(outcome, VenueFailure):
            raise outcome
        return outcome

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        listed = await before_sending(self._listings.get())
        best_prices = await self._best_prices(submissions)
        action = place_action(submissions, listed.asset, best_prices, grouping)
        placed = await self._exchange(
            Action.PLACE,
            action,
            lambda body: orders.parse_placed(body, submissions, self._refusals, self._now_ms()),
            weight=1 + len(submissions) // 40,
            expires_at_ms=min(submission.valid_until_ms for submission in submissions),
        )
        return [
            await self._identified(submission) if isinstance(leg, orders.AcceptedWithoutId) else leg
            for leg, submission in zip(placed, submissions, strict=True)
        ]

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        if instrument is None or not _ORDER_ID.fullmatch(order_id):
            symbol = (await self.get_order(order_id, instrument)).symbol
        else:
            symbol = instrument.symbol
        asset = (await self._listings.get()).asset(symbol)
        await self._do(Action.CANCEL, w.CancelAction((w.CancelWire(asset, int(order_id)),)), kind="cancel")

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        asset = (await self._listings.get()).asset(instrument.symbol)
        await self._do(Action.CANCEL, w.CancelByCloidAction((w.CloidWire(asset, client_id),)), kind="cancel")

    async def cancel_all(self, instrument: Instrument) -> None:
        asset = (await self._listings.get()).asset(instrument.symbol)
        open_orders = await self.get_open_orders(instrument)
        if not open_orders:
            return
        cancels = tuple(w.CancelWire(asset, int(order.order_id)) for order in open_orders)
        await self._exchange(Action.CANCEL, w.CancelAction(cancels), self._all_canceled)

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        asset = (await self._listings.get()).asset(instrument.symbol)
        # The same action also chooses between cross and isolated margin: that is left as it is.
        present = await self._of_user("activeAssetData", _leverage, _PLAIN, coin=instrument.venue_symbol)
        action = w.LeverageAction(asset, present.type == "cross", leverage)
        await self._do(Action.SET, action, kind="default")

    async def close(self) -> None:
        """The connections are everybody's."""

    async def _identified(self, submission: Submission) -> LegOutcome:
        try:
            order = await self._order(submission.client_id)
        except VenueFailure as failure:
            return VenueUnclear(failure.reason, f"accepted, but not under which id: {failure.text}")
        return order or VenueUnclear(Reason.OTHER, "accepted, but not under which id")

    async def _best_prices(self, submissions: Sequence[Submission]) -> dict[tuple[str, Side], Decimal]:
        """The best opposite price of every market on which a market order is to be placed."""
        wanted = {(s.intent.symbol, s.intent.side): s.instrument for s in submissions if needs_best_price(s.intent)}
        if not wanted:
            return {}
        books = await before_sending(
            asyncio.gather(*(self.get_orderbook(instrument, 1) for instrument in wanted.values()))
        )
        best: dict[tuple[str, Side], Decimal] = {}
        for (symbol, side), book in zip(wanted, books, strict=True):
            levels = book.asks if side is Side.BUY else book.bids
            if not levels:
                raise VenueRejected(Reason.NO_LIQUIDITY, "nothing was sent: nobody is on the other side of the book")
            best[symbol, side] = levels[0].price
        return best

    async def _order(self, oid: int | str) -> Order | None:
        markets = (await self._listings.get()).markets
        order = await self._of_user(
            "orderStatus", lambda body: orders.parse_order_status(body, markets), _LIGHT, oid=oid
        )
        if order is None or not order.filled_size:
            return order
        try:
            fills = await self._of_user("userFillsByTime", orders.parse_fills, startTime=order.created_at_ms)
        except VenueFailure:
            # How much was filled is known; at which price can be asked again.
            return order
        return orders.with_fills(order, fills)

    async def _context(self, instrument: Instrument) -> w.AssetContext:
        try:
            return (await self._contexts())[instrument.venue_symbol]
        except KeyError:
            raise VenueRejected(Reason.MARKET_CLOSED, "hyperliquid no longer lists this market") from None

    async def _contexts(self) -> dict[str, w.AssetContext]:
        return await self._info({"type": "metaAndAssetCtxs"}, reads.parse_contexts)

    async def _agent_warnings(self, owner: str) -> list[str]:
        agents = await self._info({"type": "extraAgents", "user": owner}, _agents)
        left_ms = [a.valid_until - self._now_ms() for a in agents if a.address.lower() == self._signer.address]
        warnings = [f"This API wallet expires in {ms // 86_400_000} days." for ms in left_ms if ms < 7 * 86_400_000]
        mode = await self._info({"type": "userAbstraction", "user": self._account}, _text)
        if mode in ("unifiedAccount", "portfolioMargin"):
            warnings.append("The account holds its collateral on spot: getBalance tells of its perpetuals only.")
        return warnings

    async def _of_user(self, kind: str, parse: Callable[[bytes], T], weight: int = _PLAIN, **more: str | int) -> T:
        return await self._info({"type": kind, "user": self._account, **more}, parse, weight)

    async def _info(self, query: dict[str, Any], parse: Callable[[bytes], T], weight: int = _PLAIN) -> T:
        request = Request(method="POST", url="/info", headers=_JSON, body=_encode(query))
        return await self._link.ask(Action.READ, request, parse, weight=weight)

    async def _do(self, action: Action, signed: w.Action, *, kind: str) -> None:
        await self._exchange(action, signed, lambda body: orders.parse_done(body, action, self._refusals, kind=kind))

    async def _exchange(
        self,
        action: Action,
        content: w.Action,
        parse: Callable[[bytes], T],
        *,
        weight: int = 1,
        expires_at_ms: int | None = None,
    ) -> T:
        nonce = await self._nonces.take(self._signer.address)
        signed = self._signer.sign(content, nonce, vault=self._vault, expires_at_ms=expires_at_ms)
        request = Request(method="POST", url="/exchange", headers=_JSON, body=_encode(signed))
        return await self._link.ask(action, request, parse, weight=weight)

    def _all_canceled(self, body: bytes) -> None:
        """An order that was gone before its cancel came is no failure."""
        for status in orders.parse_statuses(body, Action.CANCEL, self._refusals, kind="cancel"):
            if isinstance(status, w.LegStatus) and status.error is not None:
                failure = self._refusals.judge(Action.CANCEL, message=status.error)
                if failure.reason is not Reason.ORDER_NOT_FOUND:
                    raise failure
            elif status != "success":
                raise ValueError("a status that is not known")


_role: Final = msgspec.json.Decoder(w.UserRole).decode
_text: Final = msgspec.json.Decoder(str).decode
_agents: Final = msgspec.json.Decoder(list[w.ExtraAgent]).decode
_active: Final = msgspec.json.Decoder(w.ActiveAsset).decode


def _leverage(body: bytes) -> w.LeverageWire:
    return _active(body).leverage
