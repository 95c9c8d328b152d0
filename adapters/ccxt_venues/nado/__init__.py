"""Nado: an order book whose orders are EIP-712 structs, known by their digest and by nothing else.

wire     the venue's words for ours, and where in what is signed our client order id is
session  a credential's connection
row      this module: what is true of the venue

The venue's own SDKs are the source of what ccxt leaves out or reads wrongly, such as the price of a fill.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.base import NATIVE, Capabilities, Capability, CredentialField, LeverageScope, Network, TriggerSource
from adapters.ccxt_venues.bridge.quirks import ALL_TIMES_IN_FORCE, Document, Quirks
from adapters.ccxt_venues.bridge.service import bridged
from adapters.ccxt_venues.nado import wire
from adapters.ccxt_venues.nado.session import DEFAULT_SUBACCOUNT, NadoSession
from adapters.ccxt_venues.secret_checks import ethereum_address, ethereum_key, nado_subaccount

CAPABILITIES: Final = Capabilities(
    supports=NATIVE - {Capability.PROTECTION, Capability.LEVERAGE},
    unsupported={
        Capability.PROTECTION: "Place two reduce-only stop orders, and cancel the other when one has filled.",
        Capability.LEVERAGE: "Margin is cross, by each market's weight: choose the leverage by the size of the order.",
    },
    emulated={
        Capability.FEES: "the market's published rates",
    },
    request_expiry=True,
    triggers_expire=False,
    # Whether an order that was canceled unfilled stays in the archive is not documented.
    lookup_includes_finished=False,
    trigger_source=TriggerSource.INDEX,
    client_id="12 hex digits: 47 bits in the signed nonce and expiration",
    leverage_scope=LeverageScope.NONE,
    least_privilege="a linked signer: it can withdraw too, but only to the account's own address",
)


def _config(secrets: Mapping[str, str], network: Network) -> dict[str, Any]:
    """Without ccxt's builder, who would get a hundredth of a percent of every order."""
    options = {"builderFee": False, "subaccount": secrets.get("subaccount", DEFAULT_SUBACCOUNT), "recvWindow": 10_000}
    if not secrets:
        return {"options": options}
    return {
        "walletAddress": secrets["account_address"],
        "privateKey": "0x" + secrets["private_key"].removeprefix("0x").lower(),
        "options": options,
    }


def _refusal(status: int, document: Document) -> tuple[str, str] | None:
    if not isinstance(document, dict) or document.get("status") != "failure" or "error_code" not in document:
        return None
    return str(document["error_code"]), str(document.get("error", ""))


def _is_shaped(path: str, document: Document) -> bool:
    if path.endswith(("/symbols", "/pairs", "/assets")):
        return isinstance(document, list)
    if path.endswith(("/query", "/execute")):
        return isinstance(document, dict) and document.get("status") == "success"
    return isinstance(document, dict) and document != {} and "error" not in document


def _tame(base: Any) -> Any:
    class Nado(base):  # type: ignore[misc]  # its base is only known at run time
        async def fetch_markets(self, params: Any = None) -> Any:
            """ccxt leaves out what a market's initial weight allows."""
            listed = await super().fetch_markets()
            for market in listed:
                weight = wire.from_x18(market["info"].get("long_weight_initial_x18") or 0)
                if 0 < weight < 1:
                    market["limits"]["leverage"]["max"] = str(int(1 / (1 - weight)))
            return listed

    return Nado


def _urls(network: str) -> dict[str, str]:
    gateway, archive, trigger = (f"https://{name}.{network}.nado.xyz" for name in ("gateway", "archive", "trigger"))
    return {
        "gateway": f"{gateway}/v1",
        "gatewayV2": f"{gateway}/v2",
        "archive": f"{archive}/v1",
        "archiveV2": f"{archive}/v2",
        "trigger": f"{trigger}/v1",
    }


QUIRKS: Final = Quirks(
    ccxt_id="nado",
    urls={Network.MAINNET: _urls("prod"), Network.TESTNET: _urls("test")},
    config=_config,
    tame=_tame,
    limit=ALL_TIMES_IN_FORCE,
    post_only={},
    reduce_only={},
    trigger=lambda side, execution: {},
    triggered_slippage_bps=500,
    order_ids="0x[0-9a-f]{64}",
    refusal=_refusal,
    is_shaped=_is_shaped,
    balance=wire.balance,
    weight_per_minute=600,
)

NADO: Final = bridged(
    "nado",
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
            name="private_key", description="Private key of the subaccount's linked signer", check=ethereum_key
        ),
        CredentialField(
            name="subaccount",
            description="Name of the subaccount, where it is not default",
            secret=False,
            required=False,
            check=nado_subaccount,
        ),
    ),
    client_id=wire.client_id,
    describe=lambda secrets: secrets.get("account_address", ""),
    session=NadoSession,
)
