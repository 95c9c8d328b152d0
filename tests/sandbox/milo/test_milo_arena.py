from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.milo.arena.performance import Performance, SortKey, performance
from sandbox.milo.core import Core
from sandbox.milo.tokens import BY_ADDRESS, SOL, TOKENS, USDC
from tests.sandbox.milo.conftest import OpenMilo
from tests.support.milo_user import MiloReply, MiloServer, MiloUser
from tests.support.milo_words import STRATEGIES, make_strategy, send

HOUR = 3_600
LAMPORTS = 10**9
MONEY = st.decimals(Decimal(0), Decimal(10**9), places=2)


def D(value: object) -> Decimal:
    return Decimal(str(value))


def test_profit_is_what_is_more_than_before_and_than_was_sent() -> None:
    found = performance(before=D(100), sent=D(50), now=D(180), sales=(3, 2))
    assert found == Performance(pnl=D(30), win_rate=D("0.6667"), return_pct=D(20), account_value=D(180))


def test_without_sales_and_without_money_nothing_was_won() -> None:
    assert performance(before=D(0), sent=D(0), now=D(0), sales=(0, 0)) == Performance(D(0), D(0), D(0), D(0))


@given(before=MONEY, sent=MONEY, now=MONEY)
def test_whatever_is_sent_makes_no_profit(before: Decimal, sent: Decimal, now: Decimal) -> None:
    assert performance(before=before, sent=sent, now=now + sent, sales=(0, 0)).pnl == now - before


async def deployed(user: MiloUser, **changes: Any) -> tuple[str, dict[str, Any]]:
    """A public strategy that trades in the arena, and what deploying it said."""
    plan = {"strategy": "CUSTOM", "allocation": {"memes": 60, "native": 40}, "customTickers": [], "instructions": ""}
    strategy_id = await make_strategy(user, **(plan | {"isPublic": True} | changes))
    found = (await user.call("POST", "/users/{userId}/arena/deploy", {"strategyId": strategy_id})).data
    assert isinstance(found, dict)
    return strategy_id, found


async def deploy(user: MiloUser, strategy_id: object) -> MiloReply:
    return await user.call("POST", "/users/{userId}/arena/deploy", {"strategyId": strategy_id})


async def withdraw(user: MiloUser, strategy_id: str) -> MiloReply:
    return await user.call("POST", "/users/{userId}/arena/withdraw", {"strategyId": strategy_id})


async def ranks(user: MiloUser, query: str = "") -> list[dict[str, Any]]:
    user.server.clock.advance(3)
    found = (await user.call("GET", f"/users/{{userId}}/arena/leaderboard?{query}")).data
    assert isinstance(found, list)
    return found


async def pass_hours(milo: MiloServer, hours: int) -> None:
    for _ in range(hours):
        milo.clock.advance(HOUR)
        await milo.run(lambda core: None)


async def units(milo: MiloServer, address: str) -> dict[str, int]:
    def look(core: Core) -> dict[str, int]:
        balances = {token.symbol: core.chain.balance(address, token) for token in TOKENS}
        return {symbol: balance for symbol, balance in balances.items() if balance}

    return await milo.run(look)


async def test_a_deployment_moves_the_stake_to_a_wallet_of_its_own(milo: MiloServer) -> None:
    user = await milo.user(SOL=3)
    strategy_id, found = await deployed(user)
    assert found.keys() == {
        "arenaUserId", "custodyWalletId", "custodyWalletAddress", "fundingTxSignature", "strategyId",
    }  # fmt: skip
    assert found["strategyId"] == strategy_id
    assert await units(milo, found["custodyWalletAddress"]) == {"SOL": LAMPORTS}
    funding = await milo.run(lambda core: core.chain.transaction(found["fundingTxSignature"]))
    assert funding is not None
    assert funding.gained(found["custodyWalletAddress"], SOL.address) == LAMPORTS
    assert await user.units() == 3 * LAMPORTS - LAMPORTS - funding.fee


async def test_with_exactly_one_sol_the_fee_comes_out_of_it(milo: MiloServer) -> None:
    user = await milo.user(SOL=1)
    _, found = await deployed(user)
    staked = (await units(milo, found["custodyWalletAddress"]))["SOL"]
    assert 0.99 * LAMPORTS < staked < LAMPORTS
    assert await user.units() >= 0


