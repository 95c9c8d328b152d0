"""Derive: JSON-RPC over HTTP, each order an EIP-712 action of a session key.

Its OpenAPI document (version 3) is the source of every shape here. ccxt builds and signs the requests; the replies are
read here, because a trigger order is nowhere to be found where ccxt looks for one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextvars import ContextVar
from decimal import Decimal
from typing import Any, Final

from adapters.base import (
    NATIVE,
    Capabilities,
    Capability,
    CredentialField,
    LeverageScope,
    Network,
    Submission,
    TriggerSource,
)
from adapters.ccxt_venues.bridge import raw, unified
from adapters.ccxt_venues.bridge.quirks import ALL_TIMES_IN_FORCE, Document, Quirks
from adapters.ccxt_venues.bridge.raw import RawSession
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.bridge.session import done
from adapters.ccxt_venues.checks import refused
from adapters.ccxt_venues.hyperliquid.signing import Signer
from adapters.ccxt_venues.numbers import exact, optional, positive
from adapters.ccxt_venues.refusals import Action
from adapters.ccxt_venues.secret_checks import decimal_id, ethereum_address, ethereum_key
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import BPS, ZERO, ceil_to, product, trimmed
from normalization.instruments import Instrument
from normalization.market_data import Fees, FundingRate, Level, MarketSummary, MarkPrice, OrderBook
from normalization.orders import (
    Limit,
    Order,
    OrderStatus,
    OrderType,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import Reason, VenueRejected

CAPABILITIES: Final = Capabilities(
    supports=NATIVE - {Capability.PROTECTION, Capability.LEVERAGE},
    unsupported={
        Capability.PROTECTION: "Place two reduce-only stop orders, and cancel the other when one has filled.",
        Capability.LEVERAGE: "Margin is the subaccount's: choose the leverage by the size of the order.",
    },
    emulated={
        Capability.ORDERBOOK: "the best bid and ask: more of the book is only streamed",
        Capability.FEES: "the market's published rates, without the account's discounts",
    },
    request_expiry=True,
    # The time after which an order is refused would also refuse what a trigger order becomes.
    triggers_expire=False,
    lookup_includes_finished=True,
    trigger_source=TriggerSource.MARK,
    client_id="32 hex digits, as the order's label",
    leverage_scope=LeverageScope.NONE,
    least_privilege="a session key whose only protocol scope is to trade: cannot withdraw",
)

_HOUR_MS: Final = 3_600_000
_PAGE: Final = 500
_PAGES: Final = 10
_LOOK_BACK_MS: Final = 25 * _HOUR_MS
"""How far back an order is looked for among the finished: nobody looks for one of which nothing is known any longer."""

_RESTS_S: Final = 60 * 86_400
"""How long an order rests at the most. The venue takes 30 to 90 days; with all 90 a fast clock asks for too much."""

_FEE_CEILING: Final = 10
"""How many times the published fee is signed as the most that a fill may cost: the venue wants room, and says not how
much."""

_nonce: ContextVar[str] = ContextVar("nonce")

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_STATUSES: Final = {
    "open": OrderStatus.OPEN,
    "untriggered": OrderStatus.PENDING,
    "filled": OrderStatus.FILLED,
    "cancelled": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
_TYPES: Final = {"limit": OrderType.LIMIT, "market": OrderType.MARKET}
_TRIGGERS: Final = {"stoploss": OrderType.STOP, "takeprofit": OrderType.TAKE_PROFIT}


class DeriveSession(RawSession):
    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        return await self._read(self._ticker(instrument), lambda reply: _book_of(reply["result"]))

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return await self._read(
            self._ticker(instrument),
            lambda reply: MarkPrice(
                mark_price=positive(reply["result"]["M"]), index_price=optional(reply["result"]["I"])
            ),
        )

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        """It accrues all the time; the rate is that of an hour."""
        return await self._read(
            self._ticker(instrument),
            lambda reply: FundingRate(
                rate=exact(reply["result"]["f"]), next_funding_ms=(reply["result"]["t"] // _HOUR_MS + 1) * _HOUR_MS
            ),
        )

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        def parse(reply: Document) -> list[MarketSummary]:
            return [
                self._summary(name, ticker)
                for name, ticker in reply["result"]["tickers"].items()
                if self._is_listed(name)
            ]

        return await self._read(self._exchange.publicPostGetTickers({"instrument_type": "perp"}), parse)

    async def get_fees(self, instrument: Instrument) -> Fees:
        market = self._exchange.market(self._theirs(instrument))["info"]
        return Fees(maker_bps=exact(market["maker_fee_rate"]) * BPS, taker_bps=exact(market["taker_fee_rate"]) * BPS)

    async def get_balance(self) -> Balance:
        return await self._read(self._exchange.privatePostGetSubaccount(self._mine()), _balance_of)

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        def parse(reply: Document) -> list[Position]:
            listed = self._on_known_markets(reply["result"]["positions"], "instrument_name")
            return [self._position_of(row) for row in listed if exact(row["amount"])]

        return raw.on(instrument, await self._read(self._exchange.privatePostGetPositions(self._mine()), parse))

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        # In this order: what fires in between is among the open ones, and not missed.
        waiting = await self._orders_in(self._exchange.privatePostGetTriggerOrders(self._mine()))
        resting = await self._orders_in(self._exchange.privatePostGetOpenOrders(self._mine()))
        seen = {order.order_id for order in resting}
        return raw.on(instrument, resting + [order for order in waiting if order.order_id not in seen])

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        wanted = self._mine(instrument_name=self._venue_symbol(instrument), page=1, page_size=limit)
        fills = await self._read(
            self._exchange.privatePostGetTradeHistory(wanted),
            lambda reply: [_fill_of(row, instrument) for row in reply["result"]["trades"]],
        )
        return sorted(fills, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        asked = self._exchange.privatePostGetOrder(self._mine(order_id=self._known(order_id, instrument)))
        order = await self._unless_missing(asked, lambda reply: self._order_of(reply["result"]))
        if order is None:
            # One that has not fired is only in its own list.
            waiting = await self._orders_in(self._exchange.privatePostGetTriggerOrders(self._mine()))
            order = raw.numbered(waiting, order_id)
        if order is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "the venue has no such order")
        return order

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        """By its label, in every list that it may be in; it moves from one to the next in the order of the questions.

        :raises VenueUnclear: there are more finished orders than can be looked through.
        """
        for asked in (self._exchange.privatePostGetTriggerOrders, self._exchange.privatePostGetOpenOrders):
            found = raw.labeled(await self._orders_in(asked(self._mine())), client_id)
            if found is not None:
                return found
        since_ms = self._now_ms() - _LOOK_BACK_MS
        for page in range(1, _PAGES + 1):
            wanted = self._mine(from_timestamp=since_ms, page=page, page_size=_PAGE)
            pages, orders = await self._read(self._exchange.privatePostGetOrderHistory(wanted), self._page)
            found = raw.labeled(orders, client_id)
            if found is not None or page >= pages:
                return found
        raise raw.too_long()

    async def test(self) -> Sequence[str]:
        signer = self._exchange.walletAddress
        if signer.lower() == self._secrets["account_address"].lower():
            await self.get_balance()
            return ["this is the account's own key, which can withdraw: a session key is enough"]
        asked = self._exchange.privatePostSessionKeys({"wallet": self._secrets["account_address"]})
        return await self._read(asked, lambda reply: _warnings_of(reply["result"]["public_session_keys"], signer))

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        known = self._known(order_id, instrument)
        theirs = self._venue_symbol(instrument)
        await self._first_found(
            Action.CANCEL,
            done,
            lambda: self._exchange.privatePostCancel(self._mine(order_id=known, instrument_name=theirs)),
            lambda: self._exchange.privatePostCancelTriggerOrder(self._mine(order_id=known)),
        )

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        wanted = self._mine(label=client_id, instrument_name=self._venue_symbol(instrument))
        canceled = await self._ask(
            Action.CANCEL,
            self._exchange.privatePostCancelByLabel(wanted),
            lambda reply: int(reply["result"]["cancelled_orders"]),
        )
        if canceled:
            return
        waiting = await self._orders_in(self._exchange.privatePostGetTriggerOrders(self._mine()))
        order = raw.labeled(waiting, client_id)
        if order is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "the venue has no open order of that label")
        await self._cancel_trigger(order)

    async def cancel_all(self, instrument: Instrument) -> None:
        wanted = self._mine(instrument_name=self._venue_symbol(instrument))
        await self._ask(Action.CANCEL, self._exchange.privatePostCancelByInstrument(wanted), done)
        for order in await self._orders_in(self._exchange.privatePostGetTriggerOrders(self._mine())):
            if order.symbol == instrument.symbol:
                await self._cancel_trigger(order)

    async def _cancel_trigger(self, order: Order) -> None:
        asked = self._exchange.privatePostCancelTriggerOrder(self._mine(order_id=order.order_id))
        await self._ask(Action.CANCEL, asked, done)

    async def _terms(self, submission: Submission) -> tuple[str, str | None, dict[str, Any]]:
        """With until when it is good, and the most that a fill of it may cost.

        :raises VenueRejected: the venue has no such order; nothing was sent.
        """
        intent = submission.intent
        match intent.execution:
            case PostOnly() | Limit(time_in_force=TimeInForce.GTC) if intent.reduce_only:
                raise refused("a reduce-only order of this venue cannot rest: use IOC, FOK or a market order")
        kind, price, params = await super()._terms(submission)
        market = self._exchange.market(self._theirs(submission.instrument))["info"]
        params["max_fee"] = trimmed(max_fee(market, exact(price or ZERO), intent.size))
        params["nonce"] = nonce(submission)
        params["signature_expiry_sec"] = self._now_ms() // 1000 + _RESTS_S
        if intent.trigger_price is None:
            params["reject_timestamp"] = submission.valid_until_ms
        return kind, price, params

    def _acknowledged(self, order: unified.Structure, submission: Submission) -> Order:
        """:raises ValueError: it is not plainly the order that was sent."""
        found = self._order_of(order["info"])
        if found.client_id != submission.client_id:
            raise ValueError("not the order that was sent")
        return raw.as_sent(found, submission)

    def _mine(self, **wanted: Any) -> dict[str, Any]:
        return {"subaccount_id": int(self._secrets["subaccount_id"]), **wanted}

    def _ticker(self, instrument: Instrument) -> Awaitable[Any]:
        asked: Awaitable[Any] = self._exchange.publicPostGetTicker({"instrument_name": self._venue_symbol(instrument)})
        return asked

    async def _orders_in(self, asked: Awaitable[Any]) -> list[Order]:
        return await self._read(asked, lambda reply: self._page(reply)[1])

    def _page(self, reply: Document) -> tuple[int, list[Order]]:
        """How many pages there are, and the orders of this one."""
        listed = self._on_known_markets(reply["result"]["orders"], "instrument_name")
        pages = int(reply["result"].get("pagination", {"num_pages": 1})["num_pages"])
        return pages, [self._order_of(row) for row in listed if row.get("algo_type") is None]

    def _summary(self, name: str, ticker: Document) -> MarketSummary:
        mark = positive(ticker["M"])
        return MarketSummary(
            symbol=self._instrument(name).symbol,
            mark_price=mark,
            funding_rate=exact(ticker["f"]),
            open_interest=product(exact(ticker["stats"]["oi"]), mark),
        )

    def _position_of(self, row: Document) -> Position:
        instrument = self._instrument(row["instrument_name"])
        return raw.position(
            instrument,
            signed_size=exact(row["amount"]),
            entry_price=positive(row["average_price"]),
            mark_price=positive(row["mark_price"]),
            leverage=int(optional(row["leverage"]) or instrument.max_leverage),
            liquidation_price=optional(row["liquidation_price"]),
            unrealized_pnl=exact(row["unrealized_pnl"]),
        )

    def _order_of(self, row: Document) -> Order:
        size, filled, trigger = positive(row["amount"]), exact(row["filled_amount"]), row["trigger_type"]
        kind = _TYPES[row["order_type"]] if trigger is None else _TRIGGERS[trigger]
        return Order(
            order_id=raw.number(row["order_id"]),
            client_id=row["label"] or None,
            symbol=self._instrument(row["instrument_name"]).symbol,
            side=_SIDES[row["direction"]],
            type=kind,
            size=size,
            filled_size=filled,
            price=positive(row["limit_price"]) if kind is OrderType.LIMIT else None,
            trigger_price=optional(row["trigger_price"]),
            average_price=positive(row["average_price"]) if filled else None,
            fee=exact(row["order_fee"]) if filled else None,
            status=raw.checked(_STATUSES[row["order_status"]], filled, size),
            created_at_ms=int(row["creation_timestamp"]),
        )


def nonce(submission: Submission) -> str:
    """Nanoseconds of the epoch, to the venue. The venue takes each once: so the same submission cannot be doubled."""
    return f"{submission.valid_until_ms}{int(submission.client_id, 16) % 1_000_000:06d}"


def max_fee(market: Document, price: Decimal, size: Decimal) -> Decimal:
    """The most that one unit may cost in fees, to be signed: a share of its price, and of what each order costs."""
    usual = exact(market["taker_fee_rate"]) * price + exact(market["base_fee"]) / size
    return ceil_to(_FEE_CEILING * usual, Decimal("0.000001"))


def _book_of(ticker: Document) -> OrderBook:
    """Zero is how it says that a side is empty."""
    bids, asks = (
        (Level(positive(ticker[price]), positive(ticker[size])),) if exact(ticker[price]) else ()
        for price, size in (("b", "B"), ("a", "A"))
    )
    return OrderBook(bids=bids, asks=asks)


def _balance_of(reply: Document) -> Balance:
    """Margin that is needed is negative there."""
    result = reply["result"]
    equity = exact(result["subaccount_value"])
    free = exact(result["initial_margin"]) + exact(result["open_orders_margin"])
    return Balance(equity=equity, free_collateral=max(free, ZERO), account_value=equity)


def _fill_of(row: Document, instrument: Instrument) -> Fill:
    return Fill(
        fill_id=raw.number(row["trade_id"]),
        order_id=raw.number(row["order_id"]),
        symbol=instrument.symbol,
        side=_SIDES[row["direction"]],
        size=positive(row["trade_amount"]),
        price=positive(row["trade_price"]),
        fee=exact(row["trade_fee"]),
        at_ms=int(row["timestamp"]),
    )


def _warnings_of(keys: Sequence[Document], signer: str) -> list[str]:
    """:raises StopIteration: the list has not the key that signed the question."""
    (key,) = (key for key in keys if key["public_session_key"].lower() == signer.lower())
    more = sorted(scope for scope in key["protocol_scopes"] if "trade" not in scope.lower())
    return [f"this session key may do more than trade: {', '.join(more)}"] if more else []


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    if not secrets:
        return {}
    key = "0x" + secrets["private_key"].removeprefix("0x").lower()
    return {
        "privateKey": key,
        "walletAddress": Signer(key, mainnet=True).address,
        "options": {
            "deriveWalletAddress": secrets["account_address"],
            "subaccount_id": int(secrets["subaccount_id"]),
        },
    }


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict) or "code" not in error:
        return None
    return str(error["code"]), ": ".join(str(error[name]) for name in ("message", "data") if error.get(name))


def _is_shaped(path: str, document: Document) -> bool:
    return isinstance(document, dict) and "error" not in document and document.get("result") is not None


def _trigger(side: Side, execution: Stop | TakeProfit) -> dict[str, Any]:
    name = "stopLossPrice" if isinstance(execution, Stop) else "takeProfitPrice"
    return {name: trimmed(execution.trigger_price)}


def _tame(base: Any) -> Any:
    class Derive(base):  # type: ignore[misc]  # its base is only known at run time
        async def fetch_markets(self, params: Any = None) -> Any:
            """Perpetuals only: of options there are thousands."""
            return await self.fetch_swap_markets()

        def parse_market(self, market: Document) -> Any:
            listed = super().parse_market(market)
            if listed is not None and market.get("perp_details"):
                margin = market["perp_details"].get("srm_perp_margin_requirements") or {}
                listed["limits"]["leverage"]["max"] = margin.get("max_leverage")
            return listed

        async def create_order(self, *order: Any) -> Any:
            """Signed over the caller's nonce, not one that ccxt takes by chance."""
            token = _nonce.set(order[-1]["nonce"])
            try:
                return await super().create_order(*order)
            finally:
                _nonce.reset(token)

        def nonce_string(self) -> str:
            return _nonce.get()

        def sign(self, path: str, api: Any = None, method: str = "GET", params: Any = None) -> Any:
            """Without ccxt's referral code: what a user pays is nobody's commission."""
            own = {name: value for name, value in (params or {}).items() if name != "referral_code"}
            return super().sign(path, api or ["public"], method, own)

    return Derive


