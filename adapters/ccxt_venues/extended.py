"""Extended: a Starknet exchange. Orders carry a Stark signature over what they settle; everything else an API key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import fast_stark_crypto as stark

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
from adapters.ccxt_venues.bridge.quirks import Document, MarkSource, Quirks, fires_on_the_way_up, rests
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.bridge.session import BridgedSession
from adapters.ccxt_venues.numbers import exact, positive
from adapters.ccxt_venues.refusals import Action
from adapters.ccxt_venues.secret_checks import STARK_PRIME, api_key, decimal_id, starknet_key
from normalization.accounts import Balance
from normalization.decimals import ZERO, trimmed
from normalization.instruments import Instrument
from normalization.market_data import FundingRate, MarketSummary
from normalization.orders import Order, OrderType, Side, Stop, TakeProfit, TimeInForce
from normalization.venue_failures import Reason, VenueRejected

CAPABILITIES: Final = Capabilities(
    supports=NATIVE - {Capability.PROTECTION},
    unsupported={
        Capability.PROTECTION: "Place two reduce-only stop orders, and cancel the other when one has filled.",
    },
    # What rests has a last day, not a last moment for its request: absence cannot be proved.
    request_expiry=False,
    lookup_includes_finished=True,
    judges_later=True,
    trigger_source=TriggerSource.MARK,
    client_id="32 hex digits",
    dedupe=Dedupe.EVERY_ORDER,
    least_privilege="API key and Stark key of a sub-account: they can withdraw, to its owner only",
)

# Code 1135: at most 28 days ahead on the testnet, 90 on the mainnet.
_RESTS_FOR_MS: Final = 27 * 86_400_000
# "Nonce is part of the settlement and must be a number from 1 to 2^31."
_NONCES: Final = 2**31 - 1
_MAX_AMOUNT: Final = 2**63

_WITHDRAWS: Final = (
    "the Stark key of this credential can also withdraw to the account's own wallet and transfer between its "
    "sub-accounts: the venue has no weaker key. Give it a sub-account that holds no more than it may use."
)


def _tamed(base: Any) -> Any:
    class Extended(base):  # type: ignore[misc]  # its base is only known at run time
        def nonce(self) -> int:
            """Milliseconds that never repeat, folded into what the venue takes; ccxt's are seconds."""
            return int(self.milliseconds()) % _NONCES + 1

        async def create_extended_order_request(self, *args: Any, **kwargs: Any) -> Any:
            """ccxt leaves out what a trigger goes by and what it does, both of which the venue requires."""
            made = await super().create_extended_order_request(*args, **kwargs)
            if trigger := made["request"].get("trigger"):
                trigger |= {"triggerPriceType": "MARK", "executionPriceType": "MARKET"}
            return made

        def get_extended_order_msg_hash(self, settlement: Mapping[str, Any]) -> str:
            """In native code: eight milliseconds of Poseidon otherwise."""
            chain = "SN_SEPOLIA" if self.isSandboxModeEnabled else "SN_MAIN"
            base_amount, quote_amount = int(settlement["baseAmount"]), int(settlement["quoteAmount"])
            # The library aborts on what it cannot hold.
            if max(abs(base_amount), abs(quote_amount)) >= _MAX_AMOUNT:
                raise ValueError("an amount beyond what the venue can settle")
            return hex(
                stark.get_order_msg_hash(
                    position_id=int(settlement["collateralPosition"]),
                    base_asset_id=_felt(settlement["baseAssetId"]),
                    base_amount=base_amount,
                    quote_asset_id=_felt(settlement["quoteAssetId"]),
                    quote_amount=quote_amount,
                    fee_asset_id=_felt(settlement["feeAssetId"]),
                    fee_amount=int(settlement["feeAmount"]),
                    expiration=int(settlement["expiration"]),
                    salt=int(settlement["salt"]),
                    user_public_key=_felt(settlement["starkKey"]),
                    domain_name="Perpetuals",
                    domain_version="v0",
                    domain_chain_id=chain,
                    domain_revision="1",
                )
            )

        def extended_starknet_sign(self, msg_hash: str, private_key: str) -> str:
            r, s = stark.sign(int(private_key, 16), int(msg_hash, 16))
            return str(self.json([hex(r), hex(s)]))

    return Extended


def _felt(value: str) -> int:
    """:raises ValueError: it is no element of the field."""
    number = int(value, 16)
    if not 0 <= number < STARK_PRIME:
        raise ValueError("not an element of the field")
    return number


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    """With the account told, ccxt does not ask the venue for it on the way of an order."""
    if not secrets:
        return {}
    public_key = hex(stark.get_public_key(int(secrets["private_key"], 16)))
    return {
        "apiKey": secrets["api_key"],
        "privateKey": secrets["private_key"],
        "options": {"builderFee": False, "account": {"l2Key": public_key, "l2Vault": secrets["vault"]}},
    }


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    if not isinstance(document, dict) or document.get("status") != "ERROR":
        return None
    error = document.get("error") or {}
    code = str(status) if status in (401, 404, 429) else str(error.get("code", ""))
    return code, str(error.get("message", ""))


def _is_shaped(path: str, document: Document) -> bool:
    return isinstance(document, dict) and document.get("status") == "OK"


def _trigger(side: Side, execution: Stop | TakeProfit) -> dict[str, Any]:
    direction = "UP" if fires_on_the_way_up(side, execution) else "DOWN"
    return {"triggerPrice": trimmed(execution.trigger_price), "triggerDirection": direction}


def _expiry(submission: Submission, now_ms: int) -> dict[str, Any]:
    """ccxt would let a good-till-canceled order lapse within the hour. What does not rest lapses with its request."""
    return {"expiryEpochMillis": now_ms + _RESTS_FOR_MS if rests(submission) else submission.valid_until_ms}


