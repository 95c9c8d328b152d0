"""Lighter: transactions of a rollup, signed by the venue's own native library with an API key of the account.

ccxt, given an Ethereum key, would register an API key on the chain by itself. It is given none here, and what would do
it is taken away.
"""

from __future__ import annotations

import asyncio
import importlib.util
import platform
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.base import (
    NATIVE,
    Capabilities,
    Capability,
    CredentialField,
    Dedupe,
    Network,
    Submission,
    TriggerSource,
)
from adapters.ccxt_venues.bridge import raw, unified
from adapters.ccxt_venues.bridge.library import lacking
from adapters.ccxt_venues.bridge.quirks import Document, MarkSource, Quirks
from adapters.ccxt_venues.bridge.raw import RawSession
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.numbers import exact, optional, positive, rounded
from adapters.ccxt_venues.secret_checks import decimal_id, lighter_key, lighter_key_index
from adapters.ccxt_venues.venue import Row
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import ZERO, trimmed
from normalization.instruments import Instrument
from normalization.market_data import Fees, FundingRate, Level, MarketSummary, OrderBook
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
from normalization.venue_failures import Reason, VenueRejected, VenueUnclear

INSTALL: Final = 'pip install --no-deps "lighter-sdk==1.1.8"'
"""Its dependencies contradict ccxt's; of it, only the library is used, by position: another version may not fit."""

CAPABILITIES: Final = Capabilities(
    supports=NATIVE - {Capability.PROTECTION},
    unsupported={
        Capability.PROTECTION: "Grouped orders carry no client order id: place two reduce-only stop orders, and "
        "cancel the other when one has filled.",
    },
    # The library signs every transaction for ten minutes, by the machine's clock.
    request_expiry=True,
    visibility_lag_ms=630_000,
    lookup_includes_finished=True,
    judges_later=True,
    trigger_source=TriggerSource.MARK,
    client_id="a number below 2^48",
    dedupe=Dedupe.OPEN_ORDERS,
    least_privilege="an API key of the account: it can also withdraw, to the account's own address only",
)

_WITHDRAWS: Final = (
    "an API key of this venue can also withdraw, to the account's own address: there is no weaker key. "
    "Give it a sub-account that holds no more than it may use."
)
_NO_KEY: Final = "0" * 80
_CLIENT_IDS: Final = 2**48
_RESTS_FOR_MS: Final = 27 * 86_400_000
_HOUR_MS: Final = 3_600_000
_FEE_TICKS: Final = 1_000_000
_TICKS_PER_BP: Final = 100
_BOOK_ORDERS: Final = 250
_PAGE: Final = 100
# The rates of several venues are listed for comparison, each for eight hours; here it is paid every hour.
_LISTED_HOURS: Final = 8

_KINDS: Final = {
    "limit": OrderType.LIMIT,
    "market": OrderType.MARKET,
    "stop-loss": OrderType.STOP,
    "stop-loss-limit": OrderType.STOP,
    "take-profit": OrderType.TAKE_PROFIT,
    "take-profit-limit": OrderType.TAKE_PROFIT,
}
_TRIGGERED: Final = frozenset({OrderType.STOP, OrderType.TAKE_PROFIT})
_LIVE: Final = frozenset({"in-progress", "pending", "open"})
_OVER: Final = {
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "canceled-expired": OrderStatus.EXPIRED,
    **dict.fromkeys(
        (
            "canceled-post-only",
            "canceled-reduce-only",
            "canceled-position-not-allowed",
            "canceled-margin-not-allowed",
            "canceled-invalid-balance",
        ),
        OrderStatus.REJECTED,
    ),
    **dict.fromkeys(
        (
            "canceled-too-much-slippage",
            "canceled-not-enough-liquidity",
            "canceled-self-trade",
            "canceled-oco",
            "canceled-child",
            "canceled-liquidation",
        ),
        OrderStatus.CANCELED,
    ),
}


