"""What a worker has through the owner of its gateway, in the place of what one process alone has by itself."""

from __future__ import annotations

from adapters.base import Adapter
from gateway.workers.channel import PING, Caller
from gateway.workers.owned_limits import OwnedLimiter
from gateway.workers.owned_sessions import OwnedSessions
from gateway.workers.owned_venue import OwnedVenue
from gateway.workers.passed_on import PassedOn
from gateway.workers.seat import Seat


class Worker:
    """``paper`` is an adapter of that venue that is never opened: the sessions are the owner's."""

    def __init__(self, seat: Seat, paper: Adapter) -> None:
        self.seat = seat
        self._owner = Caller(seat.owner)
        self.paper = OwnedVenue(paper, self._owner)
        self.limiter = OwnedLimiter(self._owner)
        self.sessions = OwnedSessions(self._owner)
        self.words = PassedOn(self._owner)

    async def reach_owner(self) -> None:
        """:raises NotAsked, NotAnswered: it is not there."""
        await self._owner.ask(PING, None)

    def close(self) -> None:
        self._owner.close()
