"""``serve --demo --workers 2``: two processes that answer as one gateway, whichever of them dies."""

from __future__ import annotations

import contextlib
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

from tests.e2e.conftest import Demo

OWNER = 0


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
    _are_counted_together(gateway)
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
    assert requests.get(f"{gateway.url}/api/v1/me", timeout=10).status_code == 401, "the local Milo answers, too"


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
