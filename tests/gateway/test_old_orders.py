"""What a client is told of orders that were over long ago, by a gateway that has been tidying up since."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.clock import SystemClock
from normalization.orders import OrderStatus
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import Reply, Served, served

DAY_MS = 24 * 3_600_000
MARKET = {"market": "BTC", "side": "BUY", "size": "0.01", "clientOrderId": "filled"}
PAIR = {
    "market": "BTC",
    "side": "LONG",
    "size": "0.01",
    "entryPrice": "94000",
    "tpPercent": "5",
    "slPercent": "5",
    "clientOrderId": "pair",
}


class DaysLater(SystemClock):
    def __init__(self, days: int) -> None:
        self._ms = days * DAY_MS

    def now_ms(self) -> int:
        return super().now_ms() + self._ms


class Trader:
    """A client of one account, whose gateway is restarted now and then."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.venue = ScriptedVenue()
        self.key = ""
        self.credential_id = ""
        self._gateway: Served | None = None

    @asynccontextmanager
    async def after(self, days: int) -> AsyncIterator[Served]:
        async with served(self.directory, {"scripted": self.venue}, DaysLater(days)) as gateway:
            if not self.key:
                account = await gateway.account()
                self.key = await gateway.key(account)
                self.credential_id = (await gateway.credential(account)).credential_id
            self._gateway = gateway
            while await gateway.gateway.retention.run_once():
                pass
            yield gateway

    async def ask(self, operation: str, fields: Mapping[str, Any]) -> Reply:
        assert self._gateway is not None
        return await self._gateway.post(
            {"operation": operation, "credentialId": self.credential_id, **fields}, self.key
        )


async def test_it_says_how_the_order_ended_and_sends_nothing(tmp_path: Path) -> None:
    trader = Trader(tmp_path)
    async with trader.after(0):
        assert (await trader.ask("placeMarketOrder", MARKET)).status == 200
    async with trader.after(91) as gateway:
        again = await trader.ask("placeMarketOrder", MARKET)
        looked_up = await trader.ask("getOrder", {"clientOrderId": "filled"})
        for reply in (again, looked_up):
            assert (reply.status, reply.json["code"]) == (410, "ORDER_NO_LONGER_KEPT")
            assert reply.json["details"]["status"] == "FILLED"
            assert reply.json["details"]["orderId"] == "ord_1"
        other = await trader.ask("placeMarketOrder", {**MARKET, "size": "0.02"})
        assert (other.status, other.json["code"]) == (409, "CLIENT_ORDER_ID_CONFLICT")
        metrics = gateway.gateway.metrics.exposition().decode()
        assert 'venuegate_orders_retired_total{fate="tombstone"} 1.0' in metrics
    assert len(trader.venue.sent) == 1


async def test_a_protection_of_which_one_order_is_live_tells_how_the_other_ended(tmp_path: Path) -> None:
    trader = Trader(tmp_path)
    async with trader.after(0):
        assert (await trader.ask("placeProtectionOrders", PAIR)).status == 200
        tp, sl = trader.venue.sent
        trader.venue.set_status(tp.client_id, OrderStatus.CANCELED)
        await trader.ask("getOrder", {"clientOrderId": "pair-tp"})
    async with trader.after(91):
        reply = await trader.ask("placeProtectionOrders", PAIR)
        assert (reply.status, reply.json["tpOrderId"], reply.json["slOrderId"]) == (200, None, "ord_2")
        old, live = reply.json["results"]
        assert (old["status"], old["code"], old["replayed"]) == ("CANCELED", "ORDER_NO_LONGER_KEPT", True)
        assert (live["status"], live["replayed"]) == ("PENDING", True)
        trader.venue.set_status(sl.client_id, OrderStatus.FILLED)
        await trader.ask("getOrder", {"clientOrderId": "pair-sl"})
    async with trader.after(182):
        reply = await trader.ask("placeProtectionOrders", PAIR)
        assert (reply.status, reply.json["code"]) == (410, "ORDER_NO_LONGER_KEPT")
    assert len(trader.venue.sent) == 2
