from __future__ import annotations

import re
import tracemalloc

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.sessions import IDLE_S, MAX_SESSIONS, Session, Sessions, SessionsFull, is_well_formed
from mcp_server.streams import Stream
from tests.support.manual_clock import ManualClock


def fill(sessions: Sessions, count: int) -> list[Session]:
    return [sessions.open(None) for _ in range(count)]


def test_an_id_is_long_random_visible_text() -> None:
    sessions = Sessions(ManualClock())
    ids = {sessions.open(None).id for _ in range(100)}
    assert len(ids) == 100
    for id in ids:
        assert re.fullmatch("[0-9a-f]{56}", id)
        assert is_well_formed(id)


def test_an_idle_session_leaves_after_half_an_hour() -> None:
    clock = ManualClock()
    sessions = Sessions(clock)
    used, unused = fill(sessions, 2)
    clock.advance(IDLE_S - 1)
    assert sessions.find(used.id) is used
    clock.advance(1)
    assert sessions.find(unused.id) is None
    assert sessions.find(used.id) is used
    assert sessions.may_have_left(unused.id)


def test_a_session_with_a_call_in_flight_never_leaves() -> None:
    clock = ManualClock()
    sessions = Sessions(clock, at_most=2)
    busy, idle = fill(sessions, 2)
    with sessions.in_use(busy), sessions.in_use(busy):
        clock.advance(10 * IDLE_S)
        new = sessions.open(None)
        assert sessions.find(busy.id) is busy
        assert sessions.find(idle.id) is None
    clock.advance(IDLE_S - 1)
    assert sessions.find(busy.id) is busy
    assert sessions.find(new.id) is new


async def test_a_session_with_an_open_stream_never_leaves() -> None:
    clock = ManualClock()
    sessions = Sessions(clock)
    (session,) = fill(sessions, 1)
    session.stream = Stream(make_mocked_request("GET", "/mcp"), "")
    clock.advance(10 * IDLE_S)
    assert sessions.find(session.id) is session


def test_a_full_house_is_small() -> None:
    tracemalloc.start()
    try:
        sessions = Sessions(ManualClock())
        fill(sessions, MAX_SESSIONS)
        assert len(sessions) == 10_000
        assert tracemalloc.get_traced_memory()[0] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_a_full_house_says_when_somebody_may_have_left() -> None:
    clock = ManualClock()
    sessions = Sessions(clock, at_most=3)
    fill(sessions, 1)
    clock.advance(60)
    fill(sessions, 2)
    with pytest.raises(SessionsFull) as refused:
        sessions.open(None)
    assert refused.value.retry_after_s == IDLE_S - 60
    clock.advance(IDLE_S - 60)
    sessions.open(None)
    assert len(sessions) == 3


def test_a_deleted_session_does_not_come_back() -> None:
    sessions = Sessions(ManualClock())
    (session,) = fill(sessions, 1)
    with sessions.in_use(session):
        sessions.delete(session)
    assert sessions.find(session.id) is None
    assert not sessions.may_have_left(session.id)
    assert len(sessions) == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.just("open"), st.integers(0, 9), st.floats(0, IDLE_S * 1.5)), max_size=60))
def test_there_are_never_too_many_and_the_used_ones_stay(steps: list[str | int | float]) -> None:
    clock = ManualClock()
    sessions = Sessions(clock, at_most=5)
    known: list[tuple[Session, float]] = []
    for step in steps:
        now = clock.monotonic()
        if isinstance(step, float):
            clock.advance(step)
        elif isinstance(step, int):
            if step < len(known):
                session, used_at = known[step]
                found = sessions.find(session.id)
                assert (found is session) == (now - used_at < IDLE_S)
                known[step] = (session, now if found else used_at)
        else:
            alive = sum(now - used_at < IDLE_S for _, used_at in known)
            if alive < 5:
                known.append((sessions.open(None), now))
            else:
                with pytest.raises(SessionsFull):
                    sessions.open(None)
        assert len(sessions) <= 5
