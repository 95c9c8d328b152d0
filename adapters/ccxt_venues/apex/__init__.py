"""ApeX Omni: every request signed with an API key, every order with a zkLink key besides.

signing  what is signed of an order, and the native library that does it, which has to be installed for that
session  a credential's connection; all of it but placing orders works without the library
row      this module: what is true of the venue

Its API documents and its SDK (``apexomni``) are the source of what ccxt gets wrong: it cannot place an order at all,
says IOC and FOK in words that the venue does not know, and names a broker of its own in every order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.base import NATIVE, Capabilities, Capability, CredentialField, LeverageScope, Network, TriggerSource
from adapters.ccxt_venues.apex.session import ApexSession, balance
from adapters.ccxt_venues.bridge.quirks import Document, Quirks
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.secret_checks import api_key, zk_seeds
from normalization.decimals import trimmed
from normalization.orders import Side, Stop, TakeProfit, TimeInForce

CAPABILITIES: Final = Capabilities(
    supports=NATIVE - {Capability.PROTECTION},
    unsupported={
        Capability.PROTECTION: "Place two reduce-only stop orders, and cancel the other when one has filled.",
    },
    request_expiry=False,
    lookup_includes_finished=False,
    judges_later=True,
    trigger_source=TriggerSource.INDEX,
    client_id="32 hex digits",
    leverage_scope=LeverageScope.MARKET,
    least_privilege="an API key with its Omni key: the venue has none that could not withdraw",
)

_TIMES_IN_FORCE: Final = {
    TimeInForce.GTC: "GOOD_TIL_CANCEL",
    TimeInForce.IOC: "IMMEDIATE_OR_CANCEL",
    TimeInForce.FOK: "FILL_OR_KILL",
}
_SETTLE_DECIMALS: Final = 18
"""Of every settle asset so far."""


def _limit(time_in_force: str) -> dict[str, str]:
    return {"type": "LIMIT", "timeInForce": time_in_force}


def _trigger(side: Side, execution: Stop | TakeProfit) -> dict[str, str]:
    return {
        "type": "STOP_MARKET" if isinstance(execution, Stop) else "TAKE_PROFIT_MARKET",
        "timeInForce": "GOOD_TIL_CANCEL",
        "triggerPrice": trimmed(execution.trigger_price),
        "triggerPriceType": "INDEX",
    }


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    if not secrets:
        return {}
    return {"apiKey": secrets["api_key"], "secret": secrets["api_secret"], "password": secrets["passphrase"]}


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    """The venue's word for it where there is one: its numbers are coarse."""
    if not isinstance(document, dict) or document.get("code") in (None, 0, "0"):
        return None
    return str(document.get("key") or document["code"]), str(document.get("msg", ""))


def _is_shaped(path: str, document: Document) -> bool:
    if path.endswith(("/delete-open-orders", "/set-initial-margin-rate")):
        return isinstance(document, dict)
    return isinstance(document, dict) and document.get("data") is not None


def _tame(base: Any) -> Any:
    class Apex(base):  # type: ignore[misc]  # its base is only known at run time
        async def fetch_markets(self, params: Any = None) -> Any:
            """With the decimals that the settle asset is signed in."""
            contracts = (await self.publicGetV3Symbols())["data"]["contractConfig"]
            decimals = {asset["token"]: int(asset["decimals"]) for asset in contracts.get("assets") or []}
            return self.parse_markets(
                [
                    {**market, "settleDecimals": decimals.get(market["settleAssetId"], _SETTLE_DECIMALS)}
                    for market in contracts["perpetualContract"]
                ]
            )

    return Apex


_API: Final = {
    Network.MAINNET: "https://omni.apex.exchange/api",
    Network.TESTNET: "https://testnet.omni.apex.exchange/api",
}

QUIRKS: Final = Quirks(
    ccxt_id="apex",
    urls={network: {"public": url, "private": url} for network, url in _API.items()},
    config=_config,
    tame=_tame,
    limit={time_in_force: _limit(name) for time_in_force, name in _TIMES_IN_FORCE.items()},
    post_only=_limit("POST_ONLY"),
    reduce_only={"reduceOnly": "true"},
    trigger=_trigger,
    # The venue wants at least this much room.
    triggered_slippage_bps=1_000,
    needs_market=False,
    refusal=_refusal,
    is_shaped=_is_shaped,
    balance=balance,
    weight_per_minute=300,
)

APEX: Final = bridged(
    "apex",
    quirks=QUIRKS,
    capabilities=CAPABILITIES,
    credential_fields=(
        CredentialField(name="api_key", description="Key of the API key", check=api_key),
        CredentialField(name="api_secret", description="Its secret", check=api_key),
        CredentialField(name="passphrase", description="Its passphrase", check=api_key),
        CredentialField(
            name="seeds",
            description="Seeds of the Omni key, as API Management shows them: hex digits",
            check=zk_seeds,
        ),
    ),
    client_id=lambda token: token.hex(),
    describe=lambda secrets: "",
    session=ApexSession,
)
