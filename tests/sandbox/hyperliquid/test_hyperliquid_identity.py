from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from hyperliquid.utils.signing import sign_agent, sign_approve_builder_fee, sign_usd_transfer_action  # type: ignore[import-untyped]

from sandbox.hyperliquid import HyperliquidVenue
from tests.support.hyperliquid_trader import NOON_MS, Clock, Trader, limit, wallet_number

DAY_MS = 86_400_000
ORDER = limit(0, "buy", 80000, "0.01")
PLACE = {"type": "order", "orders": [ORDER], "grouping": "na"}


@pytest.fixture
def agent(trader: Trader, http: aiohttp.ClientSession, clock: Clock) -> Trader:
    """Not approved yet."""
    return Trader(http, trader.url, clock, wallet_number(77), trader.account)


async def said(answer: dict[str, Any]) -> str:
    assert answer["status"] == "err", answer
    text: str = answer["response"]
    return text


async def test_a_stranger_is_told_that_it_does_not_exist(agent: Trader) -> None:
    expected = f"User or API Wallet {agent.wallet.address.lower()} does not exist."
    assert await said(await agent.act(PLACE)) == expected


async def test_a_signature_over_something_else_is_somebody_else(trader: Trader) -> None:
    cheaper = {**PLACE, "orders": [limit(0, "buy", 70000, "0.01")]}
    assert (await said(await trader.act(PLACE, signed_action=cheaper))).startswith("User or API Wallet 0x")
    unspelled = {**PLACE, "orders": [limit(0, "buy", "80000.0", "0.01")]}
    assert (await said(await trader.act(unspelled))).endswith("does not exist.")
    reordered = {"grouping": "na", "type": "order", "orders": [ORDER]}
    assert (await said(await trader.act(reordered))).endswith("does not exist.")
    assert await trader.mine("openOrders") == []


async def test_a_signature_for_the_other_network_is_refused(trader: Trader) -> None:
    assert (await said(await trader.act(PLACE, mainnet=True))).endswith("does not exist.")


async def test_a_malformed_signature_is_refused(trader: Trader, clock: Clock) -> None:
    signature = {"r": "0x0", "s": "0x0", "v": 27}
    answer = await trader.post("/exchange", {"action": PLACE, "nonce": clock.nonce(), "signature": signature})
    assert await said(answer) == "Unable to recover signer."


async def test_an_approved_agent_trades_for_its_account(trader: Trader, agent: Trader) -> None:
    assert await trader.approve_agent(agent.wallet, "bot") == {"status": "ok", "response": {"type": "default"}}
    assert "resting" in (await agent.order(ORDER))[0]
    assert len(await trader.mine("openOrders")) == 1
    (listed,) = await trader.mine("extraAgents")
    assert (listed["name"], listed["address"]) == ("bot", agent.wallet.address.lower())
    role = await trader.info("userRole", user=agent.wallet.address)
    assert role == {"role": "agent", "data": {"user": trader.account.lower()}}
    # An agent's own address has nothing.
    assert await trader.info("openOrders", user=agent.wallet.address) == []


async def test_an_agent_cannot_act_as_the_owner(trader: Trader, agent: Trader) -> None:
    await trader.approve_agent(agent.wallet)
    answer = await agent.approve_agent(wallet_number(78))
    assert await said(answer) == f"Must deposit before performing actions. User: {agent.wallet.address.lower()}"


async def test_a_replaced_or_revoked_agent_is_a_stranger(trader: Trader, agent: Trader) -> None:
    await trader.approve_agent(agent.wallet, "bot")
    await trader.approve_agent(wallet_number(78), "bot")
    assert (await said(await agent.act(PLACE))).endswith("does not exist.")
    assert await said(await trader.approve_agent(agent.wallet, "again")) == "Extra agent already used."


async def test_an_agent_expires(trader: Trader, agent: Trader, clock: Clock) -> None:
    await trader.approve_agent(agent.wallet, f"bot valid_until {NOON_MS + DAY_MS}")
    assert "resting" in (await agent.order(ORDER))[0]
    clock.ms = NOON_MS + DAY_MS
    assert (await said(await agent.act(PLACE))).endswith("does not exist.")


async def test_an_account_has_three_agents_with_names(trader: Trader) -> None:
    for number in range(3):
        await trader.approve_agent(wallet_number(80 + number), f"bot {number}")
    await trader.approve_agent(wallet_number(90))
    answer = await trader.approve_agent(wallet_number(91), "one more")
    assert await said(answer) == "Too many extra agents for cumulative volume traded. Current limit is 3"
    assert await said(await trader.approve_agent(wallet_number(92), "x" * 17)) == (
        "Extra agent name must be between 1 and 16 characters long"
    )


