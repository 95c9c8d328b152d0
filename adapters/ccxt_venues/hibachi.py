"""Hibachi: orders signed over a packed message, by an ECDSA key or, for an account made by e-mail, an HMAC secret.

Its own documents and its SDK (``hibachi_xyz``) are the source of what ccxt leaves out: client order ids, until when an
order may be created, which way a trigger fires, and how much leverage a market is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from adapters.base import (
    NATIVE,
    Capabilities,
    Capability,
    CredentialField,
    Dedupe,
    LeverageScope,
    Network,
    Submission,
    TriggerSource,
)
from adapters.ccxt_venues.bridge import raw
from adapters.ccxt_venues.bridge.quirks import Document, Quirks, fires_on_the_way_up
from adapters.ccxt_venues.bridge.raw import RawSession
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.bridge.session import TIMEFRAMES, done
from adapters.ccxt_venues.checks import check, refused
from adapters.ccxt_venues.numbers import exact, optional, positive, rounded
from adapters.ccxt_venues.refusals import Action
from adapters.ccxt_venues.secret_checks import decimal_id, hibachi_api_key, hibachi_key
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import BPS, ceil_to, trimmed
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, MarkPrice
from normalization.orders import (
    Limit,
    Market,
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
    supports=NATIVE - {Capability.PROTECTION, Capability.MARKETS_WITH_FUNDING},
    unsupported={
        Capability.PROTECTION: "Place two reduce-only stop orders, and cancel the other when one has filled.",
        Capability.MARKETS_WITH_FUNDING: "Ask getFundingRate for each market.",
    },
    emulated={
        Capability.CANCEL_ALL: "what is listed is canceled one by one",
        Capability.CANDLES: "volume is the venue's volume in quote units divided by the close",
    },
    request_expiry=True,
    # For how long a finished order can be looked up is not documented.
    lookup_includes_finished=False,
    judges_later=True,
    trigger_source=TriggerSource.MARK,
    client_id="32 hex digits",
    dedupe=Dedupe.RECENT_ORDERS,
    leverage_scope=LeverageScope.MARKET,
    least_privilege="an API key of permission Trading only",
)

_FEE_CEILING: Final = 2
"""How many times the venue's highest fee is signed as the most that a fill may cost, as its own examples do."""

_SIDES: Final = {"BID": Side.BUY, "BUY": Side.BUY, "ASK": Side.SELL, "SELL": Side.SELL}
_STATUSES: Final = {
    "PENDING": OrderStatus.OPEN,
    "CHILD_PENDING": OrderStatus.PENDING,
    "PLACED": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELED,
    "PARTIAL_CANCELLED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
}
_FLAG_ONLY: Final = "an order of this venue is either {}: of these it can be told one"


