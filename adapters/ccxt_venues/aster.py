"""Aster: Binance's futures protocol, each request signed as EIP-712 text by an API wallet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.base import NATIVE, Capabilities, Capability, CredentialField, Dedupe, Network, TriggerSource
from adapters.ccxt_venues.bridge.library import keccak256
from adapters.ccxt_venues.bridge.quirks import ALL_TIMES_IN_FORCE, Document, Quirks
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.hyperliquid.signing import Signer
from adapters.ccxt_venues.numbers import exact
from adapters.ccxt_venues.secret_checks import ethereum_address, ethereum_key
from normalization.accounts import Balance
from normalization.decimals import ZERO, trimmed
from normalization.orders import Side, Stop, TakeProfit

CAPABILITIES: Final = Capabilities(
    supports=NATIVE - {Capability.PROTECTION, Capability.MARKETS_WITH_FUNDING},
    unsupported={
        Capability.PROTECTION: "Place two reduce-only stop orders, and cancel the other when one has filled.",
        Capability.MARKETS_WITH_FUNDING: "Ask getFundingRate for each market.",
    },
    # A signed request names no time after which it is void: absence cannot be proved.
    request_expiry=False,
    lookup_includes_finished=True,
    trigger_source=TriggerSource.MARK,
    client_id="32 hex digits",
    dedupe=Dedupe.OPEN_ORDERS,
    least_privilege="an API wallet: trades, cannot withdraw",
)

_LISTS: Final = ("/openOrders", "/positionRisk", "/userTrades", "/balance", "/klines")


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    """ccxt takes the key's own address for the account's: an API wallet has to be told whose it is."""
    key = "0x" + secrets["private_key"].removeprefix("0x").lower()
    return {
        "privateKey": key,
        "options": {
            "defaultType": "swap",
            "builderFee": False,
            "approvedBuilderFee": False,
            "leverageBrackets": {},
            "fetchOpenOrders": {"warnIfNoSymbol": False},
            "cachedWalletAddress": secrets["account_address"].lower(),
            "privateKeyHashForCachedWalletAddress": keccak256(key.encode()).hex(),
            "signerAddress": Signer(key, mainnet=True).address,
        },
    }


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    """``{"code": 200, "msg": …}`` is how it says that a cancel of everything was done."""
    if not isinstance(document, dict) or "code" not in document or str(document["code"]) == "200":
        return None
    return str(document["code"]), str(document.get("msg", ""))


def _is_shaped(path: str, document: Document) -> bool:
    return isinstance(document, list if path.endswith(_LISTS) else dict) and document != {}


def _trigger(side: Side, execution: Stop | TakeProfit) -> dict[str, Any]:
    name = "stopLossPrice" if isinstance(execution, Stop) else "takeProfitPrice"
    return {name: trimmed(execution.trigger_price), "workingType": "MARK_PRICE"}


def _balance(document: Document) -> Balance:
    """Of the dollars that it takes as collateral: each counts as one. Those that an account lacks are listed too."""
    assets = [asset for asset in document if asset.get("marginAvailable") and asset["asset"].startswith("USD")]
    if not assets:
        raise ValueError("no collateral is told")
    equity = sum((exact(a["crossWalletBalance"]) + exact(a["crossUnPnl"]) for a in assets), ZERO)
    free = max(exact(a["availableBalance"]) for a in assets)
    return Balance(equity=equity, free_collateral=free, account_value=equity)


QUIRKS: Final = Quirks(
    ccxt_id="aster",
    urls={
        Network.MAINNET: {
            "fapiPublic": "https://fapi.asterdex.com/fapi",
            "fapiPrivate": "https://fapi.asterdex.com/fapi",
            "sapiPublic": "https://sapi.asterdex.com/api",
            "sapiPrivate": "https://sapi.asterdex.com/api",
        }
    },
    config=_config,
    refusal=_refusal,
    is_shaped=_is_shaped,
    trigger=_trigger,
    balance=_balance,
    limit=ALL_TIMES_IN_FORCE,
    # ccxt would send Python's "True", and postOnly beside what it turns it into.
    post_only={"timeInForce": "GTX"},
    reduce_only={"reduceOnly": "true"},
    listing={"type": "swap"},
    weight_per_minute=2_400,
)

ASTER: Final = bridged(
    "aster",
    quirks=QUIRKS,
    capabilities=CAPABILITIES,
    credential_fields=(
        CredentialField(
            name="account_address",
            description="Address of the account that trades, not of its API wallet",
            secret=False,
            check=ethereum_address,
        ),
        CredentialField(
            name="private_key",
            description="Private key of an API wallet approved for the account: it can trade but not withdraw",
            check=ethereum_key,
        ),
    ),
    client_id=lambda token: token.hex(),
    describe=lambda secrets: secrets.get("account_address", ""),
)
