"""Pacifica: every write is a JSON message signed with an ed25519 key; what an account holds is public.

ccxt builds and signs the messages. It reads orders under names that the venue does not use, so that is done here.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from solders.keypair import Keypair

from adapters.base import (
    NATIVE,
    Capabilities,
    Capability,
    CredentialField,
    Dedupe,
    Grouping,
    LegOutcome,
    Network,
    Submission,
    TriggerSource,
)
from adapters.ccxt_venues.bridge import raw
from adapters.ccxt_venues.bridge.quirks import Document, Quirks
from adapters.ccxt_venues.bridge.raw import RawSession
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.bridge.session import done, understood
from adapters.ccxt_venues.checks import check, refused
from adapters.ccxt_venues.numbers import exact, optional, positive, rounded
from adapters.ccxt_venues.refusals import Action
from adapters.ccxt_venues.secret_checks import solana_address, solana_key
from normalization.accounts import Balance, Position
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
from normalization.venue_failures import Reason, VenueFailure, VenueRejected, VenueUnclear

CAPABILITIES: Final = Capabilities(
    supports=NATIVE,
    emulated={Capability.POSITIONS: "leverage and mark price from the account's settings and the market's prices"},
    request_expiry=True,
    lookup_includes_finished=True,
    judges_later=True,
    trigger_source=TriggerSource.MARK,
    client_id="UUID, version 4",
    dedupe=Dedupe.OPEN_ORDERS,
    least_privilege="an agent wallet: trades, cannot withdraw",
)

_HOUR_MS: Final = 3_600_000
_LOOK_BACK_MS: Final = 25 * _HOUR_MS
_PAGE: Final = 100
_MOST_PAGES: Final = 20

_SIDES: Final = {"bid": Side.BUY, "ask": Side.SELL}
_STATUSES: Final = {
    "open": OrderStatus.OPEN,
    "partially_filled": OrderStatus.OPEN,
    "filled": OrderStatus.FILLED,
    "cancelled": OrderStatus.CANCELED,
    "rejected": OrderStatus.REJECTED,
    "expired": OrderStatus.EXPIRED,
}
_TYPES: Final = {
    "limit": OrderType.LIMIT,
    "market": OrderType.MARKET,
    "stop_limit": OrderType.STOP,
    "stop_market": OrderType.STOP,
    "stop_loss_limit": OrderType.STOP,
    "stop_loss_market": OrderType.STOP,
    "take_profit_limit": OrderType.TAKE_PROFIT,
    "take_profit_market": OrderType.TAKE_PROFIT,
}
_TRIGGERED: Final = frozenset({OrderType.STOP, OrderType.TAKE_PROFIT})


def _tamed(base: Any) -> Any:
    class Pacifica(base):  # type: ignore[misc]  # its base is only known at run time
        def sign_message(self, header: Any, payload: Any, privateKey: str) -> str:
            """ccxt loses the zeros that a key or a signature begins with."""
            text = self.prepare_message(header, payload)
            return str(Keypair.from_base58_string(privateKey).sign_message(text.encode()))

    return Pacifica


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    if not secrets:
        return {}
    signer = str(Keypair.from_base58_string(secrets["private_key"]).pubkey())
    agent = {} if signer == secrets["account_address"] else {"agentAddress": signer}
    return {
        "privateKey": secrets["private_key"],
        "walletAddress": secrets["account_address"],
        "options": {"builderFee": False, **agent},
    }


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    """``error_id`` is more exact than ``code``, which may repeat the status."""
    if not isinstance(document, dict) or document.get("success") is True or "error" not in document:
        return None
    code = document.get("error_id") or document.get("code")
    return str(status if code is None else code), str(document["error"] or "")


def _is_shaped(path: str, document: Document) -> bool:
    return isinstance(document, dict) and document.get("success") is True


def _expiry(submission: Submission, now_ms: int) -> dict[str, Any]:
    """From the clock: ccxt's own timestamp is a nonce and may be ahead of it."""
    return {"timestamp": now_ms, "expiryWindow": submission.valid_until_ms - now_ms}


