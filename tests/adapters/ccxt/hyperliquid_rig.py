"""Hyperliquid's adapter over a recording server that answers as the venue's documents say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.base import Network, OpenCredential
from adapters.ccxt_venues.adapter import CcxtAdapter
from adapters.ccxt_venues.hyperliquid import HYPERLIQUID
from adapters.ccxt_venues.hyperliquid.session import HyperliquidSession
from adapters.ccxt_venues.venue import Surroundings
from adapters.transport import Transport
from normalization.instruments import Instrument
from normalization.resolver import Markets
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recording_server import Answer, RecordingServer, Sent, recording, said

KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
AGENT = "0x14791697260e4c9a71f18484c9f997b308e59325"
ACCOUNT = "0x5e9ee1089755c3435139848e47e6635505d5a13a"
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"

META: dict[str, Any] = {
    "universe": [
        {"szDecimals": 5, "name": "BTC", "maxLeverage": 40, "marginTableId": 56},
        {"szDecimals": 4, "name": "ETH", "maxLeverage": 25, "marginTableId": 55},
        {"szDecimals": 1, "name": "MATIC", "maxLeverage": 20, "marginTableId": 20, "isDelisted": True},
        {"szDecimals": 0, "name": "kPEPE", "maxLeverage": 10, "marginTableId": 52},
    ],
    "marginTables": [],
    "collateralToken": 0,
}
CONTEXT = {
    "funding": "0.0000125",
    "openInterest": "688.11",
    "prevDayPx": "59020.0",
    "dayNtlVlm": "1169046.29",
    "premium": "0.00031774",
    "oraclePx": "60000.5",
    "markPx": "60010.0",
    "midPx": "60005.5",
    "impactPxs": ["60005.0", "60006.0"],
    "dayBaseVlm": "20.3",
}
BOOK = {
    "coin": "BTC",
    "time": NOW_MS,
    "levels": [
        [{"px": "59999.0", "sz": "1.5", "n": 3}, {"px": "59998.0", "sz": "2.0", "n": 1}],
        [{"px": "60001.0", "sz": "0.5", "n": 1}, {"px": "60003.0", "sz": "4.0", "n": 2}],
    ],
}
RESTING = {"status": "ok", "response": {"type": "order", "data": {"statuses": [{"resting": {"oid": 77738308}}]}}}


class HyperliquidRig:
    """``infos`` answer ``/info`` by type, ``exchange`` answers ``/exchange``."""

    def __init__(self) -> None:
        self.server: RecordingServer
        self.adapter: CcxtAdapter
        self.session: HyperliquidSession
        self.markets: Markets
        self.exchange: Any = RESTING
        self.infos: dict[str, Any] = {
            "meta": META,
            "metaAndAssetCtxs": [META, [CONTEXT] * len(META["universe"])],
            "l2Book": BOOK,
            "spotMeta": {"tokens": [], "universe": []},
        }

    @property
    def btc(self) -> Instrument:
        return self.markets.resolve("BTC")

    @property
    def actions(self) -> list[Any]:
        return [sent.document for sent in self.server.to("/exchange")]

    def answer(self, sent: Sent) -> Answer:
        found = self.exchange if sent.path == "/exchange" else self.infos[sent.document["type"]]
        if callable(found):
            found = found(sent.document)
        return found if isinstance(found, Answer) else said(found)

    async def open(self, network: Network = Network.PAPER, **secrets: str) -> HyperliquidSession:
        session = await self.adapter.open(
            OpenCredential(
                credential_id="c-1",
                account_id="a-1",
                exchange="hyperliquid",
                network=network,
                secrets={"account_address": ACCOUNT, "private_key": KEY, **secrets},
            )
        )
        assert isinstance(session, HyperliquidSession)
        return session


def surroundings(data_dir: Path, transport: Transport, now_ms: Callable[[], int] = lambda: NOW_MS) -> Surroundings:
    return Surroundings(
        data_dir=data_dir,
        transport=transport,
        now_ms=now_ms,
        monotonic=time.monotonic,
        sleep=asyncio.sleep,
    )


@asynccontextmanager
async def hyperliquid_rig(data_dir: Path) -> AsyncIterator[HyperliquidRig]:
    rig = HyperliquidRig()
    async with recording(rig.answer) as rig.server:
        transport = Transport()
        rig.adapter = CcxtAdapter(HYPERLIQUID, surroundings(data_dir, transport), paper_url=rig.server.url)
        rig.markets = await rig.adapter.markets(Network.PAPER)
        rig.session = await rig.open()
        rig.server.sent.clear()
        try:
            yield rig
        finally:
            await rig.adapter.close()
            await transport.close()
