"""Orders that a key may not place by itself, through ``POST /v1``, where there is nobody to ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from normalization.instruments import Instrument
from normalization.market_data import OrderBook
from normalization.venue_failures import Reason, VenueUnclear
from storage.ports import Account, Scopes
from tests.support.scripted_venue import CAPABILITIES, ScriptedVenue
from tests.support.served import Reply, Served, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The scripted venue buys BTC at 93999.5 and sells it at 94000.5.
BEST = Decimal("94000.5")


class QuietVenue(ScriptedVenue):
    """Its order book is empty, or cannot be had at all."""

    def __init__(self) -> None:
        super().__init__(CAPABILITIES)
        self.book_failure: VenueUnclear | None = None

    async def get_orderbook(self, instrument: Instrument, depth: int) -> OrderBook:
        if self.book_failure is not None:
            raise self.book_failure
        return OrderBook(bids=(), asks=())


class Shop:
    def __init__(self, gateway: Served, venue: ScriptedVenue, account: Account, credential_id: str) -> None:
        self.gateway = gateway
        self.venue = venue
        self.account = account
        self.credential_id = credential_id

    async def post(self, operation: str, above: str | None, **fields: Any) -> Reply:
        """With a new key that may place orders up to ``above`` by itself."""
        scopes = Scopes(confirm_above=None if above is None else Decimal(above))
        key = await self.gateway.key(self.account, scopes=scopes)
        body = {"operation": operation, "credentialId": self.credential_id, "market": "BTC", **fields}
        return await self.gateway.post(body, key)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    venues = {"scripted": ScriptedVenue(), "quiet": QuietVenue()}
    async with served(tmp_path_factory.mktemp("gateway"), venues) as found:
        yield found


async def shop_at(gateway: Served, exchange: str) -> Shop:
    venue = gateway.gateway.adapters[exchange]
    assert isinstance(venue, ScriptedVenue)
    venue.sent.clear()
    account = await gateway.account()
    return Shop(gateway, venue, account, (await gateway.credential(account, exchange)).credential_id)


@pytest_asyncio.fixture(loop_scope="module")
async def shop(gateway: Served) -> Shop:
    return await shop_at(gateway, "scripted")


async def test_an_order_above_the_keys_limit_is_refused_and_not_sent(shop: Shop) -> None:
    order = {"side": "BUY", "size": "0.01", "price": "94000"}
    refused = await shop.post("placeLimitOrder", "939.99", **order)
    assert (refused.status, refused.json["code"]) == (403, "OPERATION_NOT_ALLOWED")
    assert refused.json["details"] == {
        "reason": "CONFIRMATION_REQUIRED",
        "value": "940.00",
        "confirmAbove": "939.99",
        "quote": "USD",
    }
    assert shop.venue.sent == []
    assert (await shop.post("placeLimitOrder", "940", **order)).status == 200
    assert (await shop.post("placeLimitOrder", None, **order)).status == 200


LIMIT = "placeLimitOrder"
WORTH = [
    (LIMIT, {"side": "BUY", "price": "200000"}, Decimal(200_000)),
    (LIMIT, {"side": "BUY", "price": "50000"}, Decimal(50_000)),
    (LIMIT, {"side": "SELL", "price": "100000"}, Decimal(100_000)),
    (LIMIT, {"side": "SELL", "price": "100"}, BEST),
    (LIMIT, {"side": "SELL", "price": "95000", "postOnly": True}, Decimal(95_000)),
    ("placeMarketOrder", {"side": "BUY"}, BEST * Decimal("1.01")),
    ("placeMarketOrder", {"side": "BUY", "maxSlippageBps": 500}, BEST * Decimal("1.05")),
    ("placeMarketOrder", {"side": "SELL"}, BEST),
    ("placeStopOrder", {"side": "BUY", "triggerPrice": "99000", "reduceOnly": False}, Decimal(99_000)),
    ("placeStopOrder", {"side": "SELL", "triggerPrice": "90000", "reduceOnly": False}, BEST),
]


@pytest.mark.parametrize(("operation", "fields", "worth"), WORTH, ids=lambda value: str(value)[:60])
async def test_an_order_is_worth_what_it_may_cost_at_most(
    shop: Shop, operation: str, fields: dict[str, Any], worth: Decimal
) -> None:
    refused = await shop.post(operation, str(worth - Decimal("0.01")), size="1", **fields)
    assert refused.json["code"] == "OPERATION_NOT_ALLOWED"
    assert Decimal(refused.json["details"]["value"]) == worth
    assert shop.venue.sent == []
    assert (await shop.post(operation, str(worth), size="1", **fields)).status == 200


async def test_the_orders_of_a_batch_count_together(shop: Shop) -> None:
    leg = {"market": "BTC", "side": "BUY", "size": "0.01", "price": "50000"}
    reducing = {**leg, "size": "9", "reduceOnly": True}
    for orders, status in (([leg, leg], 200), ([leg, leg, reducing], 200), ([leg, leg, leg], 403)):
        scopes = Scopes(confirm_above=Decimal(1000))
        key = await shop.gateway.key(shop.account, scopes=scopes)
        body = {"operation": "placeBatchOrder", "credentialId": shop.credential_id, "orders": orders}
        assert (await shop.gateway.post(body, key)).status == status
    assert len(shop.venue.sent) == 5


async def test_whatever_its_limit_a_key_may_get_out_of_a_position(shop: Shop) -> None:
    close = {"side": "SELL", "size": "5"}
    assert (await shop.post("placeMarketOrder", "0", **close, reduceOnly=True)).status == 200
    assert (await shop.post("placeStopOrder", "0", **close, triggerPrice="90000")).status == 200
    protection = {"side": "LONG", "size": "5", "entryPrice": "94000", "slPercent": 2}
    assert (await shop.post("placeProtectionOrders", "0", **protection)).status == 200
    assert (await shop.post("closeAllPositions", "0")).status == 200
    assert (await shop.post("placeMarketOrder", "0", side="BUY", size="0.001")).status == 403


async def test_what_was_placed_before_is_told_without_asking_again(shop: Shop) -> None:
    order = {"side": "BUY", "size": "0.01", "price": "94000", "clientOrderId": "mine"}
    assert (await shop.post("placeLimitOrder", None, **order)).status == 200
    again = await shop.post("placeLimitOrder", "0", **order)
    assert (again.status, again.json["replayed"]) == (200, True)
    assert len(shop.venue.sent) == 1


async def test_what_cannot_be_valued_is_not_sent(gateway: Served) -> None:
    shop = await shop_at(gateway, "quiet")
    assert isinstance(shop.venue, QuietVenue)
    for failure, reason in (
        (None, "NO_LIQUIDITY"),
        (VenueUnclear(Reason.VENUE_TIMEOUT, "no answer"), "VENUE_TIMEOUT"),
    ):
        shop.venue.book_failure = failure
        refused = await shop.post("placeMarketOrder", "1000", side="BUY", size="0.01")
        assert (refused.status, refused.json["code"]) == (502, "EXCHANGE_ERROR")
        assert refused.json["details"] == {"outcome": "not_sent", "reason": reason, "retryable": True}
        # The price of a limit buy is all that it takes.
        assert (await shop.post("placeLimitOrder", "1000", side="BUY", size="0.01", price="94000")).status == 200
    assert len(shop.venue.sent) == 2