class Slots:
    """The library holds one key per account and key index, whichever network they are of.

    Who signs takes the slot first, so that a mainnet order is never signed by the testnet key of the same numbers.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._holders: dict[tuple[int, int], weakref.ref[Any]] = {}

    def signed(self, slot: tuple[int, int], signer: Any, take: Callable[[], None], sign: Callable[[], Any]) -> Any:
        """What ``sign`` makes, after ``take`` where somebody else had the slot."""
        with self._one_at_a_time:
            if self._holder(slot) is not signer:
                take()
                self._holders[slot] = weakref.ref(signer)
            return sign()

    def emptied(self, slot: tuple[int, int], signer: Any, clear: Callable[[], None]) -> None:
        """``clear`` the slot if it is still the signer's."""
        with self._one_at_a_time:
            if self._holder(slot) is signer:
                clear()
                del self._holders[slot]

    def _holder(self, slot: tuple[int, int]) -> Any:
        holder = self._holders.get(slot)
        return None if holder is None else holder()


_slots: Final = Slots()


def native_library() -> Any:
    """The venue's signer, loaded once per process.

    :raises UnsupportedOperation: it is not installed; it says how to.
    """
    from ccxt.static_dependencies.lighter_client.signer import (  # type: ignore[import-untyped]
        load_lighter_library,
    )

    found = importlib.util.find_spec("lighter")
    places = list(found.submodule_search_locations or ()) if found else []
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
    ending = {"Darwin": "dylib", "Windows": "dll"}.get(platform.system(), "so")
    name = f"lighter-signer-{platform.system().lower()}-{machine}.{ending}"
    for place in places:
        path = Path(place) / "signers" / name
        if path.is_file():
            return load_lighter_library(str(path))
    raise lacking("lighter", INSTALL)


