"""The process is killed with -9 while it places orders. Started again, every order is accounted for."""

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

ORDERS = 120
KILL_AFTER = 40


def price_of(number: int) -> str:
    """A price of its own for every order, far below the market: an order can be told by it on the venue."""
    return str(50_000 + number)


def order(number: int) -> dict[str, Any]:
    return {
        "market": "BTC-USD-PERP",
        "side": "BUY",
        "size": "0.001",
        "price": price_of(number),
        "clientOrderId": f"order-{number}",
    }


@pytest.mark.slow
def test_an_order_is_neither_lost_nor_doubled_by_kill_9(demo: Callable[[], Demo]) -> None:
    gateway = demo()
    answered: dict[int, int] = {}
    enough = threading.Event()

    def place(number: int) -> None:
        try:
            answered[number] = gateway.post("placeLimitOrder", **order(number)).status_code
        except (requests.RequestException, KeyError):
            answered.setdefault(number, 0)
        if len(answered) >= KILL_AFTER:
            enough.set()

    with ThreadPoolExecutor(12) as pool:
        for number in range(ORDERS):
            pool.submit(place, number)
        assert enough.wait(60)
        gateway.kill()

    gateway = demo()
    accepted = {number for number, status in answered.items() if status == 200}
    assert accepted, "nothing was placed before the kill"
    states = {number: _settled(gateway, number) for number in range(ORDERS)}
    open_prices = Counter(Decimal(o["price"]) for o in gateway.call("getOrders", market="BTC-USD-PERP")["orders"])

    assert all(count == 1 for count in open_prices.values()), "an order was doubled"
    for number, state in states.items():
        is_on_venue = Decimal(price_of(number)) in open_prices
        assert is_on_venue == (state == "OPEN"), (number, state, answered.get(number))
    assert all(states[number] == "OPEN" for number in accepted), "an acknowledged order was lost"


def _settled(gateway: Demo, number: int) -> str:
    """What became of an order, by the rule for bots: the same request with the same id until it is not UNKNOWN."""
    deadline = time.monotonic() + 45
    while True:
        response = gateway.post("placeLimitOrder", **order(number))
        body = response.json()
        if response.status_code == 200:
            return str(body["status"])
        if response.status_code == 502:
            assert body["details"]["outcome"] == "not_sent"
            return "NOT_PLACED"
        assert response.status_code in (202, 429, 503), response.text
        assert time.monotonic() < deadline, response.text
        time.sleep(float(response.headers.get("Retry-After", 0.5)))
