from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sandbox.milo.autotrade.terms import MOST_DESCRIPTION, MOST_INSTRUCTIONS, MOST_NAME
from sandbox.milo.tokens import AssetClass
from tests.sandbox.milo.conftest import OpenMilo
from tests.support.milo_user import MiloServer, MiloUser
from tests.support.milo_words import SETTINGS, STRATEGIES, make_strategy, strategy

NOBODYS = "00000000-0000-4000-8000-000000000000"
EXAMPLE = {
    "riskTolerance": "balanced",
    "strategy": "SWING TRADER",
    "instructions": "Focus on SOL ecosystem tokens",
    "customTickers": ["SOL", "JUP", "BONK"],
    "allocation": {"majors": 40, "native": 30, "memes": 20, "stables": 10},
}


async def settings(user: MiloUser) -> dict[str, Any]:
    found = (await user.call("GET", SETTINGS)).data
    assert isinstance(found, dict)
    return found


async def change(user: MiloUser, **changes: Any) -> dict[str, Any]:
    user.server.clock.advance(7)
    found = (await user.call("PATCH", SETTINGS, changes)).data
    assert isinstance(found, dict)
    return found


async def test_settings_are_the_defaults_until_they_are_changed(milo: MiloServer) -> None:
    user = await milo.user()
    found = await settings(user)
    assert found == {
        "userId": user.user_id,
        "isActive": False,
        "riskTolerance": "balanced",
        "strategy": "SWING TRADER",
        "strategyId": None,
        "instructions": "",
        "customTickers": [],
        "allocation": {},
        "strategySync": None,
        "updatedAt": found["updatedAt"],
    }


async def test_the_example_of_the_reference_is_taken_and_read_back(milo: MiloServer) -> None:
    user = await milo.user(SOL=1)
    changed = await change(user, isActive=True, **EXAMPLE)
    assert changed | EXAMPLE | {"isActive": True} == changed
    assert await settings(user) == changed
    assert (await change(user, isActive=False))["isActive"] is False


async def test_what_is_left_out_stays(milo: MiloServer) -> None:
    user = await milo.user()
    before = await change(user, **EXAMPLE)
    after = await change(user, riskTolerance="degen")
    assert after | {"riskTolerance": "balanced", "updatedAt": ""} == before | {"updatedAt": ""}
    assert (await change(user, allocation=None, instructions=None, customTickers=None))["allocation"] == {}


@pytest.mark.parametrize("sol", ["0", "0.999999999"])
async def test_trading_is_switched_on_with_one_sol_and_not_with_less(milo: MiloServer, sol: str) -> None:
    user = await milo.user(**({"SOL": sol} if sol != "0" else {}))
    refused = await user.call("PATCH", SETTINGS, {"isActive": True, "riskTolerance": "degen"})
    assert refused.refusal == (400, "bad_request")
    assert "at least 1 SOL" in refused.message
    assert user.wallet.address in refused.message
    found = await settings(user)
    assert (found["isActive"], found["riskTolerance"]) == (False, "balanced")
    await user.fund("SOL", 1)
    assert (await change(user, isActive=True))["isActive"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"allocation": {"majors": 40, "memes": 50}}, "must add up to 100 percent, not 90"),
        ({"allocation": {"majors": 60, "memes": 50}}, "must add up to 100 percent, not 110"),
        ({"allocation": {"majors": 33.3, "memes": 33.3, "stables": 33.3}}, "not 99.9"),
        ({"allocation": {"majors": 100, "gold": 0}}, "must be one of trenches, memes, promising-memes, staking"),
        ({"allocation": {"majors": 150, "memes": -50}}, "must be a percentage from 0 to 100"),
        ({"allocation": {"majors": "NaN"}}, "must be a number"),
        ({"allocation": {"majors": 1e300}}, "must have at most 18 digits"),
        ({"allocation": [40, 60]}, "Expected `object"),
        ({"riskTolerance": "yolo"}, "must be one of conservative, balanced, degen"),
        ({"strategy": "HODLER"}, "must be one of VALUE INVESTOR, SWING TRADER, SCALPER, CUSTOM"),
        ({"strategy": None}, "Expected `str`"),
        ({"isActive": "yes"}, "Expected `bool`"),
        ({"instructions": "x" * (MOST_INSTRUCTIONS + 1)}, "at most 4000 characters"),
        ({"customTickers": ["SOL", ""]}, "must be tickers of 1 to 44 characters"),
        ({"customTickers": ["S O L"]}, "must be tickers of 1 to 44 characters"),
        ({"customTickers": [f"T{n}" for n in range(51)]}, "at most 50 tickers"),
        ({"customTickers": "SOL"}, "Expected `array"),
        ({"isactive": True}, "unknown field"),
        ({"strategyId": 3}, "Expected `str"),
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"", "not valid JSON"),
    ],
)
async def test_settings_that_are_none_are_refused_and_nothing_changes(
    milo: MiloServer, body: Any, expected: str
) -> None:
    user = await milo.user()
    before = await change(user, **EXAMPLE)
    refused = await user.call("PATCH", SETTINGS, body if isinstance(body, bytes) else {"riskTolerance": "degen"} | body)
    assert refused.refusal == (400, "bad_request")
    assert expected in refused.message
    assert await settings(user) == before


