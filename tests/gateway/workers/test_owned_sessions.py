"""MCP sessions that the owner keeps for its workers. What workers make of them: ``tests/mcp_server``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.workers.channel import Caller, serving
from gateway.workers.owned_sessions import OwnedSessions, SessionsOwner
from gateway.workers.seat import Sockets, sockets_for
from storage.ports import DELETED, KnownSession, StorageUnavailable
from tests.support.manual_clock import ManualClock

THEIRS = KnownSession(account_id="a-1", can_be_asked=True, sealed_key=b"sealed")
NOBODYS = KnownSession(account_id=None, can_be_asked=False)


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with sockets_for(()) as made:
        yield made


@pytest.fixture
async def workers(sockets: Sockets) -> AsyncIterator[tuple[OwnedSessions, OwnedSessions]]:
    callers = Caller(sockets.owner_path), Caller(sockets.owner_path)
    yield OwnedSessions(callers[0]), OwnedSessions(callers[1])
    for caller in callers:
        caller.close()


Workers = tuple[OwnedSessions, OwnedSessions]


async def test_what_one_worker_opens_or_deletes_the_other_knows(sockets: Sockets, workers: Workers) -> None:
    one, other = workers
    async with serving(sockets.owner.dup(), SessionsOwner(ManualClock()).handlers()):
        assert await other.get("s-1", keep_s=60) is None
        await one.put("s-1", THEIRS, keep_s=60)
        assert await other.get("s-1", keep_s=60) == THEIRS
        await other.delete("s-1", keep_s=60)
        assert await one.get("s-1", keep_s=60) == DELETED


async def test_one_in_use_stays_and_one_that_is_not_leaves(sockets: Sockets, workers: Workers) -> None:
    one, clock = workers[0], ManualClock()
    async with serving(sockets.owner.dup(), SessionsOwner(clock).handlers()):
        await one.put("used", THEIRS, keep_s=60)
        await one.put("idle", THEIRS, keep_s=60)
        clock.advance(40)
        assert await one.get("used", keep_s=60) == THEIRS
        clock.advance(40)
        assert await one.get("used", keep_s=60) == THEIRS
        assert await one.get("idle", keep_s=60) is None


async def test_of_too_many_the_longest_unused_makes_room(sockets: Sockets, workers: Workers) -> None:
    one = workers[0]
    async with serving(sockets.owner.dup(), SessionsOwner(ManualClock(), at_most=2).handlers()):
        for id in ("s-1", "s-2"):
            await one.put(id, NOBODYS, keep_s=60)
        await one.get("s-1", keep_s=60)
        await one.put("s-3", NOBODYS, keep_s=60)
        assert [await one.get(id, keep_s=60) for id in ("s-1", "s-2", "s-3")] == [NOBODYS, None, NOBODYS]


async def test_without_the_owner_nobody_pretends_to_know(sockets: Sockets, workers: Workers) -> None:
    sockets.owner_path.unlink()
    with pytest.raises(StorageUnavailable):
        await workers[0].get("s-1", keep_s=60)
    with pytest.raises(StorageUnavailable):
        await workers[0].put("s-1", THEIRS, keep_s=60)