def _tamed(base: Any) -> Any:
    class Lighter(base):  # type: ignore[misc]  # its base is only known at run time
        async def load_account(self, *args: Any, **kwargs: Any) -> Any:
            return self.options["library"]

        async def change_api_key(self, *args: Any, **kwargs: Any) -> Any:
            raise PermissionError("no key is ever registered by the gateway")

        approve_builder_fee = change_api_key

        def lighter_sign_create_order(self, signer: Any, request: Any) -> Any:
            return self._in_its_slot(lambda: super(Lighter, self).lighter_sign_create_order(signer, request))

        def lighter_sign_cancel_order(self, signer: Any, request: Any) -> Any:
            return self._in_its_slot(lambda: super(Lighter, self).lighter_sign_cancel_order(signer, request))

        def lighter_sign_cancel_all_orders(self, signer: Any, request: Any) -> Any:
            return self._in_its_slot(lambda: super(Lighter, self).lighter_sign_cancel_all_orders(signer, request))

        def lighter_sign_update_leverage(self, signer: Any, request: Any) -> Any:
            return self._in_its_slot(lambda: super(Lighter, self).lighter_sign_update_leverage(signer, request))

        def lighter_create_auth_token(self, signer: Any, request: Any) -> Any:
            return self._in_its_slot(lambda: super(Lighter, self).lighter_create_auth_token(signer, request))

        def forget_key(self) -> None:
            """The library has no way to let go of a key but to be given another."""
            _slots.emptied(self._slot, self, lambda: self._take_slot(_NO_KEY))

        def _in_its_slot(self, sign: Callable[[], Any]) -> Any:
            account, index = self._slot
            key = self.options["auths"][str(account)][str(index)]["lighterPrivateKey"]
            return _slots.signed(self._slot, self, lambda: self._take_slot(key), sign)

        @property
        def _slot(self) -> tuple[int, int]:
            return int(self.options["accountIndex"]), int(self.options["apiKeyIndex"])

        def _take_slot(self, key: str) -> None:
            account, index = self._slot
            self.lighter_create_client(self.options["library"], self.options["chainId"], key, index, account)

        async def fetch_markets(self, params: Any = None) -> Any:
            markets = await super().fetch_markets()
            for market in markets:
                if fraction := int(market["info"].get("min_initial_margin_fraction") or 0):
                    market["limits"]["leverage"]["max"] = str(10_000 // fraction)
            return markets

    return Lighter


def config(
    secrets: Mapping[str, str], network: Network, library_of: Callable[[], Any] = native_library
) -> dict[str, Any]:
    """ccxt reads the key from here, and nowhere else."""
    options: dict[str, Any] = {"builderFee": False, "approvedBuilderFee": False}
    if not secrets:
        return {"options": options}
    account, index = secrets["account_index"], secrets["api_key_index"]
    library = library_of()
    auth = {"lighterPrivateKey": secrets["private_key"], "signer": library, "deadline": None, "token": None}
    return {
        "options": {
            **options,
            "accountIndex": int(account),
            "apiKeyIndex": int(index),
            "auths": {account: {index: auth}},
            # Told, so that it does not ask before an order.
            "tiersForAccountIndexes": {account: True},
            "library": library,
        }
    }


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    if not isinstance(document, dict) or str(document.get("code", 200)) in ("200", "0"):
        return None
    return str(document["code"]), str(document.get("message") or document.get("msg") or "")


def _is_shaped(path: str, document: Document) -> bool:
    return isinstance(document, dict) and str(document.get("code")) == "200"


def _trigger(side: Side, execution: Stop | TakeProfit) -> dict[str, Any]:
    name = "stopLossPrice" if isinstance(execution, Stop) else "takeProfitPrice"
    return {name: trimmed(execution.trigger_price)}


def _expiry(submission: Submission, now_ms: int) -> dict[str, Any]:
    """What rests has a default of its own; a trigger order without a last day is refused."""
    rests = isinstance(submission.intent.execution, Limit | PostOnly)
    return {} if rests else {"orderExpiry": now_ms + _RESTS_FOR_MS}


class LighterSession(RawSession):
    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        """The venue lists orders, not prices."""
        request = {"market_id": instrument.venue_symbol, "limit": _BOOK_ORDERS}
        asked = self._exchange.public_get_orderbookorders(request)
        return await self._read(asked, lambda reply: _book(reply, depth))

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        rates = await self._read(self._exchange.public_get_funding_rates(), _rates)
        return FundingRate(rate=_rate(rates, instrument), next_funding_ms=self._next_hour_ms())

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        rates, details = await asyncio.gather(
            self._read(self._exchange.public_get_funding_rates(), _rates),
            self._read(self._exchange.public_get_orderbookdetails(), _details),
        )
        return [
            MarketSummary(
                symbol=instrument.symbol,
                mark_price=(mark := positive(told["mark_price"])),
                funding_rate=_rate(rates, instrument),
                open_interest=exact(told["open_interest"]) * mark,
            )
            for instrument in self._names.markets
            if instrument.venue_symbol in rates and (told := details.get(instrument.venue_symbol))
        ]

    async def get_fees(self, instrument: Instrument) -> Fees:
        """Of the account's tier, the same in every market."""
        return await self._read(self._exchange.private_get_accountlimits(self._account), _fees)

    async def get_balance(self) -> Balance:
        return await self._read(self._asked_account(), lambda reply: _balance(_only_account(reply)))

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        found = await self._read(self._asked_account(), lambda reply: self._positions_of(_only_account(reply)))
        return raw.on(instrument, found)

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        request = dict(self._account)
        if instrument is not None:
            request["market_id"] = instrument.venue_symbol
        orders = await self._read(self._exchange.private_get_accountactiveorders(request), self._listed_orders)
        return raw.on(instrument, orders)

    async def get_fills(self, instrument: Instrument, limit: int) -> Sequence[Fill]:
        request = {
            **self._account,
            "market_id": instrument.venue_symbol,
            "sort_by": "timestamp",
            "limit": min(limit, _PAGE),
        }
        asked = self._exchange.private_get_trades(request)
        fills = await self._read(asked, lambda reply: [self._fill(row, instrument) for row in reply["trades"]])
        return sorted(fills, key=lambda fill: -fill.at_ms)[:limit]

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        """By our number where it is one, by the venue's among what is open or was of late otherwise."""
        if int(self._known(order_id, instrument)) < _CLIENT_IDS:
            found = await self._with_number(order_id)
        else:
            found = raw.numbered(await self.get_open_orders(instrument), order_id)
        if found is None and instrument is not None:
            found = raw.numbered(await self._past_orders(instrument), order_id)
        if found is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "the venue has no such order")
        return found

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        return await self._with_number(client_id) or raw.labeled(await self._past_orders(instrument), client_id)

    async def place_order(self, submission: Submission) -> Order:
        raw.time_left_ms(submission, self._now_ms())
        return await super().place_order(submission)

    async def test(self) -> Sequence[str]:
        """What an account holds is public: its orders are not."""
        await self.get_open_orders(None)
        return [_WITHDRAWS]

    async def close(self) -> None:
        await asyncio.to_thread(self._exchange.forget_key)

    @property
    def _account(self) -> dict[str, Any]:
        return {"account_index": self._secrets["account_index"]}

    def _asked_account(self) -> Any:
        return self._exchange.public_get_account({"by": "index", "value": self._secrets["account_index"]})

    async def _with_number(self, client_id: str) -> Order | None:
        """:raises VenueUnclear: the venue answered with another."""
        asked = self._exchange.private_get_accountorders({**self._account, "client_order_indexes": client_id})
        orders = await self._read(asked, self._listed_orders)
        if any(order.client_id != client_id for order in orders):
            raise VenueUnclear(Reason.OTHER, "the venue answered with another order")
        return max(orders, key=lambda order: order.created_at_ms, default=None)

    async def _past_orders(self, instrument: Instrument) -> list[Order]:
        request = {**self._account, "market_id": instrument.venue_symbol, "limit": _PAGE}
        return await self._read(self._exchange.private_get_accountinactiveorders(request), self._listed_orders)

    def _next_hour_ms(self) -> int:
        now_ms = self._now_ms()
        return now_ms - now_ms % _HOUR_MS + _HOUR_MS

    def _acknowledged(self, order: unified.Structure, submission: Submission) -> Order:
        """The venue gives an order its number later. Ours cancels and finds it as well, so that is its number here."""
        return super()._acknowledged({**order, "id": submission.client_id}, submission)

    def _listed_orders(self, reply: Document) -> list[Order]:
        rows = self._on_known_markets(reply["orders"], "market_index")
        return [self._order_of(row) for row in rows if row["type"] in _KINDS]

    def _order_of(self, row: Mapping[str, Any]) -> Order:
        kind = _KINDS[row["type"]]
        size, filled = positive(row["initial_base_amount"]), exact(row["filled_base_amount"])
        ours = int(row["client_order_index"])
        return Order(
            order_id=str(ours or int(row["order_index"])),
            client_id=str(ours) if ours else None,
            symbol=self._instrument(row["market_index"]).symbol,
            side=Side.SELL if _flag(row["is_ask"]) else Side.BUY,
            type=kind,
            size=size,
            filled_size=filled,
            price=positive(row["price"]) if kind is OrderType.LIMIT else None,
            trigger_price=positive(row["trigger_price"]) if kind in _TRIGGERED else None,
            average_price=rounded(exact(row["filled_quote_amount"]) / filled) if filled else None,
            reduce_only=_flag(row["reduce_only"]),
            status=_status(row["status"], kind, filled, size),
            created_at_ms=_milliseconds(row["created_at"]),
        )

    def _positions_of(self, account: Mapping[str, Any]) -> list[Position]:
        rows = self._on_known_markets(account["positions"], "market_id")
        return [_position(row, self._instrument(row["market_id"])) for row in rows if exact(row["position"])]

    def _fill(self, row: Mapping[str, Any], instrument: Instrument) -> Fill:
        """A fee is a number of ticks, and not there where it is none."""
        account = int(self._secrets["account_index"])
        sides = {int(row["ask_account_id"]): "ask", int(row["bid_account_id"]): "bid"}
        side = sides[account]
        made = _flag(row["is_maker_ask"]) is (side == "ask")
        ticks = int(row.get("maker_fee" if made else "taker_fee") or 0)
        client_id = int(row.get(f"{side}_client_id") or 0)
        return Fill(
            fill_id=str(int(row["trade_id"])),
            order_id=str(client_id or int(row[f"{side}_id"])),
            symbol=instrument.symbol,
            side=Side.SELL if side == "ask" else Side.BUY,
            size=positive(row["size"]),
            price=positive(row["price"]),
            fee=rounded(exact(row["usd_amount"]) * ticks / _FEE_TICKS),
            at_ms=_milliseconds(row["timestamp"]),
        )


