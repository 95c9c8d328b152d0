"""``/users/{userId}/quests``: list, claim, and the balance of bones."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Final

from sandbox.milo.calls import Call, Reply
from sandbox.milo.errors import bad_request, not_found
from sandbox.milo.pages import choice, page_of, paged
from sandbox.milo.quests import records
from sandbox.milo.quests.progress import Standing
from sandbox.milo.quests.quest_list import BY_ID, QUESTS
from sandbox.milo.wire import Data, Wire, plain

_CENT: Final = Decimal("0.01")
_TITLES: Final = {quest.slug: quest.title for quest in QUESTS}


class RequirementShown(Wire, frozen=True, kw_only=True):
    requirement_id: str
    aggregation_kind: str
    target_value: Decimal
    current_value: Decimal
    completed: bool


class QuestShown(Wire, frozen=True, kw_only=True):
    quest_id: str
    title: str
    award: int
    total_requirements: int
    completed_requirements: int
    claimed: bool
    completed: bool
    unlocked: bool
    requirements: list[RequirementShown]


class Bones(Wire, frozen=True, kw_only=True):
    user_id: str
    username: str
    balance: int
    unclaimed: int


def list_quests(call: Call) -> Reply:
    """``GET /users/{userId}/quests``"""
    page = page_of(call.query)
    unlocked, unclaimed, claimed = (_flag(call, name) for name in ("unlocked", "unclaimed", "claimed"))
    is_completed_last = choice(call.query, "mode", ("completed_last",)) is not None
    chosen = [
        standing
        for standing in records.standings_of(call.core.db, call.user_id)
        # False takes the filter away that is there unless asked otherwise.
        if (standing.is_unlocked or unlocked is False)
        and unclaimed in (None, standing.is_completed and not standing.is_claimed)
        and claimed in (None, standing.is_claimed)
    ]
    if is_completed_last:
        chosen.sort(key=lambda standing: standing.is_completed)
    shown = [_shown(standing) for standing in chosen[page.offset : page.offset + page.size]]
    return Reply(paged(page, shown, len(chosen)))


def claim_quest(call: Call) -> Reply:
    """``POST /users/{userId}/quests/{questId}/claim``"""
    quest = BY_ID.get(call.path["questId"])
    if quest is None:
        raise not_found("Quest")
    found = next(one for one in records.standings_of(call.core.db, call.user_id) if one.quest == quest)
    if found.is_claimed:
        raise not_found("Unclaimed quest")
    if not found.is_unlocked:
        before = ", ".join(_TITLES[slug] for slug in quest.after)
        raise bad_request(f"This quest is locked until these are completed: {before}")
    if not found.is_completed:
        raise bad_request(f"This quest is not completed: {_progress(found)}")
    records.claim(call.core, call.user_id, quest)
    return Reply(Data(None))


def get_bones(call: Call) -> Reply:
    """``GET /users/{userId}/quests/bones``"""
    user, db = call.caller.user, call.core.db
    claimable = [one.quest.award for one in records.standings_of(db, user.user_id) if one.is_claimable]
    bones = Bones(
        user_id=user.user_id,
        username=user.username,
        balance=records.balance(db, user.user_id),
        unclaimed=sum(claimable),
    )
    return Reply(Data(bones))


def _flag(call: Call, name: str) -> bool | None:
    given = choice(call.query, name, ("true", "false"))
    return None if given is None else given == "true"


def _progress(standing: Standing) -> str:
    return "; ".join(
        f"{one.deed.replace('_', ' ')} {one.aggregation}: {plain(value)} of {plain(one.target)}"
        for one, value in zip(standing.quest.requirements, standing.values, strict=True)
    )


def _shown(standing: Standing) -> QuestShown:
    quest, met = standing.quest, standing.met
    return QuestShown(
        quest_id=quest.quest_id,
        title=quest.title,
        award=quest.award,
        total_requirements=len(met),
        completed_requirements=sum(met),
        claimed=standing.is_claimed,
        completed=standing.is_completed,
        unlocked=standing.is_unlocked,
        requirements=[
            RequirementShown(
                requirement_id=quest.requirement_id(place),
                aggregation_kind=one.aggregation.value,
                target_value=one.target,
                current_value=standing.values[place].quantize(_CENT, ROUND_DOWN).normalize() + 0,
                completed=met[place],
            )
            for place, one in enumerate(quest.requirements)
        ],
    )