async def test_every_asset_class_of_the_reference_can_be_allocated(milo: MiloServer) -> None:
    user = await milo.user()
    shares = {name.value: 12.5 for name in AssetClass if name is not AssetClass.CUSTOM} | {"custom": 0}
    assert (await change(user, allocation=shares))["allocation"] == shares


async def test_a_strategy_is_made_read_changed_and_deleted(milo: MiloServer) -> None:
    user = await milo.user()
    made = (await user.call("POST", STRATEGIES, strategy())).data
    assert made | strategy() | {"userId": user.user_id} == made
    path = f"{STRATEGIES}/{made['id']}"
    assert (await user.call("GET", path)).data == made
    milo.clock.advance(1)
    changed = (await user.call("PATCH", path, {"name": "Other", "isPublic": True})).data
    assert changed == made | {"name": "Other", "isPublic": True, "updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] > made["updatedAt"]
    assert (await user.call("DELETE", path)).json == {"data": None}
    assert (await user.call("GET", path)).refusal == (404, "not_found")
    assert (await user.call("DELETE", path)).refusal == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (strategy(name=""), "`name` must have 1 to 200 characters"),
        (strategy(name="   "), "`name` must have 1 to 200 characters"),
        (strategy(name="x" * (MOST_NAME + 1)), "`name` must have 1 to 200 characters"),
        (strategy(description="x" * (MOST_DESCRIPTION + 1)), "at most 2000 characters"),
        (strategy(instructions="x" * (MOST_INSTRUCTIONS + 1)), "at most 4000 characters"),
        (strategy(strategy="DCA"), "must be one of VALUE INVESTOR"),
        (strategy(allocation={"majors": 99}), "must add up to 100 percent"),
        (strategy(allocation={"metals": 100}), "must be one of trenches"),
        (strategy(isPublic="yes"), "Expected `bool`"),
        ({"strategy": "SCALPER"}, "missing required field `name`"),
        ({"name": "x"}, "missing required field `strategy`"),
        (strategy(color="red"), "unknown field `color`"),
    ],
)
async def test_a_strategy_that_is_none_is_refused(milo: MiloServer, body: Any, expected: str) -> None:
    user = await milo.user()
    refused = await user.call("POST", STRATEGIES, body)
    assert refused.refusal == (400, "bad_request")
    assert expected in refused.message
    assert (await user.call("GET", STRATEGIES)).json["meta"]["total"] == 0


async def test_a_change_that_is_refused_leaves_the_strategy_as_it_was(milo: MiloServer) -> None:
    user = await milo.user()
    path = f"{STRATEGIES}/{await make_strategy(user)}"
    before = (await user.call("GET", path)).data
    refused = await user.call("PATCH", path, {"name": "Other", "allocation": {"majors": 1}})
    assert refused.refusal == (400, "bad_request")
    assert (await user.call("GET", path)).data == before


