"""``/users/{userId}/arena``"""

from __future__ import annotations

from typing import Literal

from adapters.milo.agents import Deployed, Rank, StrategyNamed, Withdrawn
from adapters.milo.endpoints import DEPLOY, LEADERBOARD, WITHDRAW
from gateway.operations.milo.common import MiloRequest, PagedReply, PagedRequest, StrategyRef, milo
from gateway.operations.milo.guards import require_free_hand
from gateway.operations.wire import Call, Reply


class DeployToArena(MiloRequest, frozen=True, kw_only=True):
    """The strategy must be yours and public, and the wallet hold 1 SOL: Milo funds a wallet with it and trades."""

    strategy_id: StrategyRef

    async def perform(self, call: Call) -> DeployedReply:
        require_free_hand(call, "The arena")
        body = StrategyNamed(strategy_id=self.strategy_id)
        return DeployedReply(data=(await milo(call).ask(DEPLOY, body=body)).data)


class DeployedReply(Reply, frozen=True, kw_only=True):
    data: Deployed


class WithdrawFromArena(MiloRequest, frozen=True, kw_only=True):
    strategy_id: StrategyRef

    async def perform(self, call: Call) -> WithdrawnReply:
        body = StrategyNamed(strategy_id=self.strategy_id)
        return WithdrawnReply(data=(await milo(call).ask(WITHDRAW, body=body)).data)


class WithdrawnReply(Reply, frozen=True, kw_only=True):
    data: Withdrawn


class GetArenaLeaderboard(PagedRequest, frozen=True, kw_only=True):
    timeframe: Literal["1d", "30d", "90d"] | None = None
    sort_key: Literal["pnl", "winRate", "returnPct", "accountValue"] | None = None
    sort_direction: Literal["asc", "desc"] | None = None

    async def perform(self, call: Call) -> LeaderboardReply:
        query = self.paged(timeframe=self.timeframe, sortKey=self.sort_key, sortDirection=self.sort_direction)
        page = await milo(call).ask(LEADERBOARD, query=query)
        return LeaderboardReply(data=page.data, meta=page.meta)


class LeaderboardReply(PagedReply, frozen=True, kw_only=True):
    data: list[Rank]