class HibachiSession(RawSession):
    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        """ccxt drops it, and the spot price that it follows."""
        return await self._read(
            self._exchange.publicGetMarketDataPrices({"symbol": self._venue_symbol(instrument)}),
            lambda reply: MarkPrice(
                mark_price=positive(reply["markPrice"]), index_price=optional(reply.get("spotPrice"))
            ),
        )

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._read(
            self._exchange.publicGetMarketDataPrices({"symbol": self._venue_symbol(instrument)}),
            lambda reply: FundingRate(
                rate=exact(reply["fundingRateEstimation"]["estimatedFundingRate"]),
                next_funding_ms=int(reply["fundingRateEstimation"]["nextFundingTimestamp"]) * 1000,
            ),
        )

    async def get_candles(self, instrument: Instrument, interval_minutes: int, limit: int) -> Sequence[Candle]:
        interval_ms, now_ms = interval_minutes * 60_000, self._now_ms()
        wanted = {
            "symbol": self._venue_symbol(instrument),
            "interval": self._exchange.timeframes[TIMEFRAMES[interval_minutes]],
            "fromMs": now_ms - now_ms % interval_ms - (limit - 1) * interval_ms,
        }
        return await self._read(
            self._exchange.publicGetMarketDataKlines(wanted),
            lambda reply: sorted(map(_candle_of, reply["klines"]), key=lambda candle: candle.opened_at_ms)[-limit:],
        )

    async def get_fees(self, instrument: Instrument) -> Fees:
        """The account's own where it has any, the venue's published ones otherwise."""
        published = self._exchange.market(self._theirs(instrument))["info"]

        def parse(reply: Document) -> Fees:
            maker, taker = (
                exact(published[rate] if reply[rate] is None else reply[rate])
                for rate in ("tradeMakerFeeRate", "tradeTakerFeeRate")
            )
            return Fees(maker_bps=maker * BPS, taker_bps=taker * BPS)

        return await self._read(self._account_info(), parse)

    async def get_balance(self) -> Balance:
        return await self._read(self._account_info(), _balance_of)

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        def parse(reply: Document) -> list[Position]:
            rates = {row["symbol"]: exact(row["initialMarginRate"]) for row in reply.get("leverages") or []}
            listed = self._on_known_markets(reply["positions"])
            return [self._held(row, rates.get(row["symbol"])) for row in listed if exact(row["quantity"])]

        return raw.on(instrument, await self._read(self._account_info(), parse))

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        asked = self._exchange.privateGetTradeOrders({"accountId": self._account})
        listed = await self._read(asked, lambda reply: list(map(self._order_of, self._on_known_markets(reply))))
        return raw.on(instrument, listed)

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        contract = self._exchange.market(self._theirs(instrument))["numericId"]
        wanted = {"accountId": self._account, "contractId": contract, "limit": limit}
        fills = await self._read(
            self._exchange.privateGetTradeAccountTrades(wanted),
            lambda reply: [_fill_of(row, instrument) for row in self._on_known_markets(reply["trades"])],
        )
        return sorted(fills, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        asked = {"accountId": self._account, "orderId": self._known(order_id, instrument)}
        return await self._read(self._exchange.privateGetTradeOrder(asked), self._order_of)

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        asked = {"accountId": self._account, "clientId": client_id}
        return raw.ours(
            await self._unless_missing(self._exchange.privateGetTradeOrder(asked), self._order_of), client_id
        )

    async def place_order(self, submission: Submission) -> Order:
        check(submission)
        raw.time_left_ms(submission, self._now_ms())
        kind, price, params = await self._order_terms(submission)
        return await self._ask(
            Action.PLACE,
            self._post_order(submission, kind, price, params),
            lambda reply: raw.accepted(submission, raw.number(reply["orderId"]), self._now_ms()),
        )

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        known = self._known(order_id, instrument)
        await self._ask(Action.CANCEL, self._exchange.cancel_order(known), done)

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        """What would be signed for a cancel by that id is not documented."""
        order = await self.find_order(client_id, instrument)
        if order is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "the venue has no such order")
        await self.cancel_order(order.order_id, instrument)

    async def cancel_all(self, instrument: Instrument) -> None:
        await self.cancel_listed(instrument)

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        """The venue takes the inverse, which ccxt has no call for."""
        rate = ceil_to(Decimal(1) / leverage, Decimal("0.000001"))
        wanted = {"accountId": self._account, "symbol": self._venue_symbol(instrument)}
        asked = self._exchange.request(
            "trade/account/leverage", ["private"], "POST", {**wanted, "initialMarginRate": trimmed(rate)}
        )
        await self._ask(Action.SET, asked, done)

    @property
    def _account(self) -> int:
        return int(self._secrets["account_id"])

    def _account_info(self) -> Awaitable[Any]:
        asked: Awaitable[Any] = self._exchange.privateGetTradeAccountInfo({"accountId": self._account})
        return asked

    async def _post_order(
        self, submission: Submission, kind: str, price: str | None, params: Mapping[str, Any]
    ) -> Document:
        deadline_s = submission.valid_until_ms // 1000
        request = self._exchange.create_order_request(
            self._exchange.microseconds(),
            self._theirs(submission.instrument),
            kind,
            submission.intent.side.lower(),
            trimmed(submission.intent.size),
            price,
            {**params, "clientId": submission.client_id, "creationDeadline": deadline_s},
        )
        if price is None:
            # It would be an empty string.
            del request["price"]
        return await self._exchange.privatePostTradeOrder({**request, "accountId": self._account})

    async def _order_terms(self, submission: Submission) -> tuple[str, str | None, dict[str, Any]]:
        """Type, price and parameters in ccxt's words. Of its flags an order bears one.

        :raises VenueRejected: it would need two, or one that there is not; nothing was sent.
        """
        intent = submission.intent
        flag = {"orderFlags": "REDUCE_ONLY"} if intent.reduce_only else {}
        match intent.execution:
            case Market() if intent.reduce_only:
                # IOC is a flag too, so there can be no bound to what it pays.
                return "market", None, flag
            case Limit(time_in_force=TimeInForce.IOC) if intent.reduce_only:
                raise refused(_FLAG_ONLY.format("IOC or reduce-only"))
            case PostOnly() if intent.reduce_only:
                raise refused(_FLAG_ONLY.format("post-only or reduce-only"))
            case Stop() | TakeProfit() as execution:
                direction = "HIGH" if fires_on_the_way_up(intent.side, execution) else "LOW"
                trigger = {"triggerPrice": trimmed(execution.trigger_price), "triggerDirection": direction}
                return "market", None, flag | trigger
        kind, price, params = await self._terms(submission)
        return kind, price, params | flag

    def _held(self, row: Document, rate: Decimal | None) -> Position:
        """``rate`` is the inverse of the leverage that was chosen, if any was."""
        instrument, size = self._instrument(row["symbol"]), positive(row["quantity"])
        return raw.position(
            instrument,
            signed_size=size if row["direction"] == "Long" else -size,
            entry_price=rounded(positive(row["entryNotional"]) / size),
            mark_price=rounded(positive(row["notionalValue"]) / size),
            leverage=round(1 / rate) if rate else instrument.max_leverage,
            unrealized_pnl=exact(row["unrealizedTradingPnl"]) + exact(row["unrealizedFundingPnl"]),
        )

    def _order_of(self, row: Document) -> Order:
        size, trigger, side = positive(row["totalQuantity"]), optional(row.get("triggerPrice")), _SIDES[row["side"]]
        filled = size - exact(row["availableQuantity"])
        kind = _type_of(row, side, trigger)
        status = raw.checked(_STATUSES[row["status"].upper()], filled, size)
        if trigger is not None and status is OrderStatus.OPEN:
            status = OrderStatus.PENDING
        return Order(
            order_id=raw.number(row["orderId"]),
            client_id=row.get("clientId"),
            symbol=self._instrument(row["symbol"]).symbol,
            side=side,
            type=kind,
            size=size,
            filled_size=filled,
            price=positive(row["price"]) if kind is OrderType.LIMIT else None,
            trigger_price=trigger,
            average_price=optional(row.get("avgFillPrice")) if filled else None,
            reduce_only=row.get("orderFlags") == "REDUCE_ONLY",
            status=status,
            # Of an order that was asked for by itself it is not said.
            created_at_ms=int(row["creationTime"]) * 1000 if row.get("creationTime") else self._now_ms(),
        )


