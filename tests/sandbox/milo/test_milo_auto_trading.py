from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sandbox.milo.core import Core
from sandbox.milo.tokens import BY_ADDRESS, TOKENS
from tests.sandbox.milo.conftest import OpenMilo
from tests.support.manual_clock import ManualClock
from tests.support.milo_served import served
from tests.support.milo_user import MiloServer, MiloUser
from tests.support.milo_words import SETTINGS, buy

HOUR = 3_600


async def switch_on(user: MiloUser, **changes: Any) -> None:
    plan = {"strategy": "CUSTOM", "riskTolerance": "balanced", "allocation": {"native": 50, "stables": 50}}
    reply = await user.call("PATCH", SETTINGS, plan | {"isActive": True} | changes)
    assert reply.status == 200, reply.text


async def diary(user: MiloUser, query: str = "") -> list[dict[str, Any]]:
    """Newest first."""
    user.server.clock.advance(2)
    found = (await user.call("GET", f"/users/{{userId}}/diary-logs?{query}")).data
    assert isinstance(found, list)
    return found


async def logs(user: MiloUser) -> list[str]:
    return [entry["log"] for entry in await diary(user)]


async def shares(user: MiloUser) -> dict[str, float]:
    """Of the wallet, by asset class."""
    held = (await user.call("GET", "/wallets/{walletId}/holdings")).data
    total = sum(float(one["totalUSDval"]) for one in held)
    found: dict[str, float] = {}
    for one in held:
        found[one["assetClass"]] = found.get(one["assetClass"], 0) + float(one["totalUSDval"]) / total
    return found


async def test_an_agent_that_is_switched_on_trades_and_writes_down_why(milo: MiloServer) -> None:
    user = await milo.user(SOL=20)
    await switch_on(user)
    entries = await diary(user)
    assert [entry["log"] for entry in entries][-1] == "Auto-trading is on"
    trades = [entry for entry in entries if entry["tokenAddress"]]
    assert trades
    for entry in trades:
        symbol = BY_ADDRESS[entry["tokenAddress"]].symbol
        expected = "Moved SOL to USDC" if symbol == "USDC" else f"Opened thesis on {symbol}"
        assert entry["log"] == expected
        assert "wanted, 0.0% held" in entry["thoughts"]
        assert entry["userId"] == user.user_id
    orders = (await user.call("GET", "/users/{userId}/orders?type=buy&status=fulfilled")).data
    assert {order["tokenAddress"] for order in orders} == {entry["tokenAddress"] for entry in trades}


async def test_round_after_round_the_wallet_comes_to_what_the_plan_says(milo: MiloServer) -> None:
    user = await milo.user(SOL=20)
    await switch_on(user)
    for _ in range(8):
        milo.clock.advance(HOUR)
        await diary(user)
    found = await shares(user)
    assert found["native"] == pytest.approx(0.5, abs=0.06)
    assert found["stables"] == pytest.approx(0.5, abs=0.06)


async def test_another_allocation_is_followed_by_other_trades(milo: MiloServer) -> None:
    user = await milo.user(SOL=20)
    await switch_on(user, riskTolerance="degen", allocation={"memes": 100})
    for _ in range(4):
        milo.clock.advance(HOUR)
        await diary(user)
    assert (await shares(user))["memes"] > 0.8
    await user.call("PATCH", SETTINGS, {"allocation": {"stables": 100}})
    # A changed plan is followed at once, not at the next round.
    milo.clock.advance(2)
    assert any(log.startswith("Closed thesis on") for log in await logs(user))
    assert "memes" not in await shares(user)


async def test_what_was_deposited_beside_a_position_is_sold_after_it(milo: MiloServer) -> None:
    user = await milo.user(SOL=20, WIF=100)
    await buy(user, "WIF", usd=50)
    await switch_on(user, allocation={"stables": 100})
    for _ in range(2):
        milo.clock.advance(HOUR)
        await diary(user)
    assert await user.units("WIF") == 0
    assert (await logs(user)).count("Closed thesis on WIF") == 2
    assert not [log for log in await logs(user) if log.startswith("Could not")]


async def test_a_purchase_has_its_loss_cut_by_an_order(milo: MiloServer) -> None:
    user = await milo.user(SOL=20)
    await switch_on(user, riskTolerance="conservative", allocation={"native": 100})
    await diary(user)
    stops = (await user.call("GET", "/users/{userId}/orders?type=sell&status=active")).data
    assert stops
    assert {stop["subType"] for stop in stops} == {"stop_loss"}
    assert {stop["payload"]["trigger"]["value"] for stop in stops} == {10}


async def test_a_stop_loss_that_fires_is_in_the_diary(milo: MiloServer) -> None:
    """Trenches move most: within a year one of their stop losses fires."""
    user = await milo.user(SOL=20)
    await switch_on(user, riskTolerance="conservative", allocation={"trenches": 100})
    await diary(user)
    await user.call("PATCH", SETTINGS, {"isActive": False})
    entries = await diary(user)
    for _ in range(12):
        milo.clock.advance(30 * 24 * HOUR)
        entries = await diary(user)
        if entries[0]["log"] == "Stop loss on PNUT":
            break
    assert entries[0]["log"] == "Stop loss on PNUT"
    assert "where I had said to cut the loss" in entries[0]["thoughts"]
    stopped = (await user.call("GET", "/users/{userId}/orders?type=sell&status=fulfilled")).data
    assert stopped[0]["subType"] == "stop_loss"


