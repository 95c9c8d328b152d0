"""GRVT: a session by API key, and an EIP-712 signature over every order by the key that belongs to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from decimal import Decimal
from email.utils import parsedate_to_datetime
from http.cookies import SimpleCookie
from typing import Any, Final, TypeVar

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
from adapters.ccxt_venues.bridge.quirks import (
    ALL_TIMES_IN_FORCE,
    Document,
    MarkSource,
    Quirks,
    fires_on_the_way_up,
    rests,
)
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.bridge.session import BridgedSession
from adapters.ccxt_venues.link import before_sending
from adapters.ccxt_venues.numbers import exact
from adapters.ccxt_venues.refusals import Action
from adapters.ccxt_venues.secret_checks import api_key, decimal_id, ethereum_key
from adapters.transport import Reply, Request
from normalization.accounts import Balance
from normalization.decimals import trimmed
from normalization.instruments import Instrument
from normalization.market_data import FundingRate
from normalization.orders import Order, OrderType, Side, Stop, TakeProfit
from normalization.venue_failures import Reason, VenueFailure, VenueUnclear

T = TypeVar("T")

CAPABILITIES: Final = Capabilities(
    supports=NATIVE - {Capability.PROTECTION, Capability.FEES, Capability.MARKETS_WITH_FUNDING},
    unsupported={
        Capability.PROTECTION: "Place two reduce-only stop orders, and cancel the other when one has filled.",
        Capability.FEES: "The venue does not tell its fees ahead: getFills has what was paid.",
        Capability.MARKETS_WITH_FUNDING: "Ask getFundingRate for each market.",
    },
    # A signature's end is the order's: one that rests must be signed for weeks.
    request_expiry=False,
    lookup_includes_finished=True,
    judges_later=True,
    trigger_source=TriggerSource.MARK,
    client_id="a number from 2^63 to 2^64 - 1",
    dedupe=Dedupe.OPEN_ORDERS,
    least_privilege="an API key with the permission to trade and no other",
)

_NO_ID: Final = ("", "0x00", "0x0")
_LOOKS_S: Final = (0, 0.05, 0.15, 0.4)
_PAST_ORDERS: Final = 1_000
_HUNDRED: Final = Decimal(100)
_NANOSECONDS: Final = 1_000_000
# "Must be capped at 30 days."
_RESTS_FOR_MS: Final = 29 * 86_400_000
_FRESH_FOR_MS: Final = 60_000
_PRICE_SCALE: Final = 9
# The list of markets says nothing of it; the venue refuses what is beyond a market's own.
_HIGHEST_LEVERAGE: Final = 50


# Of the order that is being signed: ccxt has no way to hand it through.
_expires_at_ms: ContextVar[int] = ContextVar("expires_at_ms")


def _tamed(base: Any) -> Any:
    class Grvt(base):  # type: ignore[misc]  # its base is only known at run time
        def nonce(self) -> int:
            """Thirty-two bits of milliseconds that never repeat; ccxt's are seconds."""
            return int(self.milliseconds()) % 2**32

        def default_signature(self) -> dict[str, Any]:
            """ccxt signs for thirty seconds, after which a good-till-canceled order is gone."""
            return {**super().default_signature(), "expiration": str(_expires_at_ms.get() * _NANOSECONDS)}

        def eip_message_for_order(self, order: Any, structure: str) -> dict[str, Any]:
            """Exactly: ccxt multiplies in floating point."""
            legs = []
            for leg in order["legs"]:
                listed = self.market(leg["instrument"])["info"]
                legs.append(
                    {
                        "assetID": listed["instrument_hash"],
                        "contractSize": _scaled(leg["size"], int(listed["base_decimals"])),
                        "limitPrice": _scaled(leg["limit_price"] or "0", _PRICE_SCALE),
                        "isBuyingContract": leg["is_buying_asset"],
                    }
                )
            return {
                "subAccountID": order["sub_account_id"],
                "isMarket": order["is_market"],
                "timeInForce": self.time_in_force_to_int(order["time_in_force"]),
                "postOnly": order["post_only"],
                "reduceOnly": order["reduce_only"],
                "legs": legs,
                "nonce": order["signature"]["nonce"],
                "expiration": order["signature"]["expiration"],
            }

        def parse_market(self, market: Any) -> Any:
            found = super().parse_market(market)
            if found is not None:
                found["limits"]["leverage"]["max"] = str(_HIGHEST_LEVERAGE)
            return found

    return Grvt