def _flag(value: Any) -> bool:
    if value not in (True, False):
        raise ValueError("neither yes nor no")
    return bool(value)


def _milliseconds(value: int) -> int:
    """Orders are told in seconds, trades in milliseconds."""
    return value * 1000 if value < 10**11 else value


def _status(told: str, kind: OrderType, filled: Decimal, size: Decimal) -> OrderStatus:
    status = raw.checked(OrderStatus.OPEN if told in _LIVE else _OVER[told], filled, size)
    return OrderStatus.PENDING if status is OrderStatus.OPEN and kind in _TRIGGERED else status


def _position(row: Mapping[str, Any], instrument: Instrument) -> Position:
    size, sign = positive(row["position"]), int(row["sign"])
    if sign not in (1, -1):
        raise ValueError("neither long nor short")
    return raw.position(
        instrument,
        signed_size=size * sign,
        entry_price=positive(row["avg_entry_price"]),
        mark_price=rounded(positive(row["position_value"]) / size),
        unrealized_pnl=exact(row["unrealized_pnl"]),
        leverage=round(Decimal(100) / positive(row["initial_margin_fraction"])),
        liquidation_price=optional(row.get("liquidation_price")),
    )


def _book(reply: Document, depth: int) -> OrderBook:
    return OrderBook(bids=_levels(reply["bids"], depth), asks=_levels(reply["asks"], depth))


