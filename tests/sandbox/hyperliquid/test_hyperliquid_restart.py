from __future__ import annotations

from decimal import Decimal

import aiohttp

from tests.support.hyperliquid_trader import Clock, OpenVenue, Trader, limit, mark, move_until, trigger, wallet_number

BTC = 0
CLOID = "0x" + "cd" * 16


async def test_orders_positions_agents_and_nonces_outlive_a_restart(
    open_venue: OpenVenue, http: aiohttp.ClientSession, clock: Clock
) -> None:
    venue, url = await open_venue()
    wallet = wallet_number(1)
    await venue.fund(wallet.address)
    trader = Trader(http, url, clock, wallet, wallet.address)
    await trader.approve_agent(wallet_number(2), "bot")
    nonce = clock.nonce()
    await trader.order(limit(BTC, "buy", 80000, "0.01", cloid=CLOID), nonce=nonce)
    await trader.order(limit(BTC, "buy", int(await mark(venue)) + 500, "0.01", tif="Ioc"))
    before = {kind: await trader.mine(kind) for kind in ("frontendOpenOrders", "userFills", "historicalOrders")}

    venue, url = await open_venue()
    trader = Trader(http, url, clock, wallet, wallet.address)
    assert {kind: await trader.mine(kind) for kind in before} == before
    answer = await trader.act({"type": "noop"}, nonce=nonce)
    assert answer["response"] == f"Invalid nonce: duplicate nonce {nonce}"
    again = limit(BTC, "buy", 80000, "0.01", cloid=CLOID)
    assert await trader.order(again) == [{"error": "Duplicate cloid asset=0"}]
    agent = Trader(http, url, clock, wallet_number(2), wallet.address)
    (status,) = await agent.order(limit(BTC, "buy", 79000, "0.01"))
    assert status["resting"]["oid"] > max(entry["order"]["oid"] for entry in before["historicalOrders"])


async def test_what_was_held_goes_on_after_a_restart(
    open_venue: OpenVenue, http: aiohttp.ClientSession, clock: Clock
) -> None:
    venue, url = await open_venue()
    wallet = wallet_number(1)
    await venue.fund(wallet.address)
    trader = Trader(http, url, clock, wallet, wallet.address)
    at = int(await mark(venue))
    await trader.order(
        limit(BTC, "buy", at - 60, "0.001"), trigger(BTC, "sell", "tp", at + 20, "0.001"), grouping="normalTpsl"
    )
    # The parent fills while nobody runs the venue.
    await move_until(venue, clock, lambda price: price < at - 70)
    venue, url = await open_venue()
    trader = Trader(http, url, clock, wallet, wallet.address)
    (waiting,) = await trader.mine("frontendOpenOrders")
    assert waiting["orderType"] == "Take Profit Market"
    await move_until(venue, clock, lambda price: price > at + 25)
    assert await trader.mine("openOrders") == []
    state = await trader.mine("clearinghouseState")
    assert state["assetPositions"] == []
    assert Decimal(state["marginSummary"]["accountValue"]) > 100_000
