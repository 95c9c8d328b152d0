"""The demo's Hyperliquid and Paradex credentials: the same operations, through real signatures and the venue's wire."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Demo


class Trader:
    def __init__(self, demo: Demo, exchange: str) -> None:
        self._demo = demo
        self._exchange = exchange

    def post(self, operation: str, **fields: Any) -> requests.Response:
        facts = self._demo.facts
        body = {"operation": operation, "credentialId": facts["credentials"]["pro"][self._exchange], **fields}
        return requests.post(f"{facts['url']}/v1", json=body, headers={"X-API-Key": facts["keys"]["pro"]}, timeout=20)

    def call(self, operation: str, **fields: Any) -> dict[str, Any]:
        response = self.post(operation, **fields)
        assert response.status_code == 200, response.text
        body = response.json()
        assert isinstance(body, dict)
        return body


@pytest.mark.parametrize("exchange", ["hyperliquid", "paradex"])
def test_a_position_is_opened_protected_closed_and_all_of_it_survives_kill_9(
    demo: Callable[[], Demo], exchange: str
) -> None:
    gateway = demo()
    trader = Trader(gateway, exchange)
    assert trader.call("testCredentials")["valid"] is True
    order = {"market": "BTC-USD-PERP", "side": "BUY", "size": "0.01", "clientOrderId": "first"}
    bought = trader.call("placeMarketOrder", **order)
    assert bought["filledSize"] == "0.01"
    assert trader.call("placeMarketOrder", **order)["replayed"] is True
    trader.call(
        "placeProtectionOrders",
        market="BTC", side="LONG", size="0.01", entryPrice=bought["filledPrice"], tpPercent=5, slPercent=2,
    )  # fmt: skip
    gateway.kill()
    gateway = demo()
    trader = Trader(gateway, exchange)
    assert trader.call("placeMarketOrder", **order)["orderId"] == bought["orderId"]
    (position,) = trader.call("getPositions")["positions"]
    assert (position["side"], position["size"]) == ("LONG", "0.01")
    assert {entry["type"] for entry in trader.call("getOrders")["orders"]} == {"TAKE_PROFIT", "STOP"}
    assert trader.call("closeAllPositions", market="BTC")["remainingSize"] == "0"
    refused = trader.post("placeLimitOrder", market="BTC", side="BUY", size="500", price="80000")
    assert refused.json()["details"]["reason"] == "INSUFFICIENT_FUNDS", refused.text
    assert gateway.stop() == 0


@pytest.mark.parametrize("exchange", ["hyperliquid", "paradex"])
def test_a_local_venue_runs_alone_and_gives_a_funded_account(tmp_path: Path, exchange: str) -> None:
    command = [sys.executable, "-m", "gateway.cli", "sandbox", exchange, "--port", "0", "--json"]
    process = subprocess.Popen([*command, "--data-dir", str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        told = json.loads(_first_document(process))
        assert told["url"].startswith("http://127.0.0.1:")
        assert set(told["account"]) == {"account_address", "private_key"}
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def _first_document(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line.decode()
        try:
            json.loads(text)
        except ValueError:
            continue
        return text
    raise AssertionError(text)
