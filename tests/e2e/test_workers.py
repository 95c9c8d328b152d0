"""``serve --demo --workers 2``: two processes that answer as one gateway, whichever of them dies."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import pairwise
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import requests
from solders.keypair import Keypair

from tests.e2e.conftest import Demo
from tests.support.milo_gateway import CHAIN_ID

OWNER = 0
MCP_VERSION = "2025-11-25"
INITIALIZE = {"protocolVersion": MCP_VERSION, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def order(number: int) -> dict[str, Any]:
    """With a price of its own, by which it can be told on the venue."""
    return {
        "market": "BTC-USD-PERP",
        "side": "BUY",
        "size": "0.001",
        "price": str(50_000 + number),
        "clientOrderId": f"order-{number}",
    }


def complete(gateway: Demo, within_s: float = 20.0) -> list[psutil.Process]:
    """Its processes when none of them has to be started again."""
    deadline = time.monotonic() + within_s
    while len(found := gateway.children()) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def settled(gateway: Demo, number: int, within_s: float = 45.0) -> dict[str, Any]:
    """By the rule for bots: the same request with the same id until the answer is not UNKNOWN."""
    deadline = time.monotonic() + within_s
    while True:
        assert time.monotonic() < deadline
        try:
            reply = gateway.post("placeLimitOrder", **order(number))
        except requests.ConnectionError:
            continue
        if reply.status_code in (200, 502):
            body = reply.json()
            assert isinstance(body, dict)
            return body
        assert reply.status_code in (202, 429, 503), reply.text
        time.sleep(0.2)


@pytest.mark.slow
def test_two_workers_answer_as_one_gateway_whichever_process_of_it_dies(demo_of_two: Callable[[], Demo]) -> None:
    gateway = demo_of_two()
    _answer_as_one(gateway)
    _let_a_newcomer_in(gateway)
    _are_counted_together(gateway)
    _tell_their_metrics(gateway)
    _say_so_when_the_owner_stalls(gateway)
    _lose_and_double_nothing(gateway)
    complete(gateway)
    assert gateway.stop() == 0


def _answer_as_one(gateway: Demo) -> None:
    """Every request is a connection of its own, which either of them may get."""
    placed = gateway.call("placeLimitOrder", **order(1_000))
    replays = [gateway.call("placeLimitOrder", **order(1_000)) for _ in range(12)]
    assert {(replay["orderId"], replay["replayed"]) for replay in replays} == {(placed["orderId"], True)}
    assert [o["id"] for o in gateway.call("getOrders")["orders"]] == [placed["orderId"]]
    for exchange in ("hyperliquid", "paradex"):
        at = {"credentialId": gateway.facts["credentials"]["pro"][exchange]}
        assert gateway.call("placeMarketOrder", market="BTC", side="BUY", size="0.01", **at)["filledSize"] == "0.01"
        positions = [gateway.call("getPositions", **at)["positions"][0]["size"] for _ in range(6)]
        assert set(positions) == {"0.01"}
    for path, status in {
        "/api/v1/me": 401,
        "/docs": 200,
        "/openapi.json": 200,
        "/healthz": 200,
        "/readyz": 200,
    }.items():
        found = {_got(gateway, path).status_code for _ in range(4)}
        assert found == {status}, path


def _got(gateway: Demo, path: str) -> requests.Response:
    return requests.get(f"{gateway.url}{path}", timeout=10)


def _let_a_newcomer_in(gateway: Demo) -> None:
    """Over one MCP session, and neither worker knows what the other was told."""
    session = _mcp(gateway, "initialize", INITIALIZE).headers["Mcp-Session-Id"]

    def call(tool: str, **arguments: Any) -> dict[str, Any]:
        said = _mcp(gateway, "tools/call", {"name": tool, "arguments": arguments}, session).json()["result"]
        assert not said["isError"], said
        content = said["structuredContent"]
        assert isinstance(content, dict)
        return content

    wallet = Keypair()
    address = str(wallet.pubkey())
    told = call("milo_request_siwx_message", accountAddress=address, chainId=CHAIN_ID)["data"]
    siwx = {**told, "signature": str(wallet.sign_message(told["message"].encode()))}
    joined = call("milo_signup", signupWallet=address, siwx=siwx)
    user = joined["data"]["user"]["id"]
    credential = {"credentialId": joined["credentialId"]}
    # The session is the account's from now on, whichever worker is asked; and so is the key.
    assert {call("milo_get_me", **credential)["data"]["user"]["id"] for _ in range(6)} == {user}
    for _ in range(6):
        asked = {"operation": "miloGetMe", **credential}
        reply = requests.post(f"{gateway.url}/v1", json=asked, headers={"X-API-Key": joined["apiKey"]}, timeout=10)
        assert reply.json()["data"]["user"]["id"] == user


def _mcp(gateway: Demo, method: str, params: dict[str, Any], session: str = "") -> requests.Response:
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": MCP_VERSION}
    if session:
        headers["Mcp-Session-Id"] = session
    message: Any = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    reply = requests.post(f"{gateway.url}/mcp", json=message, headers=headers, timeout=20)
    assert reply.status_code == 200, reply.text
    return reply


def _tell_their_metrics(gateway: Demo) -> None:
    text = requests.get(f"http://127.0.0.1:{gateway.flags[-1]}/metrics", timeout=10).text
    answered = Counter[str]()
    for worker, count in re.findall(r'venuegate_requests_total{.*worker="(\w+)".*} ([\d.]+)', text):
        answered[worker] += int(float(count))
    assert set(answered) == {"0", "1"}, "each worker answered, and both are told"
    assert 'worker="owner"' in text


def _say_so_when_the_owner_stalls(gateway: Demo) -> None:
    owner = gateway.children()[OWNER]
    owner.suspend()
    try:
        refused = gateway.post("placeLimitOrder", **order(2_000))
        assert (refused.status_code, refused.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert refused.headers["Retry-After"]
        assert "Nothing was sent" in refused.json()["error"]
        unready = _got(gateway, "/readyz")
        assert unready.status_code == 503
        assert "owner" in unready.json()["problems"]
        assert _got(gateway, "/healthz").status_code == 200, "to start a worker again would help nobody"
    finally:
        owner.resume()
    deadline = time.monotonic() + 20
    while _got(gateway, "/readyz").status_code != 200:
        assert time.monotonic() < deadline
    assert gateway.call("getOrders", market="BTC-USD-PERP")["orders"][0]["price"] != order(2_000)["price"]


def _are_counted_together(gateway: Demo) -> None:
    replies = [gateway.post("getMarkPrice", tier="free", market="BTC") for _ in range(9)]
    left = [int(reply.headers["X-RateLimit-Remaining-Minute"]) for reply in replies]
    # A minute may end in between.
    assert sum(after != before - 1 for before, after in pairwise(left)) <= 1, left


def _lose_and_double_nothing(gateway: Demo) -> None:
    numbers = range(60)
    answered = threading.Semaphore(0)

    def place(number: int) -> None:
        with contextlib.suppress(requests.RequestException):
            gateway.post("placeLimitOrder", **order(number))
        answered.release()

    with ThreadPoolExecutor(8) as pool:
        for number in numbers:
            pool.submit(place, number)
        for victim in (1, OWNER, 1):
            for _ in range(12):
                assert answered.acquire(timeout=60)
            complete(gateway)[victim].kill()
    replies = {number: settled(gateway, number) for number in numbers}
    on_the_venue = Counter(Decimal(o["price"]) for o in gateway.call("getOrders", market="BTC-USD-PERP")["orders"])
    assert all(count == 1 for count in on_the_venue.values()), "an order was doubled"
    for number, reply in replies.items():
        assert (Decimal(order(number)["price"]) in on_the_venue) == (reply.get("status") == "OPEN"), (number, reply)