async def test_the_strategy_trades_and_withdrawing_brings_everything_back(milo: MiloServer) -> None:
    user = await milo.user(SOL=3)
    strategy_id, found = await deployed(user)
    await pass_hours(milo, 4)
    address = found["custodyWalletAddress"]
    held, before = await units(milo, address), await units(milo, user.wallet.address)
    assert {"BONK", "WIF"} & held.keys()
    reply = (await withdraw(user, strategy_id)).data
    assert reply.keys() == {
        "arenaUserId", "custodyWalletId", "custodyWalletAddress", "recipientWalletAddress", "transferTxs",
    }  # fmt: skip
    assert reply["recipientWalletAddress"] == user.wallet.address
    assert await units(milo, address) == {}
    after = await units(milo, user.wallet.address)
    for token in TOKENS:
        if not token.is_native:
            assert after.get(token.symbol, 0) - before.get(token.symbol, 0) == held.get(token.symbol, 0)
    for sent in reply["transferTxs"]:
        token = BY_ADDRESS[sent["tokenAddress"]]
        transaction = await milo.run(lambda core, signature=sent["signature"]: core.chain.transaction(signature))  # type: ignore[misc]
        assert transaction is not None
        assert token.amount(transaction.gained(user.wallet.address, token.address)) == D(sent["amount"])
    assert {BY_ADDRESS[sent["tokenAddress"]].symbol for sent in reply["transferTxs"]} == held.keys() | {"SOL"}
    # The rent of the accounts that were opened comes back with it; only fees are gone.
    assert after["SOL"] - before["SOL"] > held["SOL"] - 0.005 * LAMPORTS


async def test_what_is_traded_in_the_arena_is_nobodys_order_or_position(milo: MiloServer) -> None:
    user = await milo.user(SOL=3)
    await deployed(user)
    await pass_hours(milo, 2)
    for path in ("/users/{userId}/orders", "/users/{userId}/positions", "/users/{userId}/diary-logs"):
        assert (await user.call("GET", path)).json["meta"]["total"] == 0
    assert [wallet["type"] for wallet in (await user.call("GET", "/me")).json["wallets"]] == ["signup", "milo"]


async def test_nothing_is_left_open_after_a_withdrawal_and_nothing_is_traded_any_more(milo: MiloServer) -> None:
    user = await milo.user(SOL=3)
    strategy_id, found = await deployed(user)
    await pass_hours(milo, 3)
    await withdraw(user, strategy_id)

    def left(core: Core) -> tuple[int, int]:
        of_it = "user_id = ? AND status NOT IN"
        orders = f"SELECT count(*) FROM orders WHERE {of_it} ('fulfilled', 'archived')"  # noqa: S608
        positions = f"SELECT count(*) FROM positions WHERE {of_it} ('not_active')"  # noqa: S608
        return core.db.value(orders, found["arenaUserId"]), core.db.value(positions, found["arenaUserId"])

    assert await milo.run(left) == (0, 0)
    await pass_hours(milo, 30)
    assert await units(milo, found["custodyWalletAddress"]) == {}
    assert await ranks(user) == []
    assert (await withdraw(user, strategy_id)).refusal == (404, "not_found")


async def test_a_strategy_can_be_deployed_again_after_a_withdrawal(milo: MiloServer) -> None:
    user = await milo.user(SOL=3)
    strategy_id, first = await deployed(user)
    await withdraw(user, strategy_id)
    second = (await deploy(user, strategy_id)).data
    assert second["custodyWalletAddress"] != first["custodyWalletAddress"]
    assert len(await ranks(user)) == 1


