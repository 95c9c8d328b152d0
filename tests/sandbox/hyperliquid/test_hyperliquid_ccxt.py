"""ccxt as the client, as it comes but for its address and its builder fee."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import ccxt.async_support as ccxt  # type: ignore[import-untyped]
import pytest

from sandbox.hyperliquid import HyperliquidVenue
from tests.support.hyperliquid_trader import Clock, wallet_number

BTC = "BTC/USDC:USDC"
CLOID = "0x" + "ab" * 16


@pytest.fixture
async def client(served: tuple[HyperliquidVenue, str], clock: Clock) -> AsyncIterator[Any]:
    venue, url = served
    wallet = wallet_number(1)
    await venue.fund(wallet.address)
    client: Any = ccxt.hyperliquid(
        {
            "walletAddress": wallet.address,
            "privateKey": wallet.key.hex(),
            "enableRateLimit": False,
            "options": {"sandboxMode": True, "approvedBuilderFee": False, "builderFee": False},
        }
    )
    client.urls["api"] = {"public": url, "private": url}
    client.milliseconds = clock.nonce
    yield client
    await client.close()


async def test_ccxt_loads_the_markets(client: Any) -> None:
    markets = await client.load_markets()
    assert len(markets) == 20
    assert markets[BTC]["limits"]["leverage"]["max"] == 50


async def test_ccxt_trades(client: Any) -> None:
    placed = await client.create_order(BTC, "limit", "buy", 0.01, 80000, {"clientOrderId": CLOID})
    found = await client.fetch_order(None, BTC, {"clientOrderId": CLOID})
    assert (found["id"], found["status"], found["price"]) == (placed["id"], "open", 80000)
    edited = await client.edit_order(placed["id"], BTC, "limit", "buy", 0.02, 81000)
    (shown,) = await client.fetch_open_orders(BTC)
    assert (shown["id"], shown["amount"]) == (edited["id"], 0.02)
    await client.cancel_order(edited["id"], BTC)
    assert (await client.fetch_order(edited["id"], BTC))["status"] == "canceled"
    ticker = await client.fetch_ticker(BTC)
    bought = await client.create_order(BTC, "market", "buy", 0.01, ticker["last"])
    assert bought["filled"] == 0.01
    (position,) = await client.fetch_positions()
    assert (position["symbol"], position["contracts"], position["side"]) == (BTC, 0.01, "long")
    (trade,) = await client.fetch_my_trades(BTC)
    assert (trade["order"], trade["takerOrMaker"]) == (bought["id"], "taker")
    assert (await client.fetch_balance())["USDC"]["total"] < 100_000


async def test_ccxt_places_and_sees_a_bracket(client: Any) -> None:
    await client.create_order(
        BTC, "limit", "buy", 0.01, 80000, {"stopLoss": {"triggerPrice": 70000}, "takeProfit": {"triggerPrice": 120000}}
    )
    parent, *rest = await client.fetch_open_orders(BTC)
    assert (parent["price"], len(parent["info"]["children"]), rest) == (80000, 2, [])


async def test_ccxt_hears_of_refusals_in_its_own_words(client: Any) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order(BTC, "limit", "buy", 100, 80000)
    with pytest.raises(ccxt.InvalidOrder):
        await client.create_order(BTC, "limit", "buy", 0.01, 99000, {"postOnly": True})
    with pytest.raises(ccxt.OrderNotFound):
        await client.fetch_order("123", BTC)
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order("123", BTC)


async def test_ccxt_reads_everything_that_it_can(client: Any) -> None:
    assert len((await client.fetch_order_book(BTC))["bids"]) == 20
    assert len(await client.fetch_ohlcv(BTC, "1h", limit=10)) == 10
    assert (await client.fetch_funding_rate(BTC))["fundingRate"] is not None
    assert len(await client.fetch_funding_rate_history(BTC, client.nonce() - 3 * 3_600_000)) == 3
    assert await client.fetch_funding_history(BTC) == []
    assert (await client.fetch_trading_fee(BTC))["taker"] == 0.0005
    assert (await client.fetch_status())["status"] == "ok"
    assert await client.set_leverage(7, BTC) == {"status": "ok", "response": {"type": "default"}}
    assert await client.fetch_orders(BTC) == []