def _trigger(side: Side, execution: Stop | TakeProfit) -> dict[str, Any]:
    if isinstance(execution, TakeProfit):
        raise refused("a take-profit is set on this venue only together with a stop")
    return {"triggerPrice": trimmed(execution.trigger_price)}


class PacificaSession(RawSession):
    async def get_mark_price(self, instrument: Instrument) -> MarkPrice:
        prices = (await self._prices())[instrument.venue_symbol]
        return MarkPrice(mark_price=positive(prices["mark"]), index_price=optional(prices.get("oracle")))

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        """``funding`` is what the last hour paid, ``next_funding`` what this one will, at its end."""
        prices = (await self._prices())[instrument.venue_symbol]
        at_ms = int(prices["timestamp"])
        return FundingRate(rate=exact(prices["next_funding"]), next_funding_ms=at_ms - at_ms % _HOUR_MS + _HOUR_MS)

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        prices = await self._prices()
        return [
            MarketSummary(
                symbol=instrument.symbol,
                mark_price=positive(told["mark"]),
                funding_rate=exact(told["next_funding"]),
                open_interest=exact(told["open_interest"]),
            )
            for instrument in self._names.markets
            if (told := prices.get(instrument.venue_symbol))
        ]

    async def get_positions(self, instrument: Instrument | None) -> Sequence[Position]:
        account = {"account": self._secrets["account_address"]}
        held, settings, prices = await asyncio.gather(
            self._read(self._exchange.public_get_positions(account), _rows),
            self._read(self._exchange.public_get_account_settings(account), _by_symbol),
            self._prices(),
        )
        positions = understood(
            lambda: [self._position_of(row, settings, prices) for row in self._on_known_markets(held)]
        )
        return raw.on(instrument, positions)

    async def get_open_orders(self, instrument: Instrument | None) -> Sequence[Order]:
        asked = self._exchange.public_get_orders({"account": self._secrets["account_address"]})
        orders = await self._read(
            asked, lambda reply: [self._order_of(row) for row in self._on_known_markets(_rows(reply))]
        )
        return raw.on(instrument, orders)

    async def get_order(self, order_id: str, instrument: Instrument | None) -> Order:
        number = int(self._known(order_id, instrument))
        asked = self._exchange.public_get_orders_history_by_id({"order_id": number})
        if events := await self._read(asked, _rows):
            return understood(lambda: self._order_of_events(events))
        if found := raw.numbered(await self.get_open_orders(instrument), order_id):
            return found
        raise VenueRejected(Reason.ORDER_NOT_FOUND, "the venue has no such order")

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        """Among the open orders, and in the history as far back as an order can still be in doubt.

        :raises VenueUnclear: there was more in that time than can be looked through.
        """
        if order := raw.labeled(await self.get_open_orders(instrument), client_id):
            return order
        request: dict[str, Any] = {"account": self._secrets["account_address"], "limit": _PAGE}
        for _ in range(_MOST_PAGES):
            page = await self._read(self._exchange.public_get_orders_history(dict(request)), _page)
            if found := next((row.order_id for row in page.rows if row.client_order_id == client_id), None):
                return await self.get_order(str(found), instrument)
            oldest_ms = min((row.created_at for row in page.rows), default=0)
            if page.next_cursor is None or oldest_ms < self._now_ms() - _LOOK_BACK_MS:
                return None
            request["cursor"] = page.next_cursor
        raise raw.too_long()

    async def place_orders(self, submissions: Sequence[Submission], grouping: Grouping) -> Sequence[LegOutcome]:
        if grouping is Grouping.NONE:
            return await super().place_orders(submissions, grouping)
        await self._ask(Action.PLACE, self._protection(submissions), done)
        return [await self._placed(submission) for submission in submissions]

    async def cancel_order(self, order_id: str, instrument: Instrument | None) -> None:
        number, theirs = self._known(order_id, instrument), self._their_symbol(instrument)
        await self._cancel(number, theirs, {})

    async def cancel_by_client_id(self, client_id: str, instrument: Instrument) -> None:
        await self._cancel(None, self._theirs(instrument), {"clientOrderId": client_id})

    async def cancel_all(self, instrument: Instrument) -> None:
        await super().cancel_all(instrument)
        # Whether that takes the waiting ones along is not documented.
        await self.cancel_listed(instrument)

    async def test(self) -> Sequence[str]:
        """By canceling an order that does not exist: everything that can be read of an account can be by anybody."""
        market = next(iter(self._names.markets))
        try:
            await self.cancel_by_client_id(str(uuid.uuid4()), market)
        except VenueRejected as refusal:
            if refusal.reason is not Reason.ORDER_NOT_FOUND:
                raise
        return [] if self._exchange.options.get("agentAddress") else [_OWN_KEY]

    async def _prices(self) -> Mapping[str, Any]:
        return await self._read(self._exchange.public_get_info_prices(), _by_symbol)

    async def _cancel(self, number: str | None, theirs: str | None, params: Mapping[str, Any]) -> None:
        await self._first_found(
            Action.CANCEL,
            done,
            lambda: self._exchange.cancel_order(number, theirs, dict(params)),
            lambda: self._exchange.cancel_order(number, theirs, {**params, "trigger": True}),
        )

    async def _protection(self, submissions: Sequence[Submission]) -> Any:
        """Both legs in one message: ccxt would leave out their sizes and ids."""
        legs: dict[str, Any] = {}
        for submission in submissions:
            check(submission)
            execution = submission.intent.execution
            if not isinstance(execution, Stop | TakeProfit):
                raise refused("a position is protected by a stop and a take-profit")
            legs["stop_loss" if isinstance(execution, Stop) else "take_profit"] = {
                "stop_price": trimmed(execution.trigger_price),
                "amount": trimmed(submission.intent.size),
                "client_order_id": submission.client_id,
            }
        first = submissions[0]
        payload = {
            "symbol": first.instrument.venue_symbol,
            "side": "bid" if first.intent.side is Side.BUY else "ask",
            **legs,
        }
        request = self._exchange.post_action_request("set_position_tpsl", payload, _expiry(first, self._now_ms()))
        return await self._exchange.private_post_positions_tpsl(request)

    async def _placed(self, submission: Submission) -> LegOutcome:
        """The venue does not say under which number it took a leg."""
        try:
            found = await self.find_order(submission.client_id, submission.instrument)
        except VenueFailure as failure:
            return VenueUnclear(failure.reason, failure.text)
        return found or VenueUnclear(Reason.OTHER, "taken, and not among the orders yet")

    def _order_of(self, row: Mapping[str, Any]) -> Order:
        """An open order, or the last event of one."""
        kind = _TYPES[row["order_type"]]
        size, filled = positive(row["initial_amount"]), exact(row["filled_amount"])
        status = raw.checked(_STATUSES[row.get("order_status") or "open"], filled, size)
        if kind in _TRIGGERED and status is OrderStatus.OPEN:
            status = OrderStatus.PENDING
        return Order(
            order_id=str(int(row["order_id"])),
            client_id=row.get("client_order_id") or None,
            symbol=self._instrument(row["symbol"]).symbol,
            side=_SIDES[row["side"]],
            type=kind,
            size=size,
            filled_size=filled,
            price=positive(row["price"]) if kind is OrderType.LIMIT else None,
            trigger_price=positive(row["stop_price"]) if kind in _TRIGGERED else None,
            reduce_only=row["reduce_only"] is True,
            status=status,
            created_at_ms=int(row["created_at"]),
        )

    def _order_of_events(self, rows: Sequence[Mapping[str, Any]]) -> Order:
        """As it stands after all that happened to it: the price of a fill is that of its event."""
        events = sorted(rows, key=lambda row: int(row["history_id"]))
        order = self._order_of(events[-1])
        value, before = ZERO, ZERO
        for event in events:
            filled = exact(event["filled_amount"])
            value += (filled - before) * exact(event["price"])
            before = filled
        return msgspec.structs.replace(
            order,
            price=positive(events[0]["price"]) if order.type is OrderType.LIMIT else None,
            average_price=rounded(value / before) if before else None,
            created_at_ms=int(events[0]["created_at"]),
        )

    def _position_of(self, row: Mapping[str, Any], settings: Mapping[str, Any], prices: Mapping[str, Any]) -> Position:
        """Of an account that never set it, the leverage is the market's highest."""
        instrument, setting = self._instrument(row["symbol"]), settings.get(row["symbol"])
        return raw.position(
            instrument,
            signed_size=positive(row["amount"]) * _SIDES[row["side"]].sign,
            entry_price=positive(row["entry_price"]),
            mark_price=positive(prices[row["symbol"]]["mark"]),
            leverage=int(setting["leverage"]) if setting else instrument.max_leverage,
            liquidation_price=optional(row.get("liquidation_price")),
        )