async def test_what_cannot_be_deployed_is_refused_and_moves_nothing(milo: MiloServer) -> None:
    poor, rich = await milo.user(SOL="0.99"), await milo.user(SOL=5)
    public, hidden = await make_strategy(rich, isPublic=True), await make_strategy(rich)
    theirs = await make_strategy(poor, isPublic=True)
    too_little = await deploy(poor, theirs)
    assert (too_little.refusal, "at least 1 SOL" in too_little.message) == ((400, "bad_request"), True)
    private = await deploy(rich, hidden)
    assert (private.refusal, "public" in private.message) == ((400, "bad_request"), True)
    assert (await deploy(rich, theirs)).refusal == (404, "not_found")
    assert (await withdraw(rich, public)).refusal == (404, "not_found")
    assert await rich.units() == 5 * LAMPORTS
    assert (await deploy(rich, public)).status == 200
    rich.server.clock.advance(60)
    assert (await deploy(rich, public)).refusal == (409, "error")
    assert (await withdraw(poor, public)).refusal == (404, "not_found")
    assert (await deploy(rich, 7)).refusal == (400, "bad_request")
    assert await rich.units() == pytest.approx(4 * LAMPORTS, abs=10_000)


async def test_a_deployed_strategy_stays_public_and_is_not_deleted(milo: MiloServer) -> None:
    user = await milo.user(SOL=3)
    strategy_id, _ = await deployed(user)
    path = f"{STRATEGIES}/{strategy_id}"
    assert (await user.call("DELETE", path)).refusal == (409, "error")
    assert (await user.call("PATCH", path, {"isPublic": False, "name": "x"})).refusal == (409, "error")
    assert (await user.call("GET", path)).data["isPublic"] is True
    assert (await user.call("PATCH", path, {"name": "Better"})).status == 200
    assert (await ranks(user))[0]["strategyName"] == "Better"


