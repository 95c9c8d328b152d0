"""Orderly: one order book behind many fronts, of which WOOFi Pro and ModeTrade are two. An ed25519 key signs.

Its documents (``orderly.openapi.yaml`` of its public documentation) are the source of every shape here. ccxt builds
and signs the requests, but what comes back is read here: ccxt looks for names that the venue does not use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solders.pubkey import Pubkey

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
from adapters.ccxt_venues.bridge.quirks import ALL_TIMES_IN_FORCE, Document, Quirks
from adapters.ccxt_venues.bridge.raw import RawSession
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.bridge.session import done
from adapters.ccxt_venues.checks import check, refused
from adapters.ccxt_venues.numbers import exact, optional, positive
from adapters.ccxt_venues.refusals import Action
from adapters.ccxt_venues.secret_checks import ed25519_secret, orderly_account
from adapters.ccxt_venues.venue import Row
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import product, trimmed
from normalization.instruments import Instrument
from normalization.market_data import Fees, FundingRate, MarketSummary, MarkPrice
from normalization.orders import Order, OrderStatus, OrderType, Side, Stop, TakeProfit

CAPABILITIES: Final = Capabilities(
    supports=NATIVE - {Capability.PROTECTION},
    unsupported={
        Capability.PROTECTION: "Place two reduce-only stop orders, and cancel the other when one has filled.",
    },
    request_expiry=True,
    # Until when an order is good is told beside what is signed. What is signed is void 300 seconds after its timestamp,
    # so that what is not there a minute later was certainly never accepted.
    visibility_lag_ms=360_000,
    lookup_includes_finished=True,
    judges_later=True,
    trigger_source=TriggerSource.MARK,
    client_id="32 hex digits",
    dedupe=Dedupe.OPEN_ORDERS,
    leverage_scope=LeverageScope.MARKET,
    least_privilege="an Orderly key of scope read and trading: cannot withdraw, which takes the wallet",
)

TRIGGERED: Final = "algo-"
"""Before the ids of trigger orders, which the venue counts by themselves."""

WINDOW: Final = "x-recv-window"

_PAGE: Final = 500
_PAGES: Final = 10

_STATUSES: Final = {
    "NEW": OrderStatus.OPEN,
    "PARTIAL_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
}
_TYPES: Final = dict.fromkeys(("LIMIT", "IOC", "FOK", "POST_ONLY"), OrderType.LIMIT) | {"MARKET": OrderType.MARKET}
_TRIGGERS: Final = {"STOP": OrderType.STOP, "STOP_LOSS": OrderType.STOP, "TAKE_PROFIT": OrderType.TAKE_PROFIT}


class OrderlySession(RawSession):
    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        return await self._read(
            self._market(instrument),
            lambda reply: MarkPrice(
                mark_price=positive(reply["data"]["mark_price"]), index_price=optional(reply["data"]["index_price"])
            ),
        )

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._read(
            self._market(instrument),
            lambda reply: FundingRate(
                rate=exact(reply["data"]["est_funding_rate"]), next_funding_ms=int(reply["data"]["next_funding_time"])
            ),
        )

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        return await self._read(
            self._exchange.v1PublicGetPublicFutures(), lambda reply: list(map(self._summary, self._listed_rows(reply)))
        )

    async def get_fees(self, instrument: Instrument) -> Fees:
        """The venue counts in basis points."""
        return await self._read(
            self._exchange.v1PrivateGetClientInfo(),
            lambda reply: Fees(
                maker_bps=exact(reply["data"]["futures_maker_fee_rate"]),
                taker_bps=exact(reply["data"]["futures_taker_fee_rate"]),
            ),
        )

    async def get_balance(self) -> Balance:
        return await self._read(self._exchange.v1PrivateGetPositions(), _balance_of)

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        def parse(reply: Document) -> list[Position]:
            return [self._position_of(row) for row in self._listed_rows(reply) if exact(row["position_qty"])]

        return raw.on(instrument, await self._read(self._exchange.v1PrivateGetPositions(), parse))

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        wanted = {"status": "INCOMPLETE"} | ({} if instrument is None else {"symbol": self._venue_symbol(instrument)})
        # In this order: what fires in between is among the resting ones, and not missed.
        waiting = await self._pages(self._exchange.v1PrivateGetAlgoOrders, wanted, self._waiting_of)
        resting = await self._pages(self._exchange.v1PrivateGetOrders, wanted, self._resting_of)
        return raw.on(instrument, resting + waiting)

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        asked = self._exchange.v1PrivateGetTrades({"symbol": self._venue_symbol(instrument), "size": limit})
        fills = await self._read(asked, lambda reply: [_fill_of(row, instrument) for row in reply["data"]["rows"]])
        return sorted(fills, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        known = self._known(order_id, instrument)
        if known.startswith(TRIGGERED):
            asked = self._exchange.v1PrivateGetAlgoOrderOid({"oid": known.removeprefix(TRIGGERED)})
            return await self._read(asked, lambda reply: self._triggered(reply["data"]))
        return await self._read(
            self._exchange.v1PrivateGetOrderOid({"oid": known}), lambda reply: self._order_of(reply["data"])
        )

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        asked = {"client_order_id": client_id}
        order = await self._unless_missing(
            self._exchange.v1PrivateGetClientOrderClientOrderId(asked), lambda reply: self._order_of(reply["data"])
        )
        if order is None:
            order = await self._unless_missing(
                self._exchange.v1PrivateGetAlgoClientOrderClientOrderId(asked),
                lambda reply: self._triggered(reply["data"]),
            )
        return raw.ours(order, client_id)

    async def test(self) -> Sequence[str]:
        key = self._exchange.apiKey
        scope = await self._read(self._exchange.v1PrivateGetClientKeyInfo(), lambda reply: _scope_of(reply, key))
        return [
            *(["this key can only read"] if "trading" not in scope else []),
            *(["this key can also move assets: a key of scope read and trading is enough"] if "asset" in scope else []),
        ]

    async def place_order(self, submission: Submission) -> Order:
        if submission.intent.trigger_price is None:
            return await super().place_order(submission)
        check(submission)
        body = trigger_order(submission, self._venue_symbol(submission.instrument))
        asked = self._exchange.v1PrivatePostAlgoOrder(body | _window(submission, self._now_ms()))
        return await self._ask(Action.PLACE, asked, lambda reply: self._waiting(reply["data"], submission))

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        known = self._known(order_id, instrument)
        wanted = {"order_id": known.removeprefix(TRIGGERED), "symbol": self._venue_symbol(instrument)}
        delete = (
            self._exchange.v1PrivateDeleteAlgoOrder
            if known.startswith(TRIGGERED)
            else self._exchange.v1PrivateDeleteOrder
        )
        await self._ask(Action.CANCEL, delete(wanted), done)

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        wanted = {"client_order_id": client_id, "symbol": self._venue_symbol(instrument)}
        await self._first_found(
            Action.CANCEL,
            done,
            lambda: self._exchange.v1PrivateDeleteClientOrder(wanted),
            lambda: self._exchange.v1PrivateDeleteAlgoClientOrder(wanted),
        )

    async def cancel_all(self, instrument: Instrument) -> None:
        wanted = {"symbol": self._venue_symbol(instrument)}
        await self._ask(Action.CANCEL, self._exchange.v1PrivateDeleteOrders(wanted), done)
        await self._ask(Action.CANCEL, self._exchange.v1PrivateDeleteAlgoOrders(wanted), done)

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        """ccxt only knows the call that no longer exists, for the whole account."""
        wanted = {"symbol": self._venue_symbol(instrument), "leverage": leverage}
        await self._ask(Action.SET, self._exchange.v1PrivatePostClientLeverages(wanted), done)

    def _market(self, instrument: Instrument) -> Awaitable[Any]:
        asked: Awaitable[Any] = self._exchange.v1PublicGetPublicFuturesSymbol(
            {"symbol": self._venue_symbol(instrument)}
        )
        return asked

    async def _pages(
        self,
        ask: Callable[[Document], Awaitable[Any]],
        wanted: Mapping[str, Any],
        parse: Callable[[Document], list[Order]],
    ) -> list[Order]:
        """All orders of a list: one that is cut short would hide some.

        :raises VenueUnclear: it is longer than anybody's orders.
        """
        found: list[Order] = []
        for page in range(1, _PAGES + 1):
            total, orders = await self._read(
                ask({**wanted, "size": _PAGE, "page": page}),
                lambda reply: (int(reply["data"]["meta"]["total"]), parse(reply)),
            )
            found += orders
            if page * _PAGE >= total:
                return found
        raise raw.too_long()

    def _resting_of(self, reply: Document) -> list[Order]:
        return [self._order_of(row) for row in self._listed_rows(reply)]

    def _waiting_of(self, reply: Document) -> list[Order]:
        """Those that have not fired. Of what has two legs, or follows the price, there are no words here."""
        orders = [self._triggered(row) for row in self._listed_rows(reply) if _is_single(row)]
        return [order for order in orders if order.status is OrderStatus.PENDING]

    def _listed_rows(self, reply: Document) -> list[Document]:
        return self._on_known_markets(reply["data"]["rows"])

    def _summary(self, row: Document) -> MarketSummary:
        mark = positive(row["mark_price"])
        return MarketSummary(
            symbol=self._instrument(row["symbol"]).symbol,
            mark_price=mark,
            funding_rate=exact(row["est_funding_rate"]),
            open_interest=product(exact(row["open_interest"]), mark),
        )

    def _position_of(self, row: Document) -> Position:
        instrument = self._instrument(row["symbol"])
        return raw.position(
            instrument,
            signed_size=exact(row["position_qty"]),
            entry_price=positive(row["average_open_price"]),
            mark_price=positive(row["mark_price"]),
            leverage=int(row.get("leverage") or instrument.max_leverage),
            liquidation_price=optional(row.get("est_liq_price")),
        )

    def _order_of(self, row: Document) -> Order:
        kind = _TYPES[row["type"]]
        size, filled = positive(row["quantity"]), exact(row["total_executed_quantity"])
        return Order(
            order_id=raw.number(row["order_id"]),
            client_id=_client_id_of(row),
            symbol=self._instrument(row["symbol"]).symbol,
            side=Side(row["side"]),
            type=kind,
            size=size,
            filled_size=filled,
            price=positive(row["price"]) if kind is OrderType.LIMIT else None,
            average_price=optional(row["average_executed_price"]) if filled else None,
            fee=optional(row.get("total_fee")) if filled else None,
            reduce_only=row.get("reduce_only") is True,
            status=raw.checked(_STATUSES[row["status"]], filled, size),
            created_at_ms=int(exact(row["created_time"])),
        )

    def _triggered(self, row: Document) -> Order:
        """A trigger order. Of a take-profit the terms are in its only child."""
        (leg,) = _legs(row)
        size, filled = positive(row["quantity"]), exact(leg["total_executed_quantity"])
        status = raw.checked(_STATUSES[row["algo_status"]], filled, size)
        if status is OrderStatus.OPEN and str(leg["is_triggered"]).lower() != "true":
            status = OrderStatus.PENDING
        return Order(
            order_id=TRIGGERED + raw.number(row["algo_order_id"]),
            client_id=_client_id_of(row),
            symbol=self._instrument(row["symbol"]).symbol,
            side=Side(leg["side"]),
            type=_TRIGGERS[leg["algo_type"]],
            size=size,
            filled_size=filled,
            trigger_price=positive(leg["trigger_price"]),
            average_price=optional(leg.get("average_executed_price")) if filled else None,
            fee=optional(leg.get("total_fee")) if filled else None,
            reduce_only=leg.get("reduce_only") is True,
            status=status,
            created_at_ms=int(exact(row["created_time"])),
        )

    def _waiting(self, data: Document, submission: Submission) -> Order:
        """:raises ValueError: it is not plainly the order that was sent."""
        if _client_id_of(data) not in (None, submission.client_id) or exact(data["quantity"]) != submission.intent.size:
            raise ValueError("not the order that was sent")
        return raw.accepted(submission, TRIGGERED + raw.number(data["order_id"]), self._now_ms())


def _legs(row: Document) -> Sequence[Document]:
    return row["child_orders"] if row["algo_type"] == "TP_SL" else (row,)


def _is_single(row: Document) -> bool:
    return len(_legs(row)) == 1 and _legs(row)[0]["algo_type"] in _TRIGGERS


def trigger_order(submission: Submission, venue_symbol: str) -> dict[str, Any]:
    """The body of a trigger order by the mark price, which becomes a market order.

    A ``STOP`` fires when the price gets to it, from whichever side: what takes a profit must say that it does, which
    only a reduce-only order can.

    :raises VenueRejected: the venue has no such order; nothing was sent.
    """
    intent = submission.intent
    common = {
        "symbol": venue_symbol,
        "client_order_id": submission.client_id,
        "quantity": trimmed(intent.size),
        "trigger_price_type": "MARK_PRICE",
    }
    terms: dict[str, Any] = {"side": intent.side.value, "type": "MARKET"}
    match intent.execution:
        case Stop(trigger_price=trigger):
            return {**common, "algo_type": "STOP", **terms, "trigger_price": trimmed(trigger)} | (
                {"reduce_only": True} if intent.reduce_only else {}
            )
        case TakeProfit(trigger_price=trigger) if intent.reduce_only:
            child = {"symbol": venue_symbol, "algo_type": "TAKE_PROFIT", **terms}
            child |= {"trigger_price": trimmed(trigger), "reduce_only": True}
            return {**common, "algo_type": "TP_SL", "child_orders": [child]}
    raise refused("a take-profit order of this venue is always reduce-only")


def _client_id_of(row: Document) -> str | None:
    """Zero is how it says that there is none."""
    found = row.get("client_order_id")
    return None if found in (None, "", 0, "0") else str(found)


def _balance_of(reply: Document) -> Balance:
    data = reply["data"]
    equity = exact(data["total_collateral_value"])
    return Balance(equity=equity, free_collateral=exact(data["free_collateral"]), account_value=equity)


def _fill_of(row: Document, instrument: Instrument) -> Fill:
    return Fill(
        fill_id=raw.number(row["id"]),
        order_id=raw.number(row["order_id"]),
        symbol=instrument.symbol,
        side=Side(row["side"]),
        size=positive(row["executed_quantity"]),
        price=positive(row["executed_price"]),
        fee=exact(row["fee"]),
        at_ms=int(row["executed_timestamp"]),
    )


def _scope_of(reply: Document, key: str) -> str:
    """What the key that signed may do. It has signed: a key that the list leaves out can at least read."""
    return next((str(row["scope"]) for row in reply["data"]["rows"] if row["orderly_key"] == key), "read")


def _window(submission: Submission, now_ms: int) -> dict[str, Any]:
    """:raises VenueRejected: it is too late; nothing was sent."""
    return {WINDOW: str(raw.time_left_ms(submission, now_ms))}


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    """Without the sandbox mode ccxt tags every order with a referral code of its own, which overrides the user's."""
    if not secrets:
        return {"options": {"sandboxMode": True}}
    seed = bytes(Pubkey.from_string(secrets["secret_key"].removeprefix("ed25519:")))
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return {
        "accountId": secrets["account_id"].lower(),
        "apiKey": f"ed25519:{Pubkey(public)}",
        "secret": secrets["secret_key"],
        "options": {"sandboxMode": True},
    }


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    if not isinstance(document, dict) or document.get("success") is not False or "code" not in document:
        return None
    return str(document["code"]), str(document.get("message", ""))


