"""dYdX: a chain of its own. Orders are transactions, broadcast to a node; what became of them is in an indexer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import coincurve
import msgspec
from Crypto.Hash import RIPEMD160

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
from adapters.ccxt_venues.bech32 import bech32
from adapters.ccxt_venues.bridge import raw
from adapters.ccxt_venues.bridge.quirks import Document, Quirks, Requirement, rests
from adapters.ccxt_venues.bridge.raw import RawSession
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.bridge.session import done, understood
from adapters.ccxt_venues.checks import check
from adapters.ccxt_venues.link import before_sending
from adapters.ccxt_venues.numbers import exact, optional, positive, rounded, shortened
from adapters.ccxt_venues.refusals import Action
from adapters.ccxt_venues.secret_checks import decimal_id, dydx_address, ethereum_key
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import ZERO, trimmed
from normalization.instruments import Instrument
from normalization.market_data import FundingRate, MarketSummary, MarkPrice
from normalization.orders import (
    Order,
    OrderStatus,
    OrderType,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import Reason, VenueRejected

CAPABILITIES: Final = Capabilities(
    supports=NATIVE - {Capability.PROTECTION, Capability.FEES, Capability.LEVERAGE},
    unsupported={
        Capability.PROTECTION: "Place two reduce-only stop orders, and cancel the other when one has filled.",
        Capability.FEES: "The venue does not tell its fees ahead: getFills has what was paid.",
        Capability.LEVERAGE: "Positions are cross-margined by the market's own rules: choose their size instead.",
    },
    emulated={
        Capability.CANCEL_ALL: "what is listed is canceled one by one",
        Capability.MARK_PRICE: "the oracle price, by which the venue margins and triggers",
    },
    # A transaction is void half a minute after the moment that is its number; one that cannot rest, some blocks on.
    request_expiry=True,
    visibility_lag_ms=60_000,
    lookup_includes_finished=True,
    judges_later=True,
    trigger_source=TriggerSource.INDEX,
    client_id="a number below 2^32",
    dedupe=Dedupe.EVERY_ORDER,
    leverage_scope=LeverageScope.NONE,
    least_privilege="the chain key of an account: it can also withdraw",
)

_WITHDRAWS: Final = (
    "a chain key of this venue can also withdraw and transfer everything: keep no more there than it may use."
)
_HOUR_MS: Final = 3_600_000
# Of the blocks that an order which cannot rest is good for; there is one about every second.
_BLOCKS: Final = 10
# By when a block has settled what a node told of an order that cannot rest.
_SETTLED_MS: Final = 30_000
_SHORT_TERM, _CONDITIONAL, _LONG_TERM = 0, 32, 64
_LIVE_STATUSES: Final = ("OPEN", "UNTRIGGERED", "BEST_EFFORT_OPENED")
_PAGE: Final = 100

# ccxt makes an empty list of whatever has no such part.
_PARTS: Final = {"/orderbooks/": {"bids", "asks"}, "/candles/": {"candles"}}

_SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
_SIGNS: Final = {"LONG": 1, "SHORT": -1}
_KINDS: Final = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LIMIT": OrderType.STOP,
    "STOP_MARKET": OrderType.STOP,
    "TRAILING_STOP": OrderType.STOP,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT,
    "TAKE_PROFIT_LIMIT": OrderType.TAKE_PROFIT,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT,
}
_TRIGGERED: Final = frozenset({OrderType.STOP, OrderType.TAKE_PROFIT})
_STATUSES: Final = {
    "OPEN": OrderStatus.OPEN,
    "BEST_EFFORT_OPENED": OrderStatus.OPEN,
    "UNTRIGGERED": OrderStatus.PENDING,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "BEST_EFFORT_CANCELED": OrderStatus.CANCELED,
}

# Of the call that is being made: ccxt would ask for it on the way of every order, and of every cancel that needs it.
_height: ContextVar[int] = ContextVar("height")


def _tamed(base: Any) -> Any:
    class Dydx(base):  # type: ignore[misc]  # its base is only known at run time
        def parse_market(self, market: Any) -> Any:
            """ccxt computes with text, and the venue sends these as numbers."""
            scales = {name: str(market[name]) for name in ("atomicResolution", "quantumConversionExponent")}
            found = super().parse_market({**market, **scales})
            if found is not None and (fraction := optional(market.get("initialMarginFraction"))):
                found["limits"]["leverage"]["max"] = str(int(1 / fraction))
            return found

        def pow(self, n: str, m: str) -> str:
            """ccxt makes ten of ten to the power of nothing or less: a hundred times the size, on cheap markets."""
            return trimmed(Decimal(n).scaleb(int(m) - 1))

        def create_order_request(self, *args: Any, **kwargs: Any) -> Any:
            """Without the address of ccxt's, which takes a share of the fees."""
            order_id, message = super().create_order_request(*args, **kwargs)
            del message["value"]["order"]["orderRouterAddress"]
            return [order_id, message]

        async def fetch_latest_block_height(self, params: Any = None) -> int:
            return _height.get()

    return Dydx


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    """:raises ValueError: the key is not that of the address."""
    if not secrets:
        return {}
    # Half a second the first time: it must not be an order's.
    importlib.import_module("ccxt.static_dependencies.dydx_v4_client.registry")
    key = secrets["private_key"].removeprefix("0x")
    public_key = coincurve.PrivateKey(bytes.fromhex(key)).public_key.format(compressed=True)
    if address_of(public_key) != secrets["address"]:
        raise ValueError("the key is not that of the address")
    return {
        "walletAddress": secrets["address"],
        "options": {
            "dydxCredentials": {"privateKey": key, "publicKey": public_key.hex()},
            "subAccountId": int(secrets.get("subaccount_number") or 0),
            "pub_key": base64.b64encode(public_key).decode(),
        },
    }