async def test_the_leaderboard_has_every_field_of_the_reference(milo: MiloServer) -> None:
    user = await milo.user(SOL=3)
    strategy_id, found = await deployed(user)
    await pass_hours(milo, 3)
    (rank,) = await ranks(user, "timeframe=30d&sortKey=pnl&sortDirection=desc")
    holdings = rank.pop("currentHoldings")
    figures = {name: rank.pop(name) for name in ("pnl", "winRate", "returnPct", "accountValue")}
    assert rank == {
        "strategy": strategy_id,
        "strategyName": "SOL Ecosystem DCA",
        "ownerUserId": user.user_id,
        "ownerUsername": str(user.keypair.pubkey())[:8],
        "arenaWalletAddress": found["custodyWalletAddress"],
    }
    assert figures["accountValue"] == pytest.approx(sum(float(one["totalUSDval"]) for one in holdings), abs=0.2)
    staked = float(await milo.run(lambda core: core.market.price(SOL, core.now_ms // 1_000)))
    assert figures["accountValue"] == pytest.approx(staked, rel=0.1)
    assert 0 <= figures["winRate"] <= 1


async def test_profit_is_what_the_wallet_is_worth_more_than_when_it_was_funded(milo: MiloServer) -> None:
    user = await milo.user(SOL=3)

    def sol_price(core: Core) -> Decimal:
        return core.market.price(SOL, core.now_ms // 1_000)

    # All in SOL: its value follows the price, and nothing else.
    await deployed(user, allocation={"majors": 100}, customTickers=["SOL"])
    at_first = await milo.run(sol_price)
    await pass_hours(milo, 30)
    milo.clock.advance(57)
    (rank,) = await ranks(user)
    now = await milo.run(sol_price)
    assert D(rank["accountValue"]) == now.quantize(Decimal("0.01"))
    assert D(rank["pnl"]) == (now - at_first).quantize(Decimal("0.01"))
    assert D(rank["returnPct"]) == ((now / at_first - 1) * 100).quantize(Decimal("0.0001"))
    (day,) = await ranks(user, "timeframe=1d")
    yesterday = await milo.run(lambda core: core.market.price(SOL, core.now_ms // 1_000 - 24 * HOUR))
    assert D(day["pnl"]) == (await milo.run(sol_price) - yesterday).quantize(Decimal("0.01"))


async def test_sending_money_to_an_arena_wallet_makes_no_profit(milo: MiloServer) -> None:
    user, friend = await milo.user(SOL=3), await milo.user(SOL=3, USDC=500)
    _, found = await deployed(user, allocation={"majors": 100}, customTickers=["SOL"])
    before = (await ranks(user))[0]
    await send(friend, "USDC", 500, found["custodyWalletAddress"])
    after = (await ranks(user))[0]
    assert after["accountValue"] == pytest.approx(before["accountValue"] + 500, abs=1)
    assert after["pnl"] == pytest.approx(before["pnl"], abs=1)


async def test_ranks_are_sorted_by_what_is_asked_for_and_have_pages(milo: MiloServer) -> None:
    users = [await milo.user(SOL=3) for _ in range(4)]
    allocations = ({"memes": 100}, {"trenches": 100}, {"stables": 100}, {"xStocks": 100})
    for user, allocation in zip(users, allocations, strict=True):
        await deployed(user, strategy="SCALPER", allocation=allocation)
    await pass_hours(milo, 6)
    reader = await milo.user()
    for key in SortKey:
        falling = [rank[key] for rank in await ranks(reader, f"sortKey={key}&sortDirection=desc")]
        rising = [rank[key] for rank in await ranks(reader, f"sortKey={key}&sortDirection=asc")]
        assert falling == sorted(falling, reverse=True)
        assert rising == sorted(rising)
        assert len(set(falling)) > 1 or key is SortKey.WIN_RATE
    unasked = [rank["pnl"] for rank in await ranks(reader)]
    assert unasked == sorted(unasked, reverse=True)
    page = await reader.call("GET", "/users/{userId}/arena/leaderboard?page=2&pageSize=3")
    assert page.json["meta"] == {"page": 2, "pageSize": 3, "total": 4, "pages": 2}
    assert len(page.data) == 1


@pytest.mark.parametrize("query", ["timeframe=7d", "sortKey=luck", "sortDirection=up", "page=0", "pageSize=101"])
async def test_a_leaderboard_that_is_none_is_refused(milo: MiloServer, query: str) -> None:
    user = await milo.user()
    refused = await user.call("GET", f"/users/{{userId}}/arena/leaderboard?{query}")
    assert refused.refusal == (400, "bad_request")


async def test_no_token_is_made_or_lost_between_deploying_and_withdrawing(milo: MiloServer) -> None:
    user = await milo.user(SOL=3)
    strategy_id, found = await deployed(user, strategy="SCALPER", allocation={"memes": 50, "trenches": 50})

    def total(core: Core) -> dict[str, int]:
        maker = str(core.chain.market_maker.address)
        owners = (maker, core.chain.treasury, user.wallet.address, found["custodyWalletAddress"])
        return {
            token.symbol: sum(core.chain.balance(owner, token) for owner in owners)
            for token in TOKENS
            if not token.is_native
        }

    before = await milo.run(total)
    await pass_hours(milo, 12)
    await withdraw(user, strategy_id)
    assert await milo.run(total) == before


async def test_a_deployment_goes_on_after_a_restart(open_milo: OpenMilo) -> None:
    milo = await open_milo()
    user = await milo.user(SOL=3)
    strategy_id, found = await deployed(user)
    again = MiloUser(await open_milo(), user.keypair, user.user_id, user.key, user.wallet)
    await pass_hours(again.server, 2)
    (rank,) = await ranks(again)
    assert rank["arenaWalletAddress"] == found["custodyWalletAddress"]
    assert {one["tokenAddress"] for one in rank["currentHoldings"]} - {SOL.address, USDC.address}
    assert (await withdraw(again, strategy_id)).status == 200


async def test_a_file_from_before_there_were_accounts_has_them_after_the_next_start(open_milo: OpenMilo) -> None:
    milo = await open_milo()
    user = await milo.user(SOL=3)
    await deployed(user)
    before = await ranks(user)
    for table in ("arena_accounts", "arena_states"):
        await milo.run(lambda core, table=table: core.db.execute(f"DELETE FROM {table}"))  # type: ignore[misc]  # noqa: S608
    again = MiloUser(await open_milo(), user.keypair, user.user_id, user.key, user.wallet)
    assert [rank["arenaWalletAddress"] for rank in await ranks(again)] == [before[0]["arenaWalletAddress"]]
    assert (await ranks(again))[0]["accountValue"] == pytest.approx(before[0]["accountValue"], rel=0.01)