def _scaled(value: str, places: int) -> int:
    """:raises ValueError: it has more decimal places than that."""
    number = exact(value).scaleb(places)
    if number != int(number):
        raise ValueError("more decimal places than the venue signs")
    return int(number)


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    options: dict[str, Any] = {"builderFee": False}
    if not secrets:
        return {"options": options}
    return {
        "apiKey": secrets["api_key"],
        "secret": "0x" + secrets["private_key"].removeprefix("0x"),
        "requiredCredentials": {"privateKey": False, "apiKey": True, "secret": True},
        "options": {**options, "accountId": secrets["sub_account_id"]},
    }


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    if not isinstance(document, dict) or "code" not in document:
        return None
    return str(document["code"]), str(document.get("message", ""))


def _is_shaped(path: str, document: Document) -> bool:
    if path.endswith("/set_initial_leverage"):
        return isinstance(document, dict) and document.get("success") is True
    return isinstance(document, dict) and isinstance(document.get("result"), dict | list)


def _trigger(side: Side, execution: Stop | TakeProfit) -> dict[str, Any]:
    """ccxt's ``stopLossPrice`` of a sell goes out as a take-profit."""
    return {
        "triggerPrice": trimmed(execution.trigger_price),
        "triggerDirection": "ascending" if fires_on_the_way_up(side, execution) else "descending",
        "triggerPriceType": "MARK",
    }


class GrvtSession(BridgedSession):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._logging_in = asyncio.Lock()
        self._logged_in_until_ms = 0

    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._read(self._exchange.fetch_ticker(self._theirs(instrument)), _funding)

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        """As it is, and in the history of the market."""
        if found := await super().find_order(client_id, instrument):
            return found
        past = await self._read(self._exchange.fetch_orders(self._theirs(instrument), None, _PAST_ORDERS), self._orders)
        return raw.labeled(past, client_id)

    async def place_order(self, submission: Submission) -> Order:
        until_ms = self._now_ms() + _RESTS_FOR_MS if rests(submission) else submission.valid_until_ms
        token = _expires_at_ms.set(until_ms)
        try:
            order = await super().place_order(submission)
        finally:
            _expires_at_ms.reset(token)
        return await self._numbered(submission) if order.order_id in _NO_ID else order

    async def _numbered(self, submission: Submission) -> Order:
        """The order under the number that the venue gave it a moment later.

        :raises VenueUnclear: it was taken, and is not to be seen yet.
        """
        for pause_s in _LOOKS_S:
            await self._tools.sleep(pause_s)
            try:
                found = await super().find_order(submission.client_id, submission.instrument)
            except VenueFailure:
                found = None
            if found is not None and found.order_id not in _NO_ID:
                return found
        raise VenueUnclear(Reason.OTHER, "taken, and not among the orders yet")

    def _order(self, order: unified.Structure) -> Order:
        trigger = order["info"]["metadata"].get("trigger") or {}
        kind = _TRIGGERS[trigger.get("trigger_type", "UNSPECIFIED")]
        if kind is None:
            return super()._order(order)
        return unified.order_of({**order, "triggerPrice": trigger["tpsl"]["trigger_price"]}, self._names, kind)

    async def _ask(self, action: Action, asked: Awaitable[Any], parse: Callable[[Any], T]) -> T:
        try:
            if action is Action.PLACE:
                await before_sending(self._log_in())
            else:
                await self._log_in()
        except BaseException:
            # It was never awaited.
            if asyncio.iscoroutine(asked):
                asked.close()
            raise
        try:
            return await super()._ask(action, asked, parse)
        except VenueFailure as failure:
            if failure.reason is Reason.AUTHENTICATION_FAILED:
                self._logged_in_until_ms = 0
            raise

    async def _log_in(self) -> None:
        """:raises VenueRejected: with ``AUTHENTICATION_FAILED``."""
        async with self._logging_in:
            if self._now_ms() < self._logged_in_until_ms:
                return
            request = Request(
                method="POST",
                url=f"{self._tools.urls['privateEdge']}auth/api_key/login",
                headers={"Content-Type": "application/json", "Cookie": "rm=true;"},
                body=json.dumps({"api_key": self._secrets["api_key"]}).encode(),
            )
            try:
                account, cookie, until_ms = await self._tools.link.ask_whole(Action.AUTHENTICATE, request, _session)
            except VenueFailure as failure:
                raise self._without_secrets(failure) from failure
            self._exchange.options |= {"AuthAccountId": account, "AuthCookieValue": cookie}
            self._logged_in_until_ms = until_ms - _FRESH_FOR_MS


