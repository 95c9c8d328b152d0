from __future__ import annotations

import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import requests

from gateway.operations.table import OPERATIONS
from tests.e2e.conftest import Demo

ROOT = Path(__file__).resolve().parents[2]


def test_a_newcomer_trades_on_the_paper_venue(demo: Callable[[], Demo]) -> None:
    gateway = demo()
    mark = float(gateway.call("getMarkPrice", market="BTC")["markPrice"])
    assert mark > 1000
    start = gateway.call("getBalance")
    bought = gateway.call("placeMarketOrder", market="BTC-USD-PERP", side="BUY", size="0.01", clientOrderId="first")
    assert bought["filledSize"] == "0.01"
    (position,) = gateway.call("getPositions")["positions"]
    assert (position["market"], position["side"], position["size"]) == ("BTC-USD-PERP", "LONG", "0.01")
    protected = gateway.call(
        "placeProtectionOrders",
        market="BTC", side="LONG", size="0.01", entryPrice=bought["filledPrice"], tpPercent=5, slPercent=2,
    )  # fmt: skip
    assert protected["tpOrderId"]
    assert protected["slOrderId"]
    assert {o["type"] for o in gateway.call("getOrders")["orders"]} == {"TAKE_PROFIT", "STOP"}
    assert gateway.call("getFills", market="BTC")["fills"]
    closed = gateway.call("closeAllPositions", market="BTC")
    assert (closed["closedSize"], closed["remainingSize"]) == ("0.01", "0")
    assert gateway.call("getPositions")["positions"] == []
    assert gateway.call("getOrders")["orders"] == []
    assert gateway.call("getBalance")["equity"] != start["equity"]
    assert gateway.stop() == 0


def test_everything_survives_a_restart(demo: Callable[[], Demo]) -> None:
    gateway = demo()
    before = gateway.facts
    gateway.call("placeMarketOrder", market="SOL", side="SELL", size="1", clientOrderId="short")
    resting = gateway.call("placeLimitOrder", market="ETH", side="BUY", size="0.1", price="1000", clientOrderId="far")
    gateway.kill()
    gateway = demo()
    after = gateway.facts
    assert (after["keys"], after["credentials"]) == (before["keys"], before["credentials"])
    assert stat.S_IMODE((gateway.data_dir / "demo.json").stat().st_mode) == 0o600
    assert gateway.call("getPositions")["positions"][0]["side"] == "SHORT"
    assert [o["id"] for o in gateway.call("getOrders")["orders"]] == [resting["orderId"]]
    again = gateway.call("placeLimitOrder", market="ETH", side="BUY", size="0.1", price="1000", clientOrderId="far")
    assert (again["orderId"], again["replayed"]) == (resting["orderId"], True)


def test_every_read_of_the_table_answers_a_free_key(demo: Callable[[], Demo]) -> None:
    gateway = demo()
    for name, row in OPERATIONS.items():
        fields = {k: v for k, v in row.example.items() if k != "credentialId"}
        if name == "getOrder" or row.only_at or row.public:
            continue
        if not row.example:
            response = requests.post(
                f"{gateway.url}/v1",
                json={"operation": name},
                headers={"X-API-Key": gateway.facts["keys"]["free"]},
                timeout=20,
            )
        else:
            response = gateway.post(name, tier="free", **fields)
        assert response.status_code == (200 if row.read_only else 403), (name, response.text)


def takes_nothing(request: type[msgspec.Struct]) -> bool:
    """Nothing but a credential, that is."""
    return {field.name for field in msgspec.structs.fields(request) if field.required} == {"operation", "credential_id"}


def test_every_milo_read_shows_something_in_every_demo_account(demo: Callable[[], Demo]) -> None:
    gateway = demo()
    reads = [name for name, row in OPERATIONS.items() if row.only_at and row.read_only and takes_nothing(row.request)]
    assert len(reads) == 13
    for tier, credentials in gateway.facts["credentials"].items():
        for name in reads:
            body = {"operation": name, "credentialId": credentials["milo"]}
            response = requests.post(
                f"{gateway.url}/v1", json=body, headers={"X-API-Key": gateway.facts["keys"][tier]}, timeout=20
            )
            assert response.status_code == 200, (name, response.text)
            assert response.json()["data"], (tier, name)


def test_the_python_example_of_the_readme_runs_as_it_stands(demo: Callable[[], Demo]) -> None:
    gateway = demo()
    examples = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    for example in examples:
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=gateway.data_dir.parent, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        assert "filled 0.5" in done.stdout


def test_the_pages_for_people_are_served(demo: Callable[[], Demo]) -> None:
    gateway = demo()
    page = requests.get(f"{gateway.url}/docs", timeout=10)
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    document = requests.get(f"{gateway.url}/openapi.json", timeout=10).json()
    assert document["openapi"].startswith("3.1")
