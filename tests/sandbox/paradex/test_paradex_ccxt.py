"""ccxt as the client, as it comes but for its address: hashes and signatures by its own pure Python."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import ccxt.async_support as ccxt  # type: ignore[import-untyped]
import pytest

from sandbox.paradex import ParadexVenue
from tests.support.paradex_trader import Clock

BTC = "BTC/USD:USDC"


@pytest.fixture
async def client(served: tuple[ParadexVenue, str], clock: Clock) -> AsyncIterator[Any]:
    """Onboarded by ccxt itself, from an Ethereum key."""
    client: Any = ccxt.paradex(
        {"walletAddress": "0x" + "1" * 40, "privateKey": "0x" + "11" * 32, "enableRateLimit": False}
    )
    client.urls["api"] = {"v1": f"{served[1]}/v1", "v2": f"{served[1]}/v2"}
    client.milliseconds = clock
    client.seconds = lambda: clock.ms // 1_000
    await client.onboarding()
    yield client
    await client.close()


async def test_ccxt_trades(client: Any) -> None:
    placed = await client.create_order(BTC, "limit", "buy", 0.01, 80000, {"clientOrderId": "one"})
    found = await client.fetch_order(None, BTC, {"clientOrderId": "one"})
    assert (found["id"], found["status"], found["price"]) == (placed["id"], "open", 80000)
    await client.edit_order(placed["id"], BTC, "limit", "buy", 0.02, 81000)
    (shown,) = await client.fetch_open_orders(BTC)
    assert (shown["id"], shown["amount"], shown["price"]) == (placed["id"], 0.02, 81000)
    await client.cancel_order(placed["id"], BTC)
    assert (await client.fetch_order(placed["id"], BTC))["status"] == "canceled"
    bought = await client.create_order(BTC, "market", "buy", 0.01)
    assert (await client.fetch_order(bought["id"], BTC))["filled"] == 0.01
    (position,) = await client.fetch_positions()
    assert (position["symbol"], position["contracts"], position["side"]) == (BTC, 0.01, "long")
    (trade,) = await client.fetch_my_trades(BTC)
    assert (trade["order"], trade["takerOrMaker"]) == (bought["id"], "taker")
    assert (await client.fetch_balance())["USDC"]["total"] < 100_000
    await client.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": 60000})
    (stop,) = await client.fetch_open_orders(BTC)
    assert (stop["stopLossPrice"] or stop["triggerPrice"], stop["reduceOnly"]) == (60000, True)
    await client.cancel_all_orders(BTC)
    assert await client.fetch_open_orders(BTC) == []
    assert len(await client.fetch_orders(BTC)) == 3


async def test_ccxt_reads_everything_that_it_can(client: Any, clock: Clock) -> None:
    markets = await client.load_markets()
    assert len(markets) == 20
    assert markets[BTC]["precision"]["price"] == 0.1
    assert len((await client.fetch_order_book(BTC))["bids"]) == 20
    assert len(await client.fetch_ohlcv(BTC, "1h", limit=10)) == 10
    assert (await client.fetch_ticker(BTC))["last"] > 0
    assert len(await client.fetch_tickers()) == 20
    assert (await client.fetch_funding_rate_history(BTC, limit=3))[0]["fundingRate"] is not None
    assert await client.fetch_time() == clock.ms
    assert (await client.fetch_status())["status"] == "ok"
    await client.set_leverage(7, BTC)
    assert (await client.fetch_leverage(BTC))["longLeverage"] == 7
    assert await client.fetch_positions() == []


async def test_a_refusal_is_seen_when_the_order_is_looked_up(client: Any) -> None:
    placed = await client.create_order(BTC, "limit", "buy", 1000, 80000)
    assert placed["status"] == "open"
    assert (await client.fetch_order(placed["id"], BTC))["status"] == "rejected"
    with pytest.raises(ccxt.InvalidOrder):
        await client.cancel_order(placed["id"], BTC)
    with pytest.raises(ccxt.InvalidOrder):
        await client.fetch_order("1" * 25, BTC)