def address_of(public_key: bytes) -> str:
    """The account of a compressed public key."""
    return bech32("dydx", RIPEMD160.new(hashlib.sha256(public_key).digest()).digest())


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    """A node's codes mean nothing without their space; the indexer has words only."""
    if not isinstance(document, dict):
        return None
    if errors := document.get("errors"):
        return "", str(errors[0].get("msg", "")) if isinstance(errors, list) else ""
    result = document.get("result")
    if not isinstance(result, dict) or not result.get("code"):
        return None
    return f"{result.get('codespace', '')}:{result['code']}", str(result.get("log", ""))


def _is_shaped(path: str, document: Document) -> bool:
    if path.endswith("/broadcast_tx_sync"):
        return isinstance(document, dict) and isinstance(document.get("result"), dict) and "code" in document["result"]
    for part, names in _PARTS.items():
        if part in path:
            return isinstance(document, dict) and names <= document.keys()
    return isinstance(document, list if path.endswith("/orders") else dict)


def _trigger(side: Side, execution: Stop | TakeProfit) -> dict[str, Any]:
    name = "stopLossPrice" if isinstance(execution, Stop) else "takeProfitPrice"
    return {name: trimmed(execution.trigger_price)}


def _expiry(submission: Submission, now_ms: int) -> dict[str, Any]:
    return {} if rests(submission) else {"goodTillBlock": _height.get() + _BLOCKS}