_TRIGGERS: Final[Mapping[str, OrderType | None]] = {
    "UNSPECIFIED": None,
    "STOP_LOSS": OrderType.STOP,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT,
}


def _session(reply: Reply) -> tuple[str, str, int]:
    """Account, cookie, and until when.

    :raises ValueError, LookupError: it is no session.
    """
    cookies = SimpleCookie()
    cookies.load(reply.headers["set-cookie"])
    session = cookies["gravity"]
    until = parsedate_to_datetime(session["expires"])
    return reply.headers["x-grvt-account-id"], f"gravity={session.value}", int(until.timestamp() * 1000)


def _funding(ticker: unified.Structure) -> FundingRate:
    """The rate is in percentage points, the time in nanoseconds."""
    told = ticker["info"]
    return FundingRate(
        rate=exact(told["funding_rate"]) / _HUNDRED,
        next_funding_ms=int(told["next_funding_time"]) // _NANOSECONDS,
    )


def _balance(account: Document) -> Balance:
    equity = exact(account["total_equity"])
    return Balance(equity=equity, free_collateral=exact(account["available_balance"]), account_value=equity)


def _urls(kind: str) -> dict[str, str]:
    return {
        "privateEdge": f"https://edge.{kind}grvt.io/",
        "privateTrading": f"https://trades.{kind}grvt.io/",
        "publicMarket": f"https://market-data.{kind}grvt.io/",
    }


QUIRKS: Final = Quirks(
    ccxt_id="grvt",
    urls={Network.MAINNET: _urls(""), Network.TESTNET: _urls("testnet.")},
    config=_config,
    tame=_tamed,
    refusal=_refusal,
    is_shaped=_is_shaped,
    limit=ALL_TIMES_IN_FORCE,
    post_only={"postOnly": True},
    reduce_only={"reduceOnly": True},
    trigger=_trigger,
    balance=_balance,
    order_ids="0x[0-9a-fA-F]{1,64}",
    needs_market=False,
    mark_source=MarkSource.TICKER,
    weight_per_minute=600,
)

GRVT: Final = bridged(
    "grvt",
    quirks=QUIRKS,
    session=GrvtSession,
    capabilities=CAPABILITIES,
    credential_fields=(
        CredentialField(name="api_key", description="API key with the permission to trade", check=api_key),
        CredentialField(
            name="private_key",
            description="Secret private key that was shown when the API key was made",
            check=ethereum_key,
        ),
        CredentialField(
            name="sub_account_id",
            description="Number of the trading account, from the venue's API keys page",
            secret=False,
            check=decimal_id,
        ),
    ),
    client_id=lambda token: str(int.from_bytes(token[:8], "big") | 1 << 63),
    describe=lambda secrets: secrets.get("sub_account_id", ""),
)