async def test_a_nonce_is_taken_once_whatever_came_of_it(trader: Trader, clock: Clock) -> None:
    nonce = clock.nonce()
    await trader.order(ORDER, limit(0, "buy", 80000, "100"), nonce=nonce)
    assert await said(await trader.act(PLACE, nonce=nonce)) == f"Invalid nonce: duplicate nonce {nonce}"
    assert len(await trader.mine("openOrders")) == 1


async def test_a_nonce_far_from_now_is_refused(trader: Trader, clock: Clock) -> None:
    assert "nonce too low" in await said(await trader.act(PLACE, nonce=clock.ms - 3 * DAY_MS))
    assert "nonce too high" in await said(await trader.act(PLACE, nonce=clock.ms + 2 * DAY_MS))


async def test_agent_and_owner_have_nonces_of_their_own(trader: Trader, agent: Trader, clock: Clock) -> None:
    await trader.approve_agent(agent.wallet)
    nonce = clock.nonce()
    assert "resting" in (await trader.order(ORDER, nonce=nonce))[0]
    assert "resting" in (await agent.order(ORDER, nonce=nonce))[0]


async def test_an_expired_action_is_refused(trader: Trader, clock: Clock) -> None:
    assert await said(await trader.act(PLACE, expires_after=clock.ms - 1)) == "Action already expired"
    assert "resting" in (await trader.order(ORDER, expires_after=clock.ms + 5_000))[0]


async def test_the_expiry_is_part_of_what_is_signed(trader: Trader, clock: Clock) -> None:
    nonce = clock.nonce()
    signed = await trader.act(PLACE, nonce=nonce, expires_after=nonce + 10_000)
    assert signed["status"] == "ok"
    later = clock.nonce()
    answer = await trader.act_with_expiry_changed(PLACE, nonce=later, signed=later + 1, sent=later + 60_000)
    assert (await said(answer)).endswith("does not exist.")


async def test_the_inner_nonce_must_be_the_outer(trader: Trader, clock: Clock) -> None:
    nonce = clock.nonce()
    action = {"type": "approveAgent", "agentAddress": wallet_number(5).address, "agentName": "", "nonce": nonce}
    signature = sign_agent(trader.wallet, action, False)
    answer = await trader.post("/exchange", {"action": action, "nonce": nonce + 1, "signature": signature})
    assert await said(answer) == "Nonce mismatch."


async def test_owner_actions_of_the_other_network_are_refused(trader: Trader, clock: Clock) -> None:
    nonce = clock.nonce()
    action = {"type": "approveAgent", "agentAddress": wallet_number(5).address, "agentName": "", "nonce": nonce}
    signature = sign_agent(trader.wallet, action, True)
    answer = await trader.post("/exchange", {"action": action, "nonce": nonce, "signature": signature})
    assert await said(answer) == "Mainnet and testnet require different signature."


async def test_a_builder_needs_approval_before_it_may_charge(trader: Trader, clock: Clock) -> None:
    builder = wallet_number(50).address.lower()
    with_builder = {**PLACE, "builder": {"b": builder, "f": 10}}
    assert await said(await trader.act(with_builder)) == "Builder fee has not been approved."
    nonce = clock.nonce()
    action = {"type": "approveBuilderFee", "maxFeeRate": "0.01%", "builder": builder, "nonce": nonce}
    signature = sign_approve_builder_fee(trader.wallet, action, False)
    await trader.post("/exchange", {"action": action, "nonce": nonce, "signature": signature})
    assert await trader.mine("maxBuilderFee", builder=builder) == 10
    assert (await trader.act(with_builder))["status"] == "ok"


async def test_money_does_not_leave(trader: Trader, clock: Clock) -> None:
    nonce = clock.nonce()
    action = {"type": "usdSend", "destination": wallet_number(5).address, "amount": "1", "time": nonce}
    signature = sign_usd_transfer_action(trader.wallet, action, False)
    answer = await trader.post("/exchange", {"action": action, "nonce": nonce, "signature": signature})
    assert await said(answer) == "Transfers are disabled on this network."


async def test_a_vault_that_is_not_ones_own_is_not_registered(trader: Trader, clock: Clock) -> None:
    answer = await trader.act_for_vault(PLACE, "0x1719884eb866cb12b2287399b15f7db5e7d775ea")
    assert await said(answer) == "Vault not registered: 0x1719884eb866cb12b2287399b15f7db5e7d775ea"


async def test_funding_twice_gives_nothing(trader: Trader, venue: HyperliquidVenue) -> None:
    await venue.fund(trader.account)
    state = await trader.mine("clearinghouseState")
    assert state["marginSummary"]["accountValue"] == "100000.0"