async def test_it_does_not_matter_how_often_somebody_looks() -> None:
    async def traded(looks: int) -> list[tuple[str, str, str]]:
        async with served(ManualClock()) as milo:
            user = await milo.user(SOL=20)
            await switch_on(user, strategy="VALUE INVESTOR", allocation={"native": 60, "memes": 40})
            for _ in range(looks):
                milo.clock.advance(5 * HOUR / looks)
                await user.call("GET", "/me")
            return [(entry["log"], entry["thoughts"], entry["createdAt"]) for entry in await diary(user)]

    often, once = await traded(40), await traded(1)
    assert often == once
    assert len({at for _, _, at in once}) == 2


async def test_after_a_pause_of_weeks_one_round_makes_up_for_all_that_were_missed(milo: MiloServer) -> None:
    user = await milo.user(SOL=20)
    await switch_on(user, strategy="SCALPER")
    before = len(await diary(user))
    milo.clock.advance(30 * 24 * HOUR)
    entries = await diary(user)
    # Stop losses fire whenever they do; they are orders.
    made_up = [entry for entry in entries[: len(entries) - before] if not entry["log"].startswith("Stop loss")]
    assert len({entry["createdAt"] for entry in made_up}) == 1


async def test_a_round_that_leaves_everything_as_it_is_says_so_once_a_day(milo: MiloServer) -> None:
    user = await milo.user(USDC=100, SOL=1)
    await switch_on(user, allocation={"stables": 100}, riskTolerance="conservative")
    for _ in range(30):
        milo.clock.advance(HOUR)
        await user.call("GET", "/me")
    quiet = [log for log in await logs(user) if log == "Looked at the market and left everything as it is"]
    assert 1 <= len(quiet) <= 2


async def test_switched_off_it_leaves_everything_alone(milo: MiloServer) -> None:
    user = await milo.user(SOL=20)
    await switch_on(user)
    await diary(user)
    assert (await user.call("PATCH", SETTINGS, {"isActive": False})).status == 200
    before = await logs(user)
    assert before[0] == "Auto-trading is off"
    milo.clock.advance(48 * HOUR)
    assert await logs(user) == before


async def test_no_token_is_made_or_lost_by_it(milo: MiloServer) -> None:
    def held(core: Core) -> dict[str, int]:
        owners = {user.wallet.address, str(core.chain.market_maker.address), core.chain.treasury}
        return {
            token.symbol: sum(core.chain.balance(owner, token) for owner in owners)
            for token in TOKENS
            if not token.is_native
        }

    user = await milo.user(SOL=20, WIF=50)
    before = await milo.run(held)
    await switch_on(user, strategy="SCALPER", riskTolerance="degen", allocation={"memes": 50, "native": 50})
    for _ in range(12):
        milo.clock.advance(HOUR / 2)
        await user.call("GET", "/me")
    assert len(await logs(user)) > 5
    assert await milo.run(held) == before


async def test_the_next_round_comes_after_a_restart_and_is_not_done_twice(open_milo: OpenMilo) -> None:
    milo = await open_milo()
    user = await milo.user(SOL=20)
    await switch_on(user)
    before = await logs(user)
    again = MiloUser(await open_milo(), user.keypair, user.user_id, user.key, user.wallet)
    assert await logs(again) == before
    milo.clock.advance(HOUR)
    assert len(await logs(again)) > len(before)


async def test_the_diary_has_pages(milo: MiloServer) -> None:
    user = await milo.user(SOL=20)
    await switch_on(user)
    everything = await diary(user)
    milo.clock.advance(60)
    second = await user.call("GET", "/users/{userId}/diary-logs?page=2&pageSize=1")
    assert second.data == [everything[1]]
    total = len(everything)
    assert second.json["meta"] == {"page": 2, "pageSize": 1, "total": total, "pages": total}
    assert (await user.call("GET", "/users/{userId}/diary-logs?page=0")).refusal == (400, "bad_request")


async def test_a_round_that_fails_is_not_repeated_for_ever_and_spoils_no_other(milo: MiloServer) -> None:
    broken, user = await milo.user(SOL=20), await milo.user(SOL=20)
    await switch_on(broken)
    await switch_on(user)

    def lose_the_wallet(core: Core) -> None:
        core.db.execute("DELETE FROM wallets WHERE wallet_id = ?", broken.wallet.wallet_id)

    await milo.run(lose_the_wallet)
    assert len(await logs(user)) > 1
    milo.clock.advance(10 * HOUR)
    assert (await user.call("GET", "/me")).status == 200


async def test_money_that_cannot_be_spent_ends_as_an_entry_that_says_so(milo: MiloServer) -> None:
    """The market maker has no more of a token to give."""
    user = await milo.user(SOL=20)

    def sell_out(core: Core) -> None:
        maker = core.chain.market_maker
        for token in TOKENS:
            if token.asset_class == "trenches":
                units = core.chain.balance(maker.address, token)
                core.chain.transfer(maker, core.chain.treasury, token, units, core.now_ms)

    await milo.run(sell_out)
    await switch_on(user, allocation={"trenches": 100})
    entries = await diary(user)
    assert entries[0]["log"] == "Could not buy PNUT"
    assert "0.0% held" in entries[0]["thoughts"]
    assert Decimal((await user.call("GET", "/wallets/{walletId}/holdings")).data[0]["totalSolval"]) == 20
