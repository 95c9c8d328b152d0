"""The venue's own Python SDK as the client, as it comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from eth_account import Account
from hyperliquid import exchange as sdk_exchange  # type: ignore[import-untyped]
from hyperliquid.exchange import Exchange  # type: ignore[import-untyped]
from hyperliquid.info import Info  # type: ignore[import-untyped]
from hyperliquid.utils.error import ClientError  # type: ignore[import-untyped]
from hyperliquid.utils.types import Cloid  # type: ignore[import-untyped]

from sandbox.hyperliquid import HyperliquidVenue
from tests.support.hyperliquid_trader import Clock, wallet_number

CLOID = Cloid.from_int(7)


@pytest.fixture
def sdk_clock(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """The SDK's nonces are the time, which here only tests move."""
    monkeypatch.setattr(sdk_exchange, "get_timestamp_ms", clock.nonce)


def statuses(answer: Any) -> list[Any]:
    assert answer["status"] == "ok", answer
    found: list[Any] = answer["response"]["data"]["statuses"]
    return found


@pytest.mark.usefixtures("sdk_clock")
async def test_the_sdk_trades(served: tuple[HyperliquidVenue, str]) -> None:
    venue, url = served
    wallet = wallet_number(1)
    await venue.fund(wallet.address)

    def trade() -> None:
        sdk, info = Exchange(wallet, url, timeout=10), Info(url, skip_ws=True, timeout=10)
        low = float(round(float(info.all_mids()["BTC"]) * 0.9))
        assert "resting" in statuses(sdk.order("BTC", True, 0.01, low, {"limit": {"tif": "Alo"}}, cloid=CLOID))[0]
        assert info.query_order_by_cloid(wallet.address, CLOID)["order"]["status"] == "open"
        changed = sdk.modify_order(CLOID, "BTC", True, 0.02, low, {"limit": {"tif": "Gtc"}}, cloid=CLOID)
        oid = statuses(changed)[0]["resting"]["oid"]
        assert info.query_order_by_oid(wallet.address, oid)["order"]["order"]["origSz"] == "0.02"
        assert statuses(sdk.cancel_by_cloid("BTC", CLOID)) == ["success"]
        assert "error" in statuses(sdk.cancel("BTC", oid))[0]
        assert statuses(sdk.market_open("ETH", True, 0.5))[0]["filled"]["totalSz"] == "0.5"
        assert sdk.update_leverage(5, "ETH")["status"] == "ok"
        stop: Any = {"trigger": {"isMarket": True, "triggerPx": 1500, "tpsl": "sl"}}
        assert "resting" in statuses(sdk.order("ETH", False, 0.5, 1400, stop, reduce_only=True))[0]
        (position,) = info.user_state(wallet.address)["assetPositions"]
        assert position["position"]["leverage"] == {"type": "cross", "value": 5}
        assert statuses(sdk.market_close("ETH"))[0]["filled"]["totalSz"] == "0.5"
        assert [fill["dir"] for fill in info.user_fills(wallet.address)] == ["Close Long", "Open Long"]
        assert len(info.historical_orders(wallet.address)) == 5
        assert sdk.schedule_cancel(None)["response"].startswith("Cannot set scheduled cancel time")

    await asyncio.to_thread(trade)


@pytest.mark.usefixtures("sdk_clock")
async def test_an_agent_of_the_sdk_trades(served: tuple[HyperliquidVenue, str], clock: Clock) -> None:
    venue, url = served
    wallet = wallet_number(1)
    await venue.fund(wallet.address)

    def trade() -> None:
        answer, key = Exchange(wallet, url, timeout=10).approve_agent("bot")
        assert answer["status"] == "ok"
        agent = Exchange(Account.from_key(key), url, account_address=wallet.address, timeout=10)
        agent.set_expires_after(clock.ms + 60_000)
        assert "resting" in statuses(agent.order("BTC", True, 0.01, 80000, {"limit": {"tif": "Gtc"}}))[0]
        agent.set_expires_after(clock.ms - 60_000)
        late = agent.order("BTC", True, 0.01, 80000, {"limit": {"tif": "Gtc"}})
        assert late == {"status": "err", "response": "Action already expired"}

    await asyncio.to_thread(trade)


async def test_every_question_of_the_sdk_is_answered(served: tuple[HyperliquidVenue, str]) -> None:
    venue, url = served
    address = wallet_number(1).address
    await venue.fund(address)

    def ask() -> None:
        info = Info(url, skip_ws=True, timeout=10)
        for question in (
            info.user_state,
            info.spot_user_state,
            info.open_orders,
            info.frontend_open_orders,
            info.user_fills,
            info.user_fees,
            info.user_staking_summary,
            info.user_staking_delegations,
            info.user_staking_rewards,
            info.query_referral_state,
            info.query_sub_accounts,
            info.historical_orders,
            info.portfolio,
            info.user_twap_slice_fills,
            info.user_vault_equities,
            info.user_role,
            info.user_rate_limit,
            info.extra_agents,
        ):
            question(address)
        info.meta_and_asset_ctxs()
        info.spot_meta_and_asset_ctxs()
        info.perp_dexs()
        info.funding_history("BTC", 0)
        info.user_funding_history(address, 0)
        info.user_fills_by_time(address, 0)
        info.l2_snapshot("ETH")
        assert len(info.candles_snapshot("BTC", "1d", 0, 2**50)) == 5000

    await asyncio.to_thread(ask)


async def test_the_sdk_hears_of_a_bad_body(served: tuple[HyperliquidVenue, str]) -> None:
    def ask() -> None:
        with pytest.raises(ClientError) as caught:
            Info(served[1], skip_ws=True, timeout=10).post("/info", {"type": "nonsense"})
        assert caught.value.status_code == 422

    await asyncio.to_thread(ask)