_API: Final = {Network.MAINNET: "https://api.derive.xyz/v3", Network.TESTNET: "https://testnet.api.derive.xyz/v3"}

QUIRKS: Final = Quirks(
    ccxt_id="derive",
    urls={network: {"public": f"{url}/public", "private": f"{url}/private"} for network, url in _API.items()},
    config=_config,
    tame=_tame,
    limit=ALL_TIMES_IN_FORCE,
    post_only={"postOnly": True},
    reduce_only={"reduceOnly": True},
    trigger=_trigger,
    triggered_slippage_bps=500,
    order_ids="[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    refusal=_refusal,
    is_shaped=_is_shaped,
    balance=_balance_of,
    weight_per_minute=600,
)

DERIVE: Final = bridged(
    "derive",
    quirks=QUIRKS,
    capabilities=CAPABILITIES,
    credential_fields=(
        CredentialField(
            name="account_address",
            description="Address of the wallet that owns the subaccount",
            secret=False,
            check=ethereum_address,
        ),
        CredentialField(
            name="subaccount_id", description="Number of the subaccount that trades", secret=False, check=decimal_id
        ),
        CredentialField(
            name="private_key",
            description="Private key of a session key registered for the account, with no scope but trading",
            check=ethereum_key,
        ),
    ),
    client_id=lambda token: token.hex(),
    describe=lambda secrets: secrets.get("account_address", ""),
    session=DeriveSession,
)
