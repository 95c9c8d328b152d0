"""Sessions as clients meet them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mcp_server.sessions import IDLE_S, Sessions
from tests.mcp_server.mcp_desk import HELLO, SHOWN, Answered, McpDesk
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def desk(lasting_desk: McpDesk) -> McpDesk:
    return lasting_desk


async def test_a_client_without_a_key_may_hold_a_session_and_sees_how_to_get_one(desk: McpDesk) -> None:
    id = await desk.session()
    assert (await desk.ask("ping", key=None, Mcp_Session_Id=id)).result == {}
    shown = (await desk.ask("tools/list", key=None, Mcp_Session_Id=id)).result["tools"]
    assert [tool["name"] for tool in shown] == ["milo_request_siwx_message", "milo_signup"]
    called = await desk.call("get_balance", desk.with_credential(), key=None, Mcp_Session_Id=id)
    assert (called.result["isError"], called.structured["code"]) == (True, "MISSING_API_KEY")
    assert desk.venue.sent == []


async def test_a_key_needs_no_session(desk: McpDesk) -> None:
    assert (await desk.call("get_balance", desk.with_credential())).result["isError"] is False
    assert len((await desk.ask("tools/list")).result["tools"]) == len(SHOWN)


async def test_a_deleted_session_is_404_even_with_its_key(desk: McpDesk) -> None:
    for key in (None, desk.key):
        id = await desk.session(key)
        shown = {} if key is None else {"X_API_Key": key}
        assert (await desk.send(b"", method="DELETE", Mcp_Session_Id=id, **shown)).status == 200
        assert (await desk.ask("ping", key=key, Mcp_Session_Id=id)).status == 404
        assert (await desk.call("get_balance", key=key, Mcp_Session_Id=id)).status == 404
        assert (await desk.send(b"", method="DELETE", Mcp_Session_Id=id, **shown)).status == 404


async def test_a_session_that_this_process_does_not_know_is_done_without_by_a_key(desk: McpDesk) -> None:
    """Clients do not shake hands again, so a restart or a long pause must not lock them out."""
    id = Sessions(ManualClock()).open(desk.account.account_id).id
    assert (await desk.ask("ping", Mcp_Session_Id=id)).result == {}
    called = await desk.call("get_balance", desk.with_credential(), Mcp_Session_Id=id)
    assert called.result["isError"] is False
    assert (await desk.ask("ping", key=None, Mcp_Session_Id=id)).status == 404
    assert (await desk.send(b"", method="GET", Mcp_Session_Id=id, X_API_Key=desk.key)).status == 404


async def test_a_session_of_another_account_is_404(desk: McpDesk) -> None:
    id, stranger = await desk.session(desk.key), await desk.another_key()
    assert (await desk.ask("tools/list", key=stranger, Mcp_Session_Id=id)).status == 404
    assert (await desk.call("get_balance", key=stranger, Mcp_Session_Id=id)).status == 404
    for method in ("GET", "DELETE"):
        assert (await desk.send(b"", method=method, Mcp_Session_Id=id, X_API_Key=stranger)).status == 404
    assert (await desk.ask("ping", Mcp_Session_Id=id)).status == 200


async def test_a_session_of_an_account_is_no_key(desk: McpDesk) -> None:
    id = await desk.session(desk.key)
    assert (await desk.ask("tools/list", key=None, Mcp_Session_Id=id)).status == 401
    called = await desk.call("get_balance", desk.with_credential(), key=None, Mcp_Session_Id=id)
    assert called.structured["code"] == "MISSING_API_KEY"
    for method in ("GET", "DELETE"):
        assert (await desk.send(b"", method=method, Mcp_Session_Id=id)).status == 401


async def test_another_key_of_the_account_may_use_its_session(desk: McpDesk) -> None:
    id = await desk.session(desk.key)
    second = await desk.gateway.key(desk.account)
    assert (await desk.ask("ping", key=second, Mcp_Session_Id=id)).status == 200


async def test_a_flood_of_hellos_is_429_without_a_key_and_served_with_one(
    desk: McpDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = desk.gateway.gateway.mcp.sessions
    monkeypatch.setattr(sessions, "_at_most", len(sessions) + 5)
    ids = [await desk.session() for _ in range(5)]
    flooded = await desk.ask("initialize", HELLO, key=None)
    assert (flooded.status, flooded.error["data"]["code"]) == (429, "RATE_LIMITED")
    assert 1 <= int(flooded.headers["Retry-After"]) <= IDLE_S
    keyed = await desk.ask("initialize", HELLO)
    assert keyed.status == 200
    assert "Mcp-Session-Id" not in keyed.headers
    assert (await desk.call("get_balance", desk.with_credential())).result["isError"] is False
    assert (await desk.gateway.post({"operation": "listCredentials"}, desk.key)).status == 200
    assert (await desk.ask("ping", key=None, Mcp_Session_Id=ids[0])).status == 200


async def test_a_session_that_signed_up_is_that_accounts_and_its_client_is_told(desk: McpDesk) -> None:
    id = await desk.session()
    found = desk.gateway.gateway.mcp.sessions.find(id)
    assert found is not None
    headers = {"Accept": "text/event-stream", "Mcp-Session-Id": id}
    async with asyncio.timeout(20), desk.gateway.client.get(desk.url, headers=headers) as stream:
        assert await stream.content.readline() == b": open\n"
        await found.becomes(desk.account.account_id, desk.key)
        told = b"".join([await stream.content.readline() for _ in range(3)])
        assert b'"method":"notifications/tools/list_changed"' in told
    assert len((await desk.ask("tools/list", key=None, Mcp_Session_Id=id)).result["tools"]) == len(SHOWN)
    called = await desk.call("get_balance", desk.with_credential(), key=None, Mcp_Session_Id=id)
    assert called.result["isError"] is False
    stranger = await desk.another_key()
    assert (await desk.ask("tools/list", key=stranger, Mcp_Session_Id=id)).status == 404
    assert (await desk.send(b"", method="DELETE", Mcp_Session_Id=id)).status == 200
    assert (await desk.ask("tools/list", key=None, Mcp_Session_Id=id)).status == 404


async def test_whatever_is_thrown_at_it_v1_is_unharmed(desk: McpDesk) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    hostile: list[Callable[[], Awaitable[Answered]]] = [
        lambda: desk.send(ping, Origin="https://evil.example"),
        lambda: desk.send(ping, Host="evil.example"),
        lambda: desk.send(b"[" * 60_000),
        lambda: desk.send(b" " * 70_000),
        lambda: desk.send(ping, Mcp_Session_Id="x" * 4_000),
        lambda: desk.send(ping),
        lambda: desk.ask("initialize", {**HELLO, "protocolVersion": []}, key=None),
        lambda: desk.ask("initialize", HELLO, key=None),
    ]
    sessions = len(desk.gateway.gateway.mcp.sessions)
    attacked, served = await asyncio.gather(
        asyncio.gather(*(attack() for _ in range(10) for attack in hostile)),
        asyncio.gather(*(desk.gateway.post({"operation": "listCredentials"}, desk.key) for _ in range(20))),
    )
    assert [answer.status for answer in attacked[:8]] == [403, 403, 400, 413, 404, 400, 200, 200]
    assert [answer.status for answer in attacked] == [answer.status for answer in attacked[:8]] * 10
    assert {answer.status for answer in served} == {200}
    assert len(desk.gateway.gateway.mcp.sessions) == sessions + 10


async def test_ids_of_requests_repeat_across_sessions(desk: McpDesk) -> None:
    one, two = await desk.session(), await desk.session(desk.key)
    answers = await asyncio.gather(
        desk.ask("tools/list", key=None, Mcp_Session_Id=one), desk.ask("tools/list", Mcp_Session_Id=two)
    )
    assert [len(answer.result["tools"]) for answer in answers] == [2, len(SHOWN)]
