"""``serve --demo --workers 2``: two processes that answer as one gateway, whichever of them dies."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Demo

OWNER, WORKERS = 0, slice(1, None)


def order(number: int) -> dict[str, Any]:
    """With a price of its own, by which it can be told on the venue."""
    return {
        "market": "BTC-USD-PERP",
        "side": "BUY",
        "size": "0.001",
        "price": str(50_000 + number),
        "clientOrderId": f"order-{number}",
    }


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
def test_both_workers_answer_for_one_exchange_one_journal_and_one_limit(demo_of_two: Callable[[], Demo]) -> None:
    gateway = demo_of_two()
    placed = gateway.call("placeLimitOrder", **order(1))
    # Every request is a connection of its own, which either may get.
    replays = [gateway.call("placeLimitOrder", **order(1)) for _ in range(12)]
    assert {(replay["orderId"], replay["replayed"]) for replay in replays} == {(placed["orderId"], True)}
    assert [o["id"] for o in gateway.call("getOrders")["orders"]] == [placed["orderId"]]
    for exchange in ("hyperliquid", "paradex"):
        body = {"credentialId": gateway.facts["credentials"]["pro"][exchange]}
        bought = gateway.call("placeMarketOrder", market="BTC", side="BUY", size="0.01", **body)
        assert bought["filledSize"] == "0.01"
        positions = [gateway.call("getPositions", **body)["positions"][0]["size"] for _ in range(6)]
        assert set(positions) == {"0.01"}
    left = [
        gateway.post("getMarkPrice", tier="free", market="BTC").headers["X-RateLimit-Remaining-Minute"]
        for _ in range(8)
    ]
    assert sorted(map(int, left), reverse=True) == list(range(29, 21, -1)) or "29" in left[1:], left
    assert requests.get(f"{gateway.url}/api/v1/me", timeout=10).status_code == 401, "the local Milo answers, too"
    assert gateway.stop() == 0


@pytest.mark.slow
def test_orders_survive_the_death_of_any_process_of_it(demo_of_two: Callable[[], Demo]) -> None:
    gateway = demo_of_two()
    enough = threading.Semaphore(0)
    numbers = range(80)

    def place(number: int) -> None:
        try:
            gateway.post("placeLimitOrder", **order(number))
        except requests.RequestException:
            pass
        enough.release()

    with ThreadPoolExecutor(8) as pool:
        for number in numbers:
            pool.submit(place, number)
        for victim in (1, OWNER, 2):
            for _ in range(15):
                assert enough.acquire(timeout=60)
            gateway.children()[victim].kill()
    replies = {number: settled(gateway, number) for number in numbers}
    open_prices = Counter(Decimal(o["price"]) for o in gateway.call("getOrders", market="BTC-USD-PERP")["orders"])
    assert all(count == 1 for count in open_prices.values()), "an order was doubled"
    for number, reply in replies.items():
        is_on_venue = Decimal(50_000 + number) in open_prices
        assert is_on_venue == (reply.get("status") == "OPEN"), (number, reply)
    assert len(gateway.children()) == 3
    assert gateway.stop() == 0


@pytest.mark.slow
def test_a_stop_under_load_leaves_no_order_in_doubt_and_a_kill_none_behind(demo_of_two: Callable[[], Demo]) -> None:
    gateway = demo_of_two()
    statuses: dict[int, int] = {}
    enough = threading.Event()

    def place(number: int) -> None:
        try:
            statuses[number] = gateway.post("placeLimitOrder", **order(number)).status_code
        except requests.RequestException:
            return
        if len(statuses) >= 20:
            enough.set()

    with ThreadPoolExecutor(8) as pool:
        for number in range(100):
            pool.submit(place, number)
        assert enough.wait(60)
        assert gateway.stop() == 0
    assert set(statuses.values()) <= {200, 503}
    gateway = demo_of_two()
    for number, status in statuses.items():
        if status == 200:
            assert settled(gateway, number)["status"] == "OPEN"
    children = gateway.children()
    gateway.close()
    assert not any(child.is_running() and child.status() != "zombie" for child in children)