async def test_lists_have_scopes_words_and_pages(milo: MiloServer) -> None:
    alice, bob = await milo.user(), await milo.user()
    for name, is_public in (("Alpha DeFi", True), ("Beta", False), ("Gamma 100%_", True)):
        await make_strategy(alice, name=name, isPublic=is_public)
    await make_strategy(bob, name="Delta", description="all about DEFI", isPublic=True)
    await make_strategy(bob, name="Epsilon")

    async def names(user: MiloUser, query: str) -> list[str]:
        return [found["name"] for found in (await user.call("GET", f"{STRATEGIES}?{query}")).data]

    assert await names(alice, "") == ["Delta", "Gamma 100%_", "Beta", "Alpha DeFi"]
    assert await names(alice, "scope=owned") == ["Gamma 100%_", "Beta", "Alpha DeFi"]
    assert await names(alice, "scope=public") == ["Delta", "Gamma 100%_", "Alpha DeFi"]
    assert await names(bob, "scope=public&q=defi") == ["Delta", "Alpha DeFi"]
    assert await names(bob, "q=0%25_") == ["Gamma 100%_"]
    assert await names(bob, "q=%25") == ["Gamma 100%_"]
    page = (await alice.call("GET", f"{STRATEGIES}?page=2&pageSize=3")).json
    assert page["meta"] == {"page": 2, "pageSize": 3, "total": 4, "pages": 2}
    assert [found["name"] for found in page["data"]] == ["Alpha DeFi"]
    for query in ("scope=mine", "page=0", "page=101", "pageSize=101", "pageSize=x"):
        assert (await alice.call("GET", f"{STRATEGIES}?{query}")).refusal == (400, "bad_request")


async def test_a_strategy_of_another_user_is_seen_only_where_it_is_public_and_never_changed(milo: MiloServer) -> None:
    alice, bob = await milo.user(), await milo.user(SOL=2)
    hidden, public = await make_strategy(alice), await make_strategy(alice, isPublic=True)
    assert (await bob.call("GET", f"{STRATEGIES}/{public}")).data["userId"] == alice.user_id
    for method, path, body in (
        ("GET", f"{STRATEGIES}/{hidden}", None),
        ("PATCH", f"{STRATEGIES}/{hidden}", {"name": "mine"}),
        ("PATCH", f"{STRATEGIES}/{public}", {"name": "mine"}),
        ("DELETE", f"{STRATEGIES}/{public}", None),
        ("POST", f"{STRATEGIES}/{hidden}/sync", None),
        ("PATCH", SETTINGS, {"strategyId": hidden}),
        ("PATCH", SETTINGS, {"strategyId": NOBODYS}),
        ("POST", "/users/{userId}/arena/deploy", {"strategyId": public}),
    ):
        assert (await bob.call(method, path, body)).refusal == (404, "not_found"), path
    assert (await settings(bob))["strategyId"] is None
    assert (await alice.call("GET", f"{STRATEGIES}/{public}")).data["name"] == strategy()["name"]


async def test_a_linked_strategy_is_a_snapshot_until_it_is_synced(milo: MiloServer) -> None:
    user = await milo.user()
    strategy_id = await make_strategy(user)
    linked = await change(user, strategyId=strategy_id)
    plan = ("strategy", "instructions", "allocation", "customTickers")
    assert {name: linked[name] for name in plan} == {name: strategy()[name] for name in plan}
    assert linked["strategySync"] == {
        "strategyId": strategy_id,
        "strategyName": strategy()["name"],
        "synced": True,
        "settingsUpdatedAt": linked["updatedAt"],
        "strategyUpdatedAt": linked["strategySync"]["strategyUpdatedAt"],
    }
    await user.call("PATCH", f"{STRATEGIES}/{strategy_id}", {"allocation": {"memes": 100}})
    stale = await settings(user)
    assert stale["strategySync"]["synced"] is False
    assert stale["allocation"] == strategy()["allocation"]
    milo.clock.advance(1)
    synced = (await user.call("POST", f"{STRATEGIES}/{strategy_id}/sync")).data
    assert synced == await settings(user)
    assert synced["strategySync"]["synced"] is True
    assert synced["allocation"] == {"memes": 100}
    assert (await change(user, strategyId=None))["strategySync"] is None