class ExtendedSession(BridgedSession):
    async def get_funding_rate(self, instrument: Instrument) -> FundingRate:
        return await self._read(self._exchange.fetch_ticker(self._theirs(instrument)), _funding)

    async def get_markets_with_funding(self) -> Sequence[MarketSummary]:
        return await self._read(self._exchange.v1_public_get_info_markets(), self._summaries)

    async def get_balance(self) -> Balance:
        try:
            return await self._read(self._exchange.v1_private_get_user_balance(), _balance)
        except VenueRejected as refusal:
            # The venue has no balance of an account that holds nothing.
            if refusal.reason is Reason.ORDER_NOT_FOUND:
                return Balance(equity=ZERO, free_collateral=ZERO, account_value=ZERO)
            raise

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        """By our id, and in the history of the market, which has what is over."""
        try:
            asked = self._exchange.v1_private_get_user_orders_external_externalid({"externalId": client_id})
            if found := await self._read(asked, self._only):
                return raw.ours(found, client_id)
        except VenueRejected as refusal:
            if refusal.reason is not Reason.ORDER_NOT_FOUND:
                raise
        history = self._exchange.fetch_orders(self._theirs(instrument), None, 100)
        return raw.labeled(await self._read(history, self._orders), client_id)

    async def cancel_all(self, instrument: Instrument) -> None:
        """Of one market: ``cancelAll``, which ccxt sends beside it, is the whole account's."""
        markets = {"markets": [instrument.venue_symbol]}
        asked = self._exchange.v1_private_post_user_order_masscancel(markets)
        await self._ask(Action.CANCEL, asked, lambda reply: None)

    async def test(self) -> Sequence[str]:
        account = await self._read(self._exchange.v1_private_get_user_account_info(), lambda reply: reply["data"])
        ours = self._exchange.options["account"]
        if int(account["l2Key"], 16) != int(ours["l2Key"], 16) or str(account["l2Vault"]) != ours["l2Vault"]:
            raise VenueRejected(
                Reason.AUTHENTICATION_FAILED, "the Stark key or the vault is not that of the API key's account"
            )
        return [_WITHDRAWS]

    def _order(self, order: unified.Structure) -> Order:
        told = order["info"]
        if told.get("type") != "CONDITIONAL":
            return super()._order(order)
        up = {"UP": True, "DOWN": False}[told["trigger"].get("triggerPriceDirection") or told["trigger"]["direction"]]
        kind = OrderType.STOP if up is (order["side"] == "buy") else OrderType.TAKE_PROFIT
        return unified.order_of(order, self._names, kind)

    def _orders(self, orders: Sequence[unified.Structure]) -> list[Order]:
        """Without what protects a position as a whole, set in the venue's own app: it has no size."""
        return super()._orders([order for order in orders if order["info"].get("type") != "TPSL"])

    def _only(self, reply: Document) -> Order | None:
        orders = self._orders(self._exchange.parse_orders(reply["data"]))
        return orders[0] if orders else None

    def _summaries(self, reply: Document) -> list[MarketSummary]:
        by_name = {instrument.venue_symbol: instrument.symbol for instrument in self._names.markets}
        return [
            MarketSummary(
                symbol=by_name[market["name"]],
                mark_price=positive(market["marketStats"]["markPrice"]),
                funding_rate=exact(market["marketStats"]["fundingRate"]),
                open_interest=exact(market["marketStats"]["openInterest"]),
            )
            for market in reply["data"]
            if market["name"] in by_name
        ]


def _funding(ticker: unified.Structure) -> FundingRate:
    """``nextFundingRate`` is the time of it."""
    stats = ticker["info"]
    return FundingRate(rate=exact(stats["fundingRate"]), next_funding_ms=int(stats["nextFundingRate"]))


def _balance(reply: Document) -> Balance:
    data = reply["data"]
    equity = exact(data["equity"])
    return Balance(equity=equity, free_collateral=exact(data["availableForTrade"]), account_value=equity)


QUIRKS: Final = Quirks(
    ccxt_id="extended",
    urls={
        Network.MAINNET: {"rest": "https://api.starknet.extended.exchange"},
        Network.TESTNET: {"rest": "https://api.starknet.sepolia.extended.exchange"},
    },
    config=_config,
    tame=_tamed,
    refusal=_refusal,
    is_shaped=_is_shaped,
    limit={
        TimeInForce.GTC: {"timeInForce": "GTT"},
        TimeInForce.IOC: {"timeInForce": "IOC"},
        TimeInForce.FOK: {"timeInForce": "FOK"},
    },
    post_only={"postOnly": True},
    reduce_only={"reduceOnly": True},
    expiry=_expiry,
    trigger=_trigger,
    triggered_slippage_bps=500,
    balance=_balance,
    needs_market=False,
    quote="USD",
    mark_source=MarkSource.TICKER,
    # By address: https://api.docs.extended.exchange, "Rate limits".
    weight_per_minute=1_000,
)

EXTENDED: Final = bridged(
    "extended",
    quirks=QUIRKS,
    session=ExtendedSession,
    capabilities=CAPABILITIES,
    credential_fields=(
        CredentialField(name="api_key", description="API key of the sub-account that trades", check=api_key),
        CredentialField(
            name="private_key",
            description="Stark private key of that sub-account, from the venue's API management page",
            check=starknet_key,
        ),
        CredentialField(
            name="vault",
            description="Vault number of that sub-account, from the same page",
            secret=False,
            check=decimal_id,
        ),
    ),
    client_id=lambda token: token.hex(),
    describe=lambda secrets: f"vault {secrets['vault']}" if "vault" in secrets else "",
)