def _type_of(row: Document, side: Side, trigger: Decimal | None) -> OrderType:
    """Which way a trigger fires is not always said; it is taken for a stop then."""
    if trigger is None:
        return {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET}[row["orderType"]]
    up = {"HIGH": True, "LOW": False, None: side is Side.BUY}[row.get("triggerDirection")]
    return OrderType.STOP if up is (side is Side.BUY) else OrderType.TAKE_PROFIT


def _balance_of(reply: Document) -> Balance:
    equity = exact(reply["balance"])
    return Balance(equity=equity, free_collateral=exact(reply["maximalWithdraw"]), account_value=equity)


def _fill_of(row: Document, instrument: Instrument) -> Fill:
    side = _SIDES[row["side"].upper()]
    return Fill(
        fill_id=raw.number(row["id"]),
        order_id=raw.number(row["bidOrderId"] if side is Side.BUY else row["askOrderId"]),
        symbol=instrument.symbol,
        side=side,
        size=positive(row["quantity"]),
        price=positive(row["price"]),
        fee=exact(row["fee"]),
        at_ms=int(row["timestamp"]) * 1000,
    )


def _candle_of(row: Document) -> Candle:
    close = positive(row["close"])
    return Candle(
        opened_at_ms=int(row["timestamp"]) * 1000,
        open=positive(row["open"]),
        high=positive(row["high"]),
        low=positive(row["low"]),
        close=close,
        volume=rounded(exact(row["volumeNotional"]) / close, 8),
    )


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    if not secrets:
        return {}
    return {
        "apiKey": secrets["api_key"],
        "accountId": secrets["account_id"],
        "privateKey": secrets["private_key"],
    }


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    """ccxt overlooks a code without ``"status": "failed"``; with status 200 such a reply is no reply at all."""
    if not isinstance(document, dict):
        return None
    if status == 429 and {"name", "count", "limit"} <= document.keys():
        return "RATE_LIMIT", f"the limit {document['name']} is spent"
    if "errorCode" not in document or (status < 400 and document.get("status") != "failed"):
        return None
    return str(document["errorCode"]), str(document.get("message", ""))


