from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.engine import Engine
from sandbox.hyperliquid.candles import candles
from sandbox.hyperliquid.universe import hyperliquid_listings
from tests.support.hyperliquid_trader import NOON_MS, Trader, limit

SHAPELESS = "Failed to deserialize the JSON body into the target type"
NOBODY = "0x" + "9" * 40
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/info", '{"type":"nonsense"}'),
        ("/info", "{}"),
        ("/info", "[]"),
        ("/info", '{"type":"openOrders"}'),
        ("/info", '{"type":"openOrders","user":"0x123"}'),
        ("/info", '{"type":"l2Book","coin":"NOPE"}'),
        ("/info", '{"type":"candleSnapshot","req":{"coin":"BTC","interval":"7m","startTime":0,"endTime":1}}'),
        ("/exchange", '{"action":{"type":"nonsense"},"nonce":1,"signature":{"r":"0x1","s":"0x1","v":27}}'),
        ("/exchange", '{"action":{"type":"noop"},"nonce":-1,"signature":{"r":"0x1","s":"0x1","v":27}}'),
        ("/exchange", '{"action":{"type":"noop"},"nonce":1}'),
    ],
)
async def test_a_body_of_another_shape_is_unprocessable(
    trader: Trader, http: aiohttp.ClientSession, path: str, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    async with http.post(trader.url + path, data=body, headers=headers) as response:
        assert (response.status, response.content_type) == (422, "text/plain")
        assert await response.text() == SHAPELESS


@pytest.mark.parametrize(
    ("terms", "cloid"),
    [
        ({"trigger": {"isMarket": True, "triggerPx": "1", "tpsl": ""}}, None),
        ({}, None),
        ({"limit": {"tif": "Fok"}}, None),
        ({"limit": {"tif": "Gtc"}}, "not-hex"),
    ],
)
async def test_an_order_of_another_shape_is_unprocessable(
    trader: Trader, http: aiohttp.ClientSession, terms: dict[str, Any], cloid: str | None
) -> None:
    order = {**limit(0, "buy", 80000, "0.01", cloid=cloid), "t": terms}
    body = {"action": {"type": "order", "orders": [order], "grouping": "na"}, "nonce": 1}
    signed = {**body, "signature": {"r": "0x1", "s": "0x1", "v": 27}}
    async with http.post(trader.url + "/exchange", json=signed) as response:
        assert response.status == 422


async def test_what_is_no_json_is_told_so(trader: Trader, http: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/json"}
    async with http.post(trader.url + "/info", data="{", headers=headers) as response:
        assert response.status == 400
    async with http.post(trader.url + "/info", data="{}", headers={"Content-Type": "text/plain"}) as response:
        assert response.status == 415


async def test_a_stranger_is_an_empty_account(trader: Trader) -> None:
    state = await trader.info("clearinghouseState", user=NOBODY)
    assert (state["marginSummary"]["accountValue"], state["assetPositions"]) == ("0.0", [])
    for kind in ("openOrders", "frontendOpenOrders", "historicalOrders", "userFills", "userFunding", "extraAgents"):
        assert await trader.info(kind, user=NOBODY) == []
    assert await trader.info("orderStatus", user=NOBODY, oid=5) == {"status": "unknownOid"}
    assert await trader.info("userRole", user=NOBODY) == {"role": "missing"}


async def test_unknown_fields_and_the_main_dex_are_accepted(trader: Trader) -> None:
    assert (await trader.info("meta", dex=""))["universe"][0]["name"] == "BTC"
    assert await trader.mine("openOrders", dex="", anything=[1]) == []
    assert await trader.mine("userFillsByTime", startTime=0, endTime=None, aggregateByTime=False) == []


async def test_the_book_is_sorted_apart_and_can_be_grouped(trader: Trader) -> None:
    fine = await trader.info("l2Book", coin="BTC", nSigFigs=None)
    coarse = await trader.info("l2Book", coin="BTC", nSigFigs=4)
    for book in (fine, coarse):
        bids, asks = ([Decimal(level["px"]) for level in side] for side in book["levels"])
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < asks[0]
    assert all(Decimal(level["px"]) % 10 == 0 for side in coarse["levels"] for level in side)


async def test_contexts_come_in_the_order_of_the_universe(trader: Trader) -> None:
    meta, contexts = await trader.info("metaAndAssetCtxs")
    mids = await trader.info("allMids")
    assert len(meta["universe"]) == len(contexts)
    for entry, context in zip(meta["universe"], contexts, strict=True):
        assert context["midPx"] == mids[entry["name"]]


async def test_funding_is_told_hour_by_hour(trader: Trader) -> None:
    history = await trader.info("fundingHistory", coin="BTC", startTime=NOON_MS - 5 * HOUR_MS, endTime=NOON_MS)
    assert [entry["time"] % HOUR_MS for entry in history] == [13] * 5
    assert [b["time"] - a["time"] for a, b in pairwise(history)] == [HOUR_MS] * 4


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([("3m", "1m", 3), ("2h", "1h", 2), ("12h", "4h", 3), ("1w", "1d", 7)]))
def test_long_candles_are_what_the_short_ones_in_them_make(minutes_ago: int, sizes: tuple[str, str, int]) -> None:
    long, short, count = sizes
    listing = hyperliquid_listings()[0]
    engine = Engine(5, "x", [listing])
    engine.advance(NOON_MS)
    market = engine.views.market(listing.instrument.symbol)
    at_ms = NOON_MS - minutes_ago * 60_000
    (whole,) = candles(market, "BTC", long, at_ms, at_ms, NOON_MS // 1_000)
    parts = candles(market, "BTC", short, whole["t"], whole["T"], NOON_MS // 1_000)
    assert len(parts) <= count
    assert (whole["o"], whole["c"]) == (parts[0]["o"], parts[-1]["c"])
    assert Decimal(whole["h"]) == max(Decimal(part["h"]) for part in parts)
    assert Decimal(whole["l"]) == min(Decimal(part["l"]) for part in parts)
    assert Decimal(whole["v"]) == sum(Decimal(part["v"]) for part in parts)
    assert whole["t"] <= at_ms <= whole["T"]
