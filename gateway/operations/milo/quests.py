"""``/users/{userId}/quests``"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from adapters.milo.agents import Bones, Quest
from adapters.milo.endpoints import CLAIM_QUEST, GET_BONES, LIST_QUESTS
from gateway.operations.milo.common import DoneReply, MiloRequest, PagedReply, PagedRequest, QuestRef, milo
from gateway.operations.wire import Call, Reply


class ListQuests(PagedRequest, frozen=True, kw_only=True):
    unlocked: Annotated[bool, Meta(description="Those that are open, or those that are not")] | None = None
    unclaimed: Annotated[bool, Meta(description="Completed and not claimed yet")] | None = None
    claimed: bool | None = None
    mode: Literal["completed_last"] | None = None

    async def perform(self, call: Call) -> QuestsReply:
        query = self.paged(unlocked=self.unlocked, unclaimed=self.unclaimed, claimed=self.claimed, mode=self.mode)
        page = await milo(call).ask(LIST_QUESTS, query=query)
        return QuestsReply(data=page.data, meta=page.meta)


class QuestsReply(PagedReply, frozen=True, kw_only=True):
    data: list[Quest]


class ClaimQuest(MiloRequest, frozen=True, kw_only=True):
    quest_id: QuestRef

    async def perform(self, call: Call) -> DoneReply:
        await milo(call).ask(CLAIM_QUEST, ids={"questId": self.quest_id})
        return DoneReply()


class GetBones(MiloRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> BonesReply:
        return BonesReply(data=(await milo(call).ask(GET_BONES)).data)


class BonesReply(Reply, frozen=True, kw_only=True):
    data: Bones
