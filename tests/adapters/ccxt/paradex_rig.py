"""Paradex's adapter over a recording server that answers as the venue's documents say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from adapters.base import Network, OpenCredential, Submission
from adapters.ccxt_venues.adapter import CcxtAdapter
from adapters.ccxt_venues.paradex import PARADEX
from adapters.ccxt_venues.paradex.session import ParadexSession
from adapters.transport import Transport
from normalization.instruments import Instrument
from normalization.orders import Execution, PostOnly, Side
from normalization.resolver import Markets
from tests.adapters.ccxt.hyperliquid_rig import surroundings
from tests.adapters.ccxt.orders_to_place import NOW_MS, submission
from tests.adapters.ccxt.recording_server import Answer, RecordingServer, Sent, recording, said

MAIN_KEY = "0x30aa092002d2810ad48c006709502638b83f7552f0a6ba69968d05d2c19d0cf"
MAIN_PUBLIC_KEY = 0x6E13C200559930B97D8760119B5F63647DC8A32B0DCB0129A76CD577C44E1FF
ACCOUNT = "0x61e1d93f26056f9248de87ce19c93d49c44111af9d099b7bbcd9be82ea28e81"
SUBKEY = "0x7b5a4c1e0d2f3968a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f607"
CHAIN = "PRIVATE_SN_POTC_SEPOLIA"
CLIENT_ID = "000102030405060708090a0b0c0d0e0f"
ORDER_ID = "1721903808500201709220290000"

CONFIG: dict[str, Any] = {
    "starknet_chain_id": CHAIN,
    "l1_chain_id": "11155111",
    "paraclear_account_hash": "0x41cb0280ebadaa75f996d8d92c6f265f6d040bb3ba442e5f86a554f1765244e",
    "paraclear_account_proxy_hash": "0x3530cc4759d78042f1b543bf797f5f3d647cde0388c33734cf91b7f7b9314a9",
}


def market(base: str, tick: str, lot: str, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": f"{base}-USD-PERP",
        "base_currency": base,
        "quote_currency": "USD",
        "settlement_currency": "USDC",
        "order_size_increment": lot,
        "price_tick_size": tick,
        "min_notional": "100",
        "open_at": 1698756879745,
        "expiry_at": 0,
        "asset_kind": "PERP",
        "position_limit": "60",
        "funding_period_hours": 8,
        "delta1_cross_margin_params": {"imf_base": "0.02", "imf_shift": "0", "imf_factor": "0", "mmf_factor": "0.5"},
        "fee_config": {
            "api_fee": {
                "maker_fee": {"fee": "-0.00005", "fee_cap": "0", "fee_floor": "0"},
                "taker_fee": {"fee": "0.0003", "fee_cap": "0", "fee_floor": "0"},
            }
        },
        **changes,
    }


MARKETS = [
    market("BTC", "0.1", "0.00001"),
    market("ETH", "0.01", "0.0001", delta1_cross_margin_params={"imf_base": "0.03333333333333333333333333333"}),
    market("kPEPE", "0.0000001", "1"),
    market("DUST", "0.000000001", "1"),
    market("FREAK", "NaN", "1"),
    market("BTC", "0.1", "0.001", symbol="BTC-USD-1-C", asset_kind="PERP_OPTION"),
]


def report(order: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The venue's report of an order: of the one that was sent, where it is given."""
    base = {
        "id": ORDER_ID,
        "account": ACCOUNT,
        "market": "BTC-USD-PERP",
        "side": "BUY",
        "type": "LIMIT",
        "size": "0.01",
        "remaining_size": "0.01",
        "price": "50000",
        "status": "OPEN",
        "created_at": NOW_MS,
        "last_updated_at": NOW_MS,
        "timestamp": NOW_MS,
        "cancel_reason": "",
        "client_id": CLIENT_ID,
        "seq_no": 1721903808521364144,
        "instruction": "GTC",
        "avg_fill_price": "",
        "stp": "EXPIRE_TAKER",
        "flags": [],
        "trigger_price": "0",
    }
    if order is not None:
        base |= {"price": "0", **order, "remaining_size": order["size"]}
        for private in ("signature", "signature_timestamp", "recv_window"):
            base.pop(private, None)
    return base | changes


def accepted(order: dict[str, Any]) -> dict[str, Any]:
    return report(order, status="UNTRIGGERED" if "trigger_price" in order else "OPEN")


def page(*results: Any) -> dict[str, Any]:
    return {"next": None, "prev": None, "results": list(results)}


def refusal(code: str, message: str = "", status: int = 400) -> Answer:
    return said({"error": code, "message": message or code.lower(), "data": None}, status)


Reply = Any | Callable[[Sent], Any]


class ParadexRig:
    """``replies`` answers by method and path, without its query; a callable is handed the request."""

    def __init__(self) -> None:
        self.server: RecordingServer
        self.adapter: CcxtAdapter
        self.session: ParadexSession
        self.markets: Markets
        self.tokens = 0
        self.replies: dict[str, Reply] = {
            "GET /v1/system/config": CONFIG,
            "GET /v1/markets": {"results": MARKETS},
            "POST /v1/orders": lambda sent: said(accepted(sent.document), 201),
            "GET /v1/bbo/BTC-USD-PERP": {"market": "BTC-USD-PERP", "bid": "59999.9", "ask": "60000.1"},
        }

    @property
    def btc(self) -> Instrument:
        return self.markets.resolve("BTC")

    @property
    def placed(self) -> list[Any]:
        return [sent.document for sent in self.server.to("/v1/orders") if sent.method == "POST"]

    def answer(self, sent: Sent) -> Answer:
        path = sent.path.partition("?")[0]
        if path == "/v1/auth" or path.startswith("/v1/auth/"):
            self.tokens += 1
            found: Any = self.replies.get("POST /v1/auth", {"jwt_token": f"token-{self.tokens}"})
        else:
            found = self.replies.get(f"{sent.method} {path}", refusal("NOT_FOUND", status=404))
        if callable(found):
            found = found(sent)
        return found if isinstance(found, Answer) else said(found)

    async def open(self, account: str = ACCOUNT, private_key: str = SUBKEY) -> ParadexSession:
        session = await self.adapter.open(
            OpenCredential(
                credential_id="c-1",
                account_id="a-1",
                exchange="paradex",
                network=Network.PAPER,
                secrets={"account_address": account, "private_key": private_key},
            )
        )
        assert isinstance(session, ParadexSession)
        return session


@asynccontextmanager
async def paradex_rig(data_dir: Path) -> AsyncIterator[ParadexRig]:
    rig = ParadexRig()
    async with recording(rig.answer) as rig.server:
        transport = Transport()
        rig.adapter = CcxtAdapter(PARADEX, surroundings(data_dir, transport), paper_url=rig.server.url)
        rig.markets = await rig.adapter.markets(Network.PAPER)
        rig.session = await rig.open()
        rig.server.sent.clear()
        try:
            yield rig
        finally:
            await rig.session.close()
            await rig.adapter.close()
            await transport.close()


def buy(
    paradex: ParadexRig,
    execution: Execution | None = None,
    *,
    side: Side = Side.BUY,
    size: str = "0.01",
    reduce_only: bool = False,
    client_id: str = CLIENT_ID,
) -> Submission:
    return submission(
        paradex.btc,
        execution or PostOnly(price=Decimal(50000)),
        side=side,
        size=size,
        reduce_only=reduce_only,
        client_id=client_id,
    )