_OWN_KEY: Final = "this is the account's own key, which can withdraw: use an agent wallet"


def _rows(reply: Document) -> list[dict[str, Any]]:
    rows = reply["data"]
    if not isinstance(rows, list):
        raise ValueError("no list")
    return rows


def _by_symbol(reply: Document) -> dict[str, Any]:
    return {row["symbol"]: row for row in _rows(reply)}


class _Past(msgspec.Struct, frozen=True):
    """What finding an order in the history takes."""

    order_id: int
    created_at: int
    client_order_id: str | None = None


class _Page(msgspec.Struct, frozen=True):
    rows: list[_Past] = msgspec.field(name="data")
    has_more: bool = False
    cursor: str | None = msgspec.field(name="next_cursor", default=None)

    @property
    def next_cursor(self) -> str | None:
        return self.cursor if self.has_more else None


def _page(reply: Document) -> _Page:
    return msgspec.convert(reply, _Page)


def _balance(info: Document) -> Balance:
    equity = exact(info["account_equity"])
    return Balance(equity=equity, free_collateral=exact(info["available_to_spend"]), account_value=equity)


QUIRKS: Final = Quirks(
    ccxt_id="pacifica",
    urls={
        Network.MAINNET: dict.fromkeys(("public", "private"), "https://api.pacifica.fi"),
        Network.TESTNET: dict.fromkeys(("public", "private"), "https://test-api.pacifica.fi"),
    },
    config=_config,
    tame=_tamed,
    refusal=_refusal,
    is_shaped=_is_shaped,
    # A time in force that ccxt does not know becomes GTC there, and ``postOnly`` is passed on to nobody.
    limit={TimeInForce.GTC: {"timeInForce": "GTC"}, TimeInForce.IOC: {"timeInForce": "IOC"}},
    post_only={"timeInForce": "PO"},
    reduce_only={"reduceOnly": True},
    expiry=_expiry,
    trigger=_trigger,
    # As a market order it would execute at once.
    triggered_as="limit",
    balance=_balance,
    # By address without an API configuration key: https://docs.pacifica.fi, "Rate limits"; cancels count half.
    weight=lambda path: 0.5 if "cancel" in path else 1,
    weight_per_minute=120,
)

PACIFICA: Final = bridged(
    "pacifica",
    quirks=QUIRKS,
    session=PacificaSession,
    capabilities=CAPABILITIES,
    credential_fields=(
        CredentialField(
            name="account_address",
            description="Solana address of the account that trades, not of its agent wallet",
            secret=False,
            check=solana_address,
        ),
        CredentialField(
            name="private_key",
            description="Private key, in base58, of an agent wallet bound to the account: it can trade, not withdraw",
            check=solana_key,
        ),
    ),
    client_id=lambda token: str(uuid.UUID(bytes=token, version=4)),
    describe=lambda secrets: secrets.get("account_address", ""),
)
