from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.milo.quests.progress import DAY_MS, NOTHING_DONE, Aggregation, Deed, Quest, Requirement, Tally, standings
from sandbox.milo.quests.quest_list import BY_ID, QUESTS
from tests.support.milo_user import MiloServer, MiloUser
from tests.support.milo_words import buy, strategy

DEEDS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 500)), max_size=40)


def tally(deeds: list[tuple[int, int]]) -> Tally:
    """Of deeds that are (day, amount), in the order of time."""
    found = NOTHING_DONE
    for day, amount in sorted(deeds):
        found = found.with_deed(day * DAY_MS + 1, Decimal(amount))
    return found


def one(slug: str, *requirements: Requirement, after: tuple[str, ...] = ()) -> Quest:
    return Quest(slug=slug, title=slug, award=10, requirements=requirements, after=after)


@given(DEEDS)
def test_tallies_are_what_counting_by_hand_finds(deeds: list[tuple[int, int]]) -> None:
    found, days = tally(deeds), {day for day, _ in deeds}
    longest = max((next(n for n in range(1, 50) if day + n not in days) for day in days), default=0)
    assert found.value(Aggregation.COUNT) == len(deeds)
    assert found.value(Aggregation.SUM) == sum(amount for _, amount in deeds)
    assert found.value(Aggregation.STREAK) == longest


def test_a_streak_that_was_reached_is_not_lost_by_a_pause() -> None:
    found = tally([(1, 0), (2, 0), (3, 0), (9, 0)])
    assert found.value(Aggregation.STREAK) == 3
    assert found.run == 1


def test_a_quest_is_completed_when_all_of_its_requirements_are() -> None:
    quest = one(
        "q",
        Requirement(Deed.TRADE, Aggregation.COUNT, Decimal(2)),
        Requirement(Deed.TRADE, Aggregation.SUM, Decimal(50)),
    )
    (half,) = standings([quest], {Deed.TRADE: tally([(1, 30), (1, 10)])}, ())
    (whole,) = standings([quest], {Deed.TRADE: tally([(1, 30), (1, 20)])}, ())
    assert (half.met, half.is_completed) == ((True, False), False)
    assert whole.is_claimable


def test_a_quest_is_locked_until_those_before_it_are_completed() -> None:
    first = one("first", Requirement(Deed.TRADE, Aggregation.COUNT, Decimal(2)))
    second = one("second", Requirement(Deed.MESSAGE, Aggregation.COUNT, Decimal(1)), after=("first",))
    messages = {Deed.MESSAGE: tally([(1, 0)])}
    _, locked = standings([first, second], messages, ())
    assert (locked.is_completed, locked.is_unlocked, locked.is_claimable) == (True, False, False)
    _, unlocked = standings([first, second], messages | {Deed.TRADE: tally([(1, 1), (1, 1)])}, ())
    assert unlocked.is_claimable
    _, claimed = standings([first, second], messages, (second.quest_id,))
    assert not claimed.is_claimable


def test_the_list_can_be_completed_from_its_beginning_to_its_end() -> None:
    slugs = [quest.slug for quest in QUESTS]
    assert len(QUESTS) >= 12
    assert len(BY_ID) == len(set(slugs)) == len(QUESTS)
    for place, quest in enumerate(QUESTS):
        assert set(quest.after) <= set(slugs[:place]), f"{quest.slug} waits for a quest that comes later"
        assert quest.award > 0
        assert all(one.target > 0 for one in quest.requirements)
    assert {one.aggregation for quest in QUESTS for one in quest.requirements} == set(Aggregation)


async def quests(user: MiloUser, query: str = "") -> dict[str, dict[str, Any]]:
    reply = await user.call("GET", f"/users/{{userId}}/quests?pageSize=100&{query}")
    return {quest["title"]: quest for quest in reply.data}


async def claim(user: MiloUser, quest_id: str) -> tuple[int, str | None]:
    reply = await user.call("POST", f"/users/{{userId}}/quests/{quest_id}/claim")
    return (reply.status, None) if reply.status == 200 else reply.refusal


async def bones(user: MiloUser) -> dict[str, Any]:
    found = (await user.call("GET", "/users/{userId}/quests/bones")).data
    assert isinstance(found, dict)
    return found


