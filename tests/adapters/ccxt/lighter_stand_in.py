"""Lighter's native signer, played: what it makes of a request, under a signature of the stand-in's own.

Like the library it holds one key per account and key index, whichever network that is for. That it makes the same of
every request is proved where the library is installed.
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any, Final

import msgspec

from adapters.ccxt_venues.lighter import QUIRKS, config, row
from tests.adapters.ccxt.orders_to_place import NOW_MS

CHAINS: Final = {"mainnet": 304, "testnet": 300}

Slot = tuple[int, int]


class Library:
    """One process's. ``keys`` are what is in its slots: chain and key."""

    def __init__(self) -> None:
        self.keys: dict[Slot, tuple[int, str]] = {}

    def sign(self, slot: Slot, content: dict[str, Any]) -> str:
        chain, key = self.keys[slot]
        return signature(key, chain, content)


LIBRARY: Final = Library()


def signature(key: str, chain: int, content: dict[str, Any]) -> str:
    unsigned = {name: value for name, value in content.items() if name != "Sig"}
    return hashlib.sha256(json.dumps([key, chain, unsigned], sort_keys=True).encode()).hexdigest()


def stand_in(base: Any) -> Any:
    class StandIn(base):  # type: ignore[misc]  # its base is only known at run time
        def lighter_create_client(self, signer: Library, chain: int, key: str, index: int, account: int) -> Library:
            signer.keys[account, index] = (chain, key)
            return signer

        def lighter_sign_create_order(self, signer: Library, request: Any) -> Any:
            rests = request["time_in_force"] != 0 and request["order_expiry"] == -1
            content = {
                "MarketIndex": int(request["market_index"]),
                "ClientOrderIndex": request["client_order_index"],
                "BaseAmount": request["base_amount"],
                "Price": request["avg_execution_price"],
                "IsAsk": request["is_ask"],
                "Type": request["order_type"],
                "TimeInForce": request["time_in_force"],
                "ReduceOnly": request["reduce_only"],
                "TriggerPrice": request["trigger_price"],
                "OrderExpiry": NOW_MS + 28 * 86_400_000 if rests else request["order_expiry"],
            }
            return self._signed(14, signer, request, content)

        def lighter_sign_cancel_order(self, signer: Library, request: Any) -> Any:
            content = {"MarketIndex": request["market_index"], "Index": request["order_index"]}
            return self._signed(15, signer, request, content)

        def lighter_sign_cancel_all_orders(self, signer: Library, request: Any) -> Any:
            content = {"TimeInForce": request["time_in_force"], "Time": request["time"]}
            more = {"5": request["cancel_all_market_index"]} if "cancel_all_market_index" in request else {}
            return self._signed(16, signer, request, content, more)

        def lighter_sign_update_leverage(self, signer: Library, request: Any) -> Any:
            content = {
                "MarketIndex": request["market_index"],
                "InitialMarginFraction": request["initial_margin_fraction"],
                "MarginMode": request["margin_mode"],
            }
            return self._signed(20, signer, request, content)

        def lighter_create_auth_token(self, signer: Library, request: Any) -> str:
            account, index, deadline = request["account_index"], request["api_key_index"], request["deadline"]
            return f"{deadline}:{account}:{index}:{signer.sign((account, index), {'deadline': deadline})}"

        def _signed(
            self, kind: int, signer: Library, request: Any, content: dict[str, Any], more: dict[str, Any] | None = None
        ) -> list[Any]:
            slot = request["account_index"], request["api_key_index"]
            whole = {
                "AccountIndex": slot[0],
                "ApiKeyIndex": slot[1],
                **content,
                "ExpiredAt": NOW_MS + 599_000,
                "Nonce": request["nonce"],
                "L2TxAttributes": {"4": 1, **(more or {})},
            }
            return [kind, json.dumps({**whole, "Sig": signer.sign(slot, whole)})]

    return StandIn


STANDING_IN: Final = row(
    msgspec.structs.replace(
        QUIRKS,
        tame=lambda base: QUIRKS.tame(stand_in(base)),
        config=functools.partial(config, library_of=lambda: LIBRARY),
    )
)
