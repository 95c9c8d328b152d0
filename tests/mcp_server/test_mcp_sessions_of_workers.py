"""MCP sessions of two workers of one gateway, without Redis: any message may come to either."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.paper import unopened_paper
from gateway.limits import InProcessLimiter
from gateway.workers.channel import serving
from gateway.workers.owned_limits import LimitsOwner
from gateway.workers.owned_sessions import SessionsOwner
from gateway.workers.passed_on import WordsOwner
from gateway.workers.seat import sockets_for
from gateway.workers.worker import Worker
from storage.ports import Scopes, Tier
from tests.mcp_server.conftest import desk_at
from tests.mcp_server.mcp_desk import McpDesk
from tests.mcp_server.test_mcp_confirmations import YES, Talk, asking, session_of
from tests.support.manual_clock import ManualClock
from tests.support.memory_directory import MemoryUsage
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import served


class Desks(NamedTuple):
    """One account with a key that has to ask above 900, at two workers."""

    one: McpDesk
    other: McpDesk


@pytest.fixture
async def desks(tmp_path: Path) -> AsyncIterator[Desks]:
    clock, venue = ManualClock(), ScriptedVenue()
    counts = InProcessLimiter(MemoryUsage(), clock)
    owned = LimitsOwner(counts).handlers() | SessionsOwner(clock).handlers() | WordsOwner().handlers()
    async with contextlib.AsyncExitStack() as stack:
        sockets = stack.enter_context(sockets_for(()))
        await stack.enter_async_context(serving(sockets.owner, owned))
        stack.push_async_callback(counts.close)
        gateways = []
        for seat in sockets.seats(2):
            worker = Worker(seat, unopened_paper())
            gateways.append(await stack.enter_async_context(served(tmp_path, {"scripted": venue}, worker=worker)))
            stack.callback(worker.close)
        one = await desk_at(gateways[0], venue, Tier.BUILDER)
        key = await gateways[0].key(one.account, scopes=Scopes(confirm_above=Decimal(900)))
        yield Desks(*(McpDesk(gateway, venue, one.account, key, one.credential_id) for gateway in gateways))


def said_at(desk: McpDesk, session: str, talk: Talk) -> Talk:
    """The same talk, of which what the client says goes to ``desk``."""
    return Talk(desk, session, talk.response)


async def test_a_session_is_good_at_either_worker(desks: Desks) -> None:
    session = await session_of(desks.one)
    assert (await desks.other.ask("tools/list", key=None, Mcp_Session_Id=session)).status == 401
    assert (await desks.other.ask("tools/list", Mcp_Session_Id=session)).status == 200
    assert (
        await desks.other.send(b"", method="DELETE", Mcp_Session_Id=session, X_API_Key=desks.other.key)
    ).status == 200
    assert (await desks.other.ask("ping", Mcp_Session_Id=session)).status == 404


async def test_an_answer_finds_its_question_at_the_other_worker(desks: Desks) -> None:
    session = await session_of(desks.one)
    async with asking(desks.one, session) as talk:
        question = await talk.heard()
        there = said_at(desks.other, session, talk)
        assert (await there.says("question-0", {"result": YES})).status == 202
        assert desks.one.venue.sent == [], "that was the answer to something else"
        assert (await there.says(question["id"], {"result": YES})).status == 202
        assert (await talk.structured())["status"] == "OPEN"
    assert len(desks.one.venue.sent) == 1


NO: dict[str, Any] = {"result": {"action": "decline"}}
Say = Callable[[Talk, Any], Any]


@pytest.mark.parametrize(
    "say",
    [
        lambda talk, question: talk.says(question["id"], NO),
        lambda talk, question: talk.cancels(7),
    ],
    ids=["no", "canceled"],
)
async def test_whatever_else_is_said_there_places_nothing(desks: Desks, say: Say) -> None:
    session = await session_of(desks.one)
    async with asking(desks.one, session, 7) as talk:
        question = await talk.heard()
        assert (await say(said_at(desks.other, session, talk), question)).status == 202
        assert (await talk.structured())["code"] == "OPERATION_NOT_ALLOWED"
    assert desks.one.venue.sent == []