async def test_what_is_set_beside_a_linked_strategy_wins_and_is_told_as_out_of_sync(milo: MiloServer) -> None:
    user = await milo.user()
    strategy_id = await make_strategy(user)
    changed = await change(user, strategyId=strategy_id, allocation={"stables": 100})
    assert changed["allocation"] == {"stables": 100}
    assert changed["instructions"] == strategy()["instructions"]
    assert changed["strategySync"]["synced"] is False


async def test_a_change_that_changes_nothing_leaves_settings_in_sync(milo: MiloServer) -> None:
    user = await milo.user()
    strategy_id = await make_strategy(user)
    await change(user, strategyId=strategy_id)
    await user.call("PATCH", f"{STRATEGIES}/{strategy_id}", strategy())
    assert (await settings(user))["strategySync"]["synced"] is True


async def test_a_strategy_that_is_not_linked_cannot_be_synced(milo: MiloServer) -> None:
    user = await milo.user()
    first, second = await make_strategy(user), await make_strategy(user)
    assert (await user.call("POST", f"{STRATEGIES}/{first}/sync")).refusal == (400, "bad_request")
    await change(user, strategyId=second)
    assert (await user.call("POST", f"{STRATEGIES}/{first}/sync")).refusal == (400, "bad_request")
    assert (await settings(user))["strategyId"] == second


async def test_settings_keep_the_snapshot_of_a_strategy_that_is_gone(milo: MiloServer) -> None:
    alice, bob = await milo.user(), await milo.user()
    strategy_id = await make_strategy(alice, isPublic=True)
    await change(bob, strategyId=strategy_id)
    await alice.call("PATCH", f"{STRATEGIES}/{strategy_id}", {"isPublic": False})
    hidden = (await settings(bob))["strategySync"]
    assert (hidden["strategyName"], hidden["synced"]) == (None, False)
    await alice.call("DELETE", f"{STRATEGIES}/{strategy_id}")
    kept = await settings(bob)
    assert kept["allocation"] == strategy()["allocation"]
    assert kept["strategySync"] == hidden
    assert (await bob.call("POST", f"{STRATEGIES}/{strategy_id}/sync")).refusal == (404, "not_found")


async def test_settings_and_strategies_survive_a_restart(open_milo: OpenMilo) -> None:
    milo = await open_milo()
    user = await milo.user(SOL=2)
    strategy_id = await make_strategy(user)
    before = await change(user, strategyId=strategy_id, isActive=True, riskTolerance="degen")
    again = MiloUser(await open_milo(), user.keypair, user.user_id, user.key, user.wallet)
    assert await settings(again) == before
    assert (await again.call("GET", f"{STRATEGIES}/{strategy_id}")).data["name"] == strategy()["name"]


async def test_writes_are_counted_by_key_and_refused_beyond_their_limit(milo: MiloServer) -> None:
    user, other = await milo.user(), await milo.user()
    for _ in range(10):
        assert (await user.call("PATCH", SETTINGS, {"riskTolerance": "degen"})).status == 200
    refused = await user.call("PATCH", SETTINGS, {"riskTolerance": "balanced"})
    assert refused.refusal == (429, "rate_limit_exceeded")
    assert refused.headers["Retry-After"] == "60"
    assert (await other.call("PATCH", SETTINGS, {"riskTolerance": "degen"})).status == 200
    assert (await settings(user))["riskTolerance"] == "degen"
    milo.clock.advance(60)
    assert (await user.call("PATCH", SETTINGS, {"riskTolerance": "balanced"})).status == 200


async def test_exact_shares_add_up_however_they_are_written(milo: MiloServer) -> None:
    user = await milo.user()
    shares = {"majors": "33.3", "memes": 33.3, "stables": 33.4}
    found = (await change(user, allocation=shares))["allocation"]
    assert sum(Decimal(str(share)) for share in found.values()) == 100
