"""Every way in which an answer can go wrong, and that the order behind it is there all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from sandbox.hyperliquid import HyperliquidVenue
from sandbox.wires.faults import FaultSetting, WireFault
from tests.support.hyperliquid_trader import Trader, limit

CLOID = "0x" + "ef" * 16
ORDER = limit(0, "buy", 80000, "0.01", cloid=CLOID)
BROKEN = (aiohttp.ClientError, ValueError, AssertionError, TimeoutError, ConnectionError)


async def is_placed(trader: Trader) -> bool:
    found: dict[str, Any] = await trader.mine("orderStatus", oid=CLOID)
    status: str = found["status"]
    return status == "order"


@pytest.mark.parametrize(
    "setting",
    [
        FaultSetting(fault=WireFault.RESET),
        FaultSetting(fault=WireFault.TRUNCATED),
        FaultSetting(fault=WireFault.BAD_GZIP),
        FaultSetting(fault=WireFault.BAD_CHUNK),
        FaultSetting(fault=WireFault.HTML),
        FaultSetting(fault=WireFault.EMPTY),
        FaultSetting(fault=WireFault.STATUS, status=429, body="null"),
        FaultSetting(fault=WireFault.STATUS, status=502, body="<html>"),
    ],
    ids=lambda setting: f"{setting.fault.value}-{setting.status}",
)
@pytest.mark.parametrize("before", [False, True])
async def test_a_spoilt_answer_says_nothing_of_the_order(
    trader: Trader, venue: HyperliquidVenue, setting: FaultSetting, before: bool
) -> None:
    chosen = FaultSetting(fault=setting.fault, status=setting.status, body=setting.body, before=before)
    venue.faults.inject(chosen)
    with pytest.raises(BROKEN):
        await trader.order(ORDER)
    assert await is_placed(trader) is not before


@pytest.mark.parametrize("fault", [WireFault.HANG, WireFault.HALF_OPEN, WireFault.SLOW])
async def test_an_answer_that_does_not_come_is_let_go_when_the_faults_are_cleared(
    trader: Trader, venue: HyperliquidVenue, fault: WireFault
) -> None:
    venue.faults.inject(FaultSetting(fault=fault, path="/exchange", pause_s=60))
    waiting = asyncio.create_task(trader.order(ORDER))
    async with asyncio.timeout(5):
        while not await is_placed(trader):
            pass
    assert not waiting.done()
    venue.faults.clear()
    with pytest.raises(BROKEN):
        await waiting


async def test_numbers_that_are_none_and_names_that_stand_twice(
    trader: Trader, venue: HyperliquidVenue, http: aiohttp.ClientSession
) -> None:
    for fault, sign in ((WireFault.NAN, b"NaN"), (WireFault.DUPLICATE_KEY, b'{"status":"ok","status":"err"')):
        venue.faults.inject(FaultSetting(fault=fault))
        async with http.post(trader.url + "/info", json={"type": "exchangeStatus"}) as response:
            assert sign in await response.read()


async def test_a_redirect_leads_elsewhere(trader: Trader, venue: HyperliquidVenue, http: aiohttp.ClientSession) -> None:
    venue.faults.inject(FaultSetting(fault=WireFault.REDIRECT, location="http://127.0.0.1:9/there", before=True))
    async with http.post(trader.url + "/info", json={"type": "meta"}, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, "http://127.0.0.1:9/there")


async def test_two_hundred_megabytes_are_offered(
    trader: Trader, venue: HyperliquidVenue, http: aiohttp.ClientSession
) -> None:
    venue.faults.inject(FaultSetting(fault=WireFault.HUGE))
    async with http.post(trader.url + "/info", json={"type": "meta"}) as response:
        assert response.content_length == 200 * 2**20
        assert len(await response.content.readexactly(2**20)) == 2**20
        response.close()


async def test_a_fault_is_for_the_requests_that_it_names_and_as_often_as_it_says(
    trader: Trader, venue: HyperliquidVenue
) -> None:
    venue.faults.inject(FaultSetting(fault=WireFault.EMPTY, times=2, path="/exchange", containing="cancel"))
    assert (await trader.info("exchangeStatus"))["specialStatuses"] is None
    (status,) = await trader.order(ORDER)
    cancel = {"type": "cancel", "cancels": [{"a": 0, "o": status["resting"]["oid"]}]}
    for _ in range(2):
        with pytest.raises(BROKEN):
            await trader.act(cancel)
    assert (await trader.act(cancel))["status"] == "ok"


async def test_faults_and_money_are_to_be_had_over_http_from_this_machine(
    trader: Trader, http: aiohttp.ClientSession
) -> None:
    async with http.post(trader.url + "/sandbox/faults", json={"fault": "status", "status": 503}) as response:
        assert response.status == 200
    async with http.post(trader.url + "/info", json={"type": "meta"}) as response:
        assert response.status == 503
    async with http.post(trader.url + "/sandbox/faults", json={"fault": "nonsense"}) as response:
        assert response.status == 400
    async with http.delete(trader.url + "/sandbox/faults") as response:
        assert response.status == 200
    funding = {"address": "0x" + "1" * 40, "usd": "25"}
    async with http.post(trader.url + "/sandbox/fund", json=funding) as response:
        assert response.status == 200
    state = await trader.info("clearinghouseState", user="0x" + "1" * 40)
    assert state["marginSummary"]["accountValue"] == "25.0"


async def test_a_page_in_a_browser_cannot_set_faults(trader: Trader, http: aiohttp.ClientSession) -> None:
    headers = {"Origin": "http://elsewhere.example"}
    async with http.post(trader.url + "/sandbox/faults", json={"fault": "empty"}, headers=headers) as response:
        assert response.status == 404