def _levels(orders: Sequence[Mapping[str, Any]], depth: int) -> tuple[Level, ...]:
    sizes: dict[Decimal, Decimal] = {}
    for order in orders:
        price = positive(order["price"])
        sizes[price] = sizes.get(price, ZERO) + positive(order["remaining_base_amount"])
    return tuple(Level(price, size) for price, size in sizes.items())[:depth]


def _rates(reply: Document) -> dict[str, Decimal]:
    return {
        str(row["market_id"]): rounded(exact(str(row["rate"])) / _LISTED_HOURS)
        for row in reply["funding_rates"]
        if row["exchange"] == "lighter"
    }


def _rate(rates: Mapping[str, Decimal], instrument: Instrument) -> Decimal:
    rate = rates.get(instrument.venue_symbol)
    if rate is None:
        raise VenueUnclear(Reason.OTHER, "the venue told no funding rate of this market")
    return rate


def _details(reply: Document) -> dict[str, Any]:
    return {str(row["market_id"]): row for row in reply["order_book_details"]}


def _fees(limits: Document) -> Fees:
    maker, taker = (exact(str(limits[f"current_{side}_fee_tick"])) / _TICKS_PER_BP for side in ("maker", "taker"))
    return Fees(maker_bps=maker, taker_bps=taker)


def _only_account(reply: Document) -> Mapping[str, Any]:
    (account,) = reply["accounts"]
    return msgspec.convert(account, dict[str, Any])


def _balance(account: Document) -> Balance:
    equity = exact(account["total_asset_value"])
    return Balance(equity=equity, free_collateral=exact(account["available_balance"]), account_value=equity)


QUIRKS: Final = Quirks(
    ccxt_id="lighter",
    urls={
        Network.MAINNET: dict.fromkeys(("root", "public", "private"), "https://mainnet.zklighter.elliot.ai"),
        Network.TESTNET: dict.fromkeys(("root", "public", "private"), "https://testnet.zklighter.elliot.ai"),
    },
    config=config,
    tame=_tamed,
    signs_in_threads=True,
    refusal=_refusal,
    is_shaped=_is_shaped,
    # There is no fill-or-kill; what ccxt is told of it ends in the native library, as no number.
    limit={TimeInForce.GTC: {"timeInForce": "GTT"}, TimeInForce.IOC: {"timeInForce": "IOC"}},
    post_only={"postOnly": True},
    reduce_only={"reduceOnly": True},
    expiry=_expiry,
    trigger=_trigger,
    triggered_slippage_bps=500,
    leverage={"marginMode": "cross"},
    balance=_balance,
    client_id=int,
    mark_source=MarkSource.TICKER,
    # Of a standard account, by address: https://apidocs.lighter.xyz, "Rate limits".
    weight_per_minute=60,
)

CREDENTIAL_FIELDS: Final = (
    CredentialField(
        name="account_index", description="Number of the account that trades", secret=False, check=decimal_id
    ),
    CredentialField(
        name="api_key_index",
        description="Number of the API key, from 4 to 254",
        secret=False,
        check=lighter_key_index,
    ),
    CredentialField(
        name="private_key",
        description="Private key of that API key, not of a wallet",
        check=lighter_key,
    ),
)


def row(quirks: Quirks) -> Row:
    return bridged(
        "lighter",
        quirks=quirks,
        session=LighterSession,
        capabilities=CAPABILITIES,
        credential_fields=CREDENTIAL_FIELDS,
        # Never zero, which stands for none.
        client_id=lambda token: str(int.from_bytes(token[:6], "big") % (_CLIENT_IDS - 1) + 1),
        describe=lambda secrets: f"account {secrets['account_index']}" if "account_index" in secrets else "",
    )


LIGHTER: Final = row(QUIRKS)