class DydxSession(RawSession):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._subaccount = int(self._exchange.options["subAccountId"])
        self._learning = asyncio.Lock()

    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        oracle = positive((await self._market(instrument))["oraclePrice"])
        return MarkPrice(mark_price=oracle, index_price=oracle)

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        rate = shortened((await self._market(instrument))["nextFundingRate"])
        now_ms = self._now_ms()
        return FundingRate(rate=rate, next_funding_ms=now_ms - now_ms % _HOUR_MS + _HOUR_MS)

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        told = await self._read(self._exchange.indexer_get_perpetualmarkets(), _markets)
        return [
            MarketSummary(
                symbol=instrument.symbol,
                mark_price=(oracle := positive(market["oraclePrice"])),
                funding_rate=shortened(market["nextFundingRate"]),
                open_interest=exact(market["openInterest"]) * oracle,
            )
            for instrument in self._names.markets
            if (market := told.get(instrument.venue_symbol)) and market.get("oraclePrice")
        ]

    async def get_balance(self) -> Balance:
        request = {"address": self._secrets["address"], "subaccountNumber": self._subaccount}
        asked = self._exchange.indexer_get_addresses_address_subaccountnumber_subaccountnumber(request)
        return await self._read(asked, lambda reply: _balance(reply["subaccount"]))

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        asked = self._exchange.indexer_get_perpetualpositions({**self._account, "status": "OPEN"})
        held, markets = await asyncio.gather(
            self._read(asked, lambda reply: reply["positions"]),
            self._read(self._exchange.indexer_get_perpetualmarkets(), _markets),
        )
        found = understood(
            lambda: [
                _position(row, self._instrument(row["market"]), markets)
                for row in self._on_known_markets(held, "market")
            ]
        )
        return raw.on(instrument, found)

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        request: dict[str, Any] = dict(self._account)
        if instrument is not None:
            request["ticker"] = instrument.venue_symbol
        told = await asyncio.gather(
            *(
                self._read(self._exchange.indexer_get_orders({**request, "status": status}), self._listed_orders)
                for status in _LIVE_STATUSES
            )
        )
        orders = {order.order_id: order for orders in told for order in orders}
        return raw.on(instrument, orders.values())

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        request = {
            **self._account,
            "market": instrument.venue_symbol,
            "marketType": "PERPETUAL",
            "limit": min(limit, _PAGE),
        }
        asked = self._exchange.indexer_get_fills(request)
        fills = await self._read(asked, lambda reply: [_fill(row, instrument) for row in reply["fills"]])
        return sorted(fills, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        order, _ = await self._told(self._known(order_id, instrument))
        return await self._with_average(order)

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        """Under the three ids that it can have: a venue's id is made of ours and of the kind of order."""
        for kind in (_LONG_TERM, _SHORT_TERM, _CONDITIONAL):
            try:
                order, _ = await self._told(self._order_id(client_id, instrument, kind))
            except VenueRejected as refusal:
                if refusal.reason is not Reason.ORDER_NOT_FOUND:
                    raise
                continue
            raw.ours(order, client_id)
            return await self._with_average(order)
        return None

    async def test(self) -> Sequence[str]:
        """What an account holds is public; that the key is its own was seen when the session was opened."""
        await self.get_balance()
        await self._learn_account()
        return [_WITHDRAWS]

    async def place_order(self, submission: Submission) -> Order:
        raw.time_left_ms(submission, self._now_ms())
        check(submission)
        await before_sending(self._learn_account())
        height = 0 if rests(submission) else await before_sending(self._latest_height())
        token = _height.set(height)
        try:
            return await super().place_order(submission)
        finally:
            _height.reset(token)

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        """By our number of it and its kind, which the venue has to be asked for first."""
        order, row = await self._told(self._known(order_id, instrument))
        if order.status.is_final:
            raise VenueRejected(Reason.ORDER_ALREADY_CLOSED, "the order is over")
        await self._cancel(str(row["clientId"]), self._names.markets.resolve(order.symbol), int(row["orderFlags"]))

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        await self._learn_account()
        await self._first_found(
            Action.CANCEL,
            done,
            lambda: self._canceling(client_id, instrument, _LONG_TERM),
            lambda: self._canceling(client_id, instrument, _CONDITIONAL),
        )

    async def cancel_all(self, instrument: Instrument) -> None:
        await self.cancel_listed(instrument)

    @property
    def _account(self) -> dict[str, Any]:
        return {"address": self._secrets["address"], "subaccountNumber": self._subaccount}

    async def _cancel(self, client_id: str, instrument: Instrument, kind: int) -> None:
        await self._learn_account()
        token = _height.set(await self._latest_height() if kind == _SHORT_TERM else 0)
        try:
            await self._ask(Action.CANCEL, self._canceling(client_id, instrument, kind), done)
        finally:
            _height.reset(token)

    def _canceling(self, client_id: str, instrument: Instrument, kind: int) -> Any:
        params = {"clientOrderId": client_id, "orderFlags": kind}
        return self._exchange.cancel_order(None, self._theirs(instrument), params)

    async def _learn_account(self) -> None:
        """The account's number on the chain, which every signature covers: asked for once."""
        async with self._learning:
            if "dydxAccount" in self._exchange.options:
                return
            request = {"dydxAddress": self._secrets["address"]}
            asked = self._exchange.noderest_get_cosmos_auth_v1beta1_account_info_dydxaddress(request)
            number = await self._read(asked, lambda reply: int(reply["info"]["account_number"]))
            self._exchange.options["dydxAccount"] = {
                "address": self._secrets["address"],
                "pub_key": {"key": self._exchange.options["pub_key"]},
                "account_number": number,
            }

    async def _latest_height(self) -> int:
        asked = self._exchange.noderpc_get_abci_info()
        return await self._read(asked, lambda reply: int(reply["result"]["response"]["last_block_height"]))

    async def _market(self, instrument: Instrument) -> Mapping[str, Any]:
        request = {"ticker": instrument.venue_symbol}
        asked = self._exchange.indexer_get_perpetualmarkets(request)
        found: Mapping[str, Any] = await self._read(asked, lambda reply: _markets(reply)[instrument.venue_symbol])
        return found

    async def _told(self, order_id: str) -> tuple[Order, Mapping[str, Any]]:
        """:raises VenueRejected: with ``ORDER_NOT_FOUND``."""
        asked = self._exchange.indexer_get_orders_orderid({"orderId": order_id})
        return await self._read(asked, lambda row: (self._order_of(row), row))

    async def _with_average(self, order: Order) -> Order:
        """With the price that it was filled at, where the latest fills have all of it: the order itself does not."""
        if not order.filled_size:
            return order
        fills = await self.get_fills(self._names.markets.resolve(order.symbol), _PAGE)
        ours = [fill for fill in fills if fill.order_id == order.order_id]
        if sum((fill.size for fill in ours), ZERO) != order.filled_size:
            return order
        value = sum((fill.size * fill.price for fill in ours), ZERO)
        return msgspec.structs.replace(
            order,
            average_price=rounded(value / order.filled_size),
            fee=sum((fill.fee for fill in ours), ZERO),
        )

    def _order_id(self, client_id: str, instrument: Instrument, kind: int) -> str:
        pair = int(self._exchange.market(self._theirs(instrument))["info"]["clobPairId"])
        found = self._exchange.create_order_id_from_parts(
            self._secrets["address"], self._subaccount, int(client_id), kind, pair
        )
        return str(found)

    def _listed_orders(self, rows: Sequence[Mapping[str, Any]]) -> list[Order]:
        return [self._order_of(row) for row in self._on_known_markets(rows, "ticker")]

    def _order_of(self, row: Mapping[str, Any]) -> Order:
        kind = _KINDS[row["type"]]
        size, filled = positive(row["size"]), exact(row["totalFilled"])
        updated_ms = _milliseconds(row["updatedAt"]) if row.get("updatedAt") else self._now_ms()
        return Order(
            order_id=str(row["id"]),
            client_id=str(int(row["clientId"])),
            symbol=self._instrument(row["ticker"]).symbol,
            side=_SIDES[row["side"]],
            type=kind,
            size=size,
            filled_size=filled,
            price=positive(row["price"]) if kind is OrderType.LIMIT else None,
            trigger_price=positive(row["triggerPrice"]) if kind in _TRIGGERED else None,
            reduce_only=row["reduceOnly"] is True,
            status=self._status(row["status"], size, filled, updated_ms),
            created_at_ms=updated_ms,
        )

    def _status(self, told: str, size: Decimal, filled: Decimal, updated_ms: int) -> OrderStatus:
        """What one node has done to an order is final once it has been in blocks for a while."""
        status = _STATUSES[told]
        if told == "BEST_EFFORT_CANCELED" and self._now_ms() - updated_ms < _SETTLED_MS:
            status = OrderStatus.OPEN
        return raw.checked(status, filled, size)


def _position(row: Mapping[str, Any], instrument: Instrument, markets: Mapping[str, Any]) -> Position:
    """Its margin follows from the market's rules: as if at the highest leverage, at all times."""
    return raw.position(
        instrument,
        signed_size=abs(exact(row["size"])) * _SIGNS[row["side"]],
        entry_price=positive(shortened(row["entryPrice"])),
        mark_price=positive(markets[row["market"]]["oraclePrice"]),
        unrealized_pnl=shortened(row["unrealizedPnl"]),
        leverage=instrument.max_leverage,
    )


def _fill(row: Mapping[str, Any], instrument: Instrument) -> Fill:
    return Fill(
        fill_id=str(row["id"]),
        order_id=str(row.get("orderId") or "unknown"),
        symbol=instrument.symbol,
        side=_SIDES[row["side"]],
        size=positive(row["size"]),
        price=positive(row["price"]),
        fee=exact(row["fee"]),
        at_ms=_milliseconds(row["createdAt"]),
    )


def _milliseconds(text: str) -> int:
    """Of ``2025-07-30T05:56:45.123Z``."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _markets(reply: Document) -> dict[str, Any]:
    return msgspec.convert(reply["markets"], dict[str, Any])


def _balance(account: Document) -> Balance:
    equity = shortened(account["equity"])
    return Balance(equity=equity, free_collateral=shortened(account["freeCollateral"]), account_value=equity)


QUIRKS: Final = Quirks(
    ccxt_id="dydx",
    urls={
        Network.MAINNET: {
            "indexer": "https://indexer.dydx.trade/v4",
            "nodeRpc": "https://dydx-ops-rpc.kingnodes.com",
            "nodeRest": "https://dydx-rest.publicnode.com",
        },
        Network.TESTNET: {
            "indexer": "https://indexer.v4testnet.dydx.exchange/v4",
            "nodeRpc": "https://test-dydx-rpc.kingnodes.com",
            "nodeRest": "https://test-dydx-rest.kingnodes.com",
        },
    },
    config=_config,
    tame=_tamed,
    needs=Requirement(module="google.protobuf", install='pip install "venuegate[dydx]"'),
    refusal=_refusal,
    is_shaped=_is_shaped,
    # Fill-or-kill is no longer taken by the chain.
    limit={TimeInForce.GTC: {}, TimeInForce.IOC: {"timeInForce": "IOC"}},
    post_only={"postOnly": True},
    reduce_only={"reduceOnly": True},
    expiry=_expiry,
    trigger=_trigger,
    triggered_slippage_bps=500,
    balance=_balance,
    client_id=int,
    order_ids="[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    needs_market=False,
    quote="USD",
    weight_per_minute=600,
)

DYDX: Final = bridged(
    "dydx",
    quirks=QUIRKS,
    session=DydxSession,
    capabilities=CAPABILITIES,
    credential_fields=(
        CredentialField(
            name="address", description="Address of the account on the chain", secret=False, check=dydx_address
        ),
        CredentialField(
            name="private_key",
            description="Private key of that address, in hex: not the one of the Ethereum wallet behind it",
            check=ethereum_key,
        ),
        CredentialField(
            name="subaccount_number",
            description="Number of the subaccount that trades; 0 where it is not given",
            secret=False,
            required=False,
            check=decimal_id,
        ),
    ),
    client_id=lambda token: str(int.from_bytes(token[:4], "big")),
    describe=lambda secrets: secrets.get("address", ""),
)