def _is_shaped(path: str, document: Document) -> bool:
    if path.endswith("/trade/orders"):
        return isinstance(document, list)
    if not isinstance(document, dict) or "errorCode" in document:
        return False
    return {"bid", "ask"} <= document.keys() if path.endswith("/orderbook") else True


def _tame(base: Any) -> Any:
    class Hibachi(base):  # type: ignore[misc]  # its base is only known at run time
        async def fetch_markets(self, params: Any = None) -> Any:
            """With the venue's fees, and with the steps that it publishes.

            ccxt makes steps up: ten thousandths of how coarse the book is shown, and the token's decimals.
            """
            reply = await self.publicGetMarketExchangeInfo()
            rates = {rate: reply["feeConfig"][rate] for rate in ("tradeMakerFeeRate", "tradeTakerFeeRate")}
            most = trimmed(_FEE_CEILING * max(map(exact, rates.values())))
            return [
                {**self.parse_market({**market, **rates}), "maker": most, "taker": most}
                for market in reply["futureContracts"]
            ]

        def parse_market(self, market: Document) -> Any:
            listed = super().parse_market(market)
            listed["precision"] = {"price": market["tickSize"], "amount": market["stepSize"]}
            listed["limits"]["leverage"]["max"] = str(int(1 / exact(market["initialMarginRate"])))
            return listed

    return Hibachi


QUIRKS: Final = Quirks(
    ccxt_id="hibachi",
    urls={Network.MAINNET: {"public": "https://data-api.hibachi.xyz", "private": "https://api.hibachi.xyz"}},
    config=_config,
    tame=_tame,
    limit={TimeInForce.GTC: {}, TimeInForce.IOC: {"timeInForce": "IOC"}},
    post_only={"postOnly": True},
    reduce_only={"reduceOnly": True},
    trigger=lambda side, execution: {},
    order_ids="[0-9]{1,19}",
    needs_market=False,
    refusal=_refusal,
    is_shaped=_is_shaped,
    balance=_balance_of,
    weight_per_minute=600,
)


HIBACHI: Final = bridged(
    "hibachi",
    quirks=QUIRKS,
    capabilities=CAPABILITIES,
    credential_fields=(
        CredentialField(
            name="account_id",
            description="The number shown as ID below the API key's name",
            secret=False,
            check=decimal_id,
        ),
        CredentialField(
            name="api_key", description="API key with the permission Trading and no other", check=hibachi_api_key
        ),
        CredentialField(
            name="private_key",
            description="The key's own private key (0x and 64 hex digits), or its HMAC secret (44 characters)",
            check=hibachi_key,
        ),
    ),
    client_id=lambda token: token.hex(),
    describe=lambda secrets: secrets.get("account_id", ""),
    session=HibachiSession,
)