def _is_shaped(path: str, document: Document) -> bool:
    return isinstance(document, dict) and document.get("success") is True


def _tame(base: Any) -> Any:
    class Orderly(base):  # type: ignore[misc]  # its base is only known at run time
        def parse_market(self, market: Document) -> Any:
            """ccxt leaves out what a market's base initial margin allows, and that it may be closed."""
            listed = super().parse_market(market)
            if listed is not None:
                listed["limits"]["leverage"]["max"] = str(int(1 / Decimal(str(market["base_imr"]))))
            return listed

        def sign(self, path: str, section: Any = None, method: str = "GET", params: Any = None) -> Any:
            """ccxt has no headers that are a caller's."""
            signed = super().sign(path, section, method, {k: v for k, v in params.items() if k != WINDOW})
            if WINDOW in params:
                signed["headers"][WINDOW] = params[WINDOW]
            return signed

    return Orderly


def _front(exchange: str) -> Row:
    api = {Network.MAINNET: "https://api-evm.orderly.org", Network.TESTNET: "https://testnet-api-evm.orderly.org"}
    quirks = Quirks(
        ccxt_id=exchange,
        urls={network: {"public": url, "private": url} for network, url in api.items()},
        config=_config,
        tame=_tame,
        limit=ALL_TIMES_IN_FORCE,
        post_only={"postOnly": True},
        reduce_only={"reduceOnly": True},
        expiry=_window,
        trigger=lambda side, execution: {},
        order_ids=f"({TRIGGERED})?[0-9]+",
        refusal=_refusal,
        is_shaped=_is_shaped,
        balance=_balance_of,
        weight_per_minute=600,
    )
    return bridged(
        exchange,
        quirks=quirks,
        capabilities=CAPABILITIES,
        credential_fields=(
            CredentialField(
                name="account_id",
                description="Orderly account id of the trading account: 0x and 64 hex digits",
                secret=False,
                check=orderly_account,
            ),
            CredentialField(
                name="secret_key",
                description="Secret of an Orderly key (ed25519:…) with the scopes read and trading",
                check=ed25519_secret,
            ),
        ),
        client_id=lambda token: token.hex(),
        describe=lambda secrets: secrets.get("account_id", ""),
        session=OrderlySession,
    )


WOOFIPRO: Final = _front("woofipro")
MODETRADE: Final = _front("modetrade")
