"""SIGTERM while orders are being placed: what was started is finished, and nothing is left in doubt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.e2e.conftest import Demo


def test_a_stop_under_load_leaves_no_order_in_doubt(demo: Callable[[], Demo]) -> None:
    gateway = demo()
    answers: dict[int, int] = {}
    enough = threading.Event()

    def place(number: int) -> None:
        order = {"market": "BTC", "side": "BUY", "size": "0.001", "price": str(50_000 + number)}
        try:
            reply = gateway.post("placeLimitOrder", **order, clientOrderId=f"n-{number}")
        except requests.RequestException:
            return
        answers[number] = reply.status_code
        if len(answers) >= 20:
            enough.set()

    with ThreadPoolExecutor(8) as pool:
        for number in range(100):
            pool.submit(place, number)
        assert enough.wait(60)
        code = gateway.stop()

    assert code == 0
    assert set(answers.values()) <= {200, 503}
    gateway = demo()
    for number, status in answers.items():
        found = gateway.post("getOrder", clientOrderId=f"n-{number}")
        if status == 200:
            assert found.json()["status"] == "OPEN"
    prices = [order["price"] for order in gateway.call("getOrders", market="BTC")["orders"]]
    assert len(prices) == len(set(prices)) >= sum(status == 200 for status in answers.values())