async def test_a_new_user_sees_the_unlocked_quests_with_nothing_done(milo: MiloServer) -> None:
    user = await milo.user()
    reply = await user.call("GET", "/users/{userId}/quests")
    first = reply.data[0]
    assert reply.json["meta"] == {"page": 1, "pageSize": 25, "total": len(reply.data), "pages": 1}
    assert first | {"questId": "", "requirements": []} == {
        "questId": "",
        "title": "First Trade",
        "award": 100,
        "totalRequirements": 1,
        "completedRequirements": 0,
        "claimed": False,
        "completed": False,
        "unlocked": True,
        "requirements": [],
    }
    (requirement,) = first["requirements"]
    assert requirement | {"requirementId": ""} == {
        "requirementId": "",
        "aggregationKind": "count",
        "targetValue": 1,
        "currentValue": 0,
        "completed": False,
    }
    everything = await quests(user, "unlocked=false")
    assert len(everything) == len(QUESTS)
    assert sum(quest["unlocked"] for quest in everything.values()) == len(reply.data)


async def test_what_was_done_can_be_claimed_once(milo: MiloServer) -> None:
    user = await milo.user(SOL=2)
    await buy(user, "JUP", usd=20)
    await user.call("POST", "/users/{userId}/auto-trade-settings/strategies", strategy())
    done = await quests(user, "unclaimed=true")
    assert done.keys() == {"First Trade", "Strategist"}
    assert await bones(user) == {
        "userId": user.user_id,
        "username": str(user.keypair.pubkey())[:8],
        "balance": 0,
        "unclaimed": 200,
    }
    quest_id = done["First Trade"]["questId"]
    assert await claim(user, quest_id) == (200, None)
    assert await claim(user, quest_id) == (404, "not_found")
    assert ((await bones(user))["balance"], (await bones(user))["unclaimed"]) == (100, 100)
    assert (await quests(user, "claimed=true")).keys() == {"First Trade"}
    assert "First Trade" not in await quests(user, "claimed=false")


async def test_the_second_quest_is_unlocked_by_the_first(milo: MiloServer) -> None:
    user = await milo.user(SOL=2)
    assert "Full Circle" not in await quests(user)
    await buy(user, "JUP", usd=20)
    position = (await user.call("GET", "/users/{userId}/positions")).data[0]
    assert (await user.call("POST", f"/users/{{userId}}/positions/{position['thesisId']}/close")).status == 200
    assert (await quests(user))["Full Circle"]["completed"]


async def test_a_streak_counts_days_in_a_row(milo: MiloServer) -> None:
    user = await milo.user(SOL=2)
    for day in range(3):
        milo.clock.advance(86_400 if day else 0)
        await buy(user, "JUP", usd=5)
        (streak,) = (await quests(user))["Three Days Running"]["requirements"]
        assert (streak["currentValue"], streak["completed"]) == (day + 1, day == 2)


async def test_completed_quests_come_last_when_asked_for(milo: MiloServer) -> None:
    user = await milo.user(SOL=2)
    await buy(user, "JUP", usd=5)
    flags = [quest["completed"] for quest in (await quests(user, "mode=completed_last")).values()]
    assert flags == sorted(flags)
    assert any(flags)


@pytest.mark.parametrize("query", ["unlocked=maybe", "unclaimed=1", "claimed=", "mode=first", "page=0", "pageSize=101"])
async def test_a_filter_that_is_none_is_refused(milo: MiloServer, query: str) -> None:
    user = await milo.user()
    assert (await user.call("GET", f"/users/{{userId}}/quests?{query}")).refusal == (400, "bad_request")


async def test_claiming_too_early_or_what_there_is_not_pays_nothing(milo: MiloServer) -> None:
    user = await milo.user()
    by_title = {quest.title: quest.quest_id for quest in QUESTS}
    early = await user.call("POST", f"/users/{{userId}}/quests/{by_title['First Trade']}/claim")
    assert early.refusal == (400, "bad_request")
    assert "trade count: 0 of 1" in early.message
    locked = await user.call("POST", f"/users/{{userId}}/quests/{by_title['Full Circle']}/claim")
    assert locked.refusal == (400, "bad_request")
    assert "First Trade" in locked.message
    assert await claim(user, "6f1f8d5e-0000-4a51-9d4c-0e9a3cf5a1b7") == (404, "not_found")
    assert (await bones(user))["balance"] == 0
