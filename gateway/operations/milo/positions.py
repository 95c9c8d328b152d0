"""``/users/{userId}/positions``"""

from __future__ import annotations

from typing import Literal

from adapters.milo.endpoints import CLOSE_ALL_POSITIONS, CLOSE_POSITION, LIST_POSITIONS
from adapters.milo.trading import Closed, ClosedAll, Position
from gateway.operations.milo.common import MiloRequest, PagedReply, PagedRequest, ThesisRef, milo
from gateway.operations.wire import Call, Reply


class ListPositions(PagedRequest, frozen=True, kw_only=True):
    status: Literal["active", "pending", "not_active"] | None = None

    async def perform(self, call: Call) -> MiloPositionsReply:
        page = await milo(call).ask(LIST_POSITIONS, query=self.paged(status=self.status))
        return MiloPositionsReply(data=page.data, meta=page.meta)


class MiloPositionsReply(PagedReply, frozen=True, kw_only=True):
    """Newest first, each with the orders that entered, left and protect it."""

    data: list[Position]


class ClosePosition(MiloRequest, frozen=True, kw_only=True):
    thesis_id: ThesisRef

    async def perform(self, call: Call) -> ClosedReply:
        return ClosedReply(data=(await milo(call).ask(CLOSE_POSITION, ids={"thesisId": self.thesis_id})).data)


class ClosedReply(Reply, frozen=True, kw_only=True):
    data: Closed


class CloseAllMiloPositions(MiloRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> ClosedAllReply:
        return ClosedAllReply(data=(await milo(call).ask(CLOSE_ALL_POSITIONS)).data)


class ClosedAllReply(Reply, frozen=True, kw_only=True):
    """What could not be closed keeps nothing else back, and stands in ``failures`` with the reason."""

    data: ClosedAll
