"""Orders that need a person's yes, message by message, in both eras of the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from mcp_server import confirmations, questions
from mcp_server.confirmations import can_be_asked
from storage.ports import Scopes
from tests.mcp_server.mcp_desk import BOTH, CAPABILITIES_KEY, HELLO, Answered, McpDesk
from tests.support.served import FrozenWallClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

ELICITS = {**HELLO, "capabilities": {"elicitation": {}}}
YES = {"action": "accept", "content": {"place": True}}
NOT_YES: list[dict[str, Any]] = [
    {"result": {"action": "accept", "content": {"place": False}}},
    {"result": {"action": "accept", "content": {"place": "true"}}},
    {"result": {"action": "accept"}},
    {"result": {"action": "decline", "content": {"place": True}}},
    {"result": {"action": "cancel"}},
    {"result": {}},
    {"result": []},
    {"error": {"code": -32601, "message": "Method not found"}},
]


@pytest_asyncio.fixture(loop_scope="module")
async def desk(fresh_desk: McpDesk) -> McpDesk:
    """With a key that may place orders up to 900 by itself: a limit order of this desk is worth 940."""
    key = await fresh_desk.gateway.key(fresh_desk.account, scopes=Scopes(confirm_above=Decimal(900)))
    return McpDesk(fresh_desk.gateway, fresh_desk.venue, fresh_desk.account, key, fresh_desk.credential_id)


class Talk:
    """A call whose answer is a stream, as its client sees it."""

    def __init__(self, desk: McpDesk, session: str, response: aiohttp.ClientResponse) -> None:
        self._desk = desk
        self._session = session
        self.response = response

    async def heard(self) -> dict[str, Any]:
        """The next message."""
        while line := await self.response.content.readline():
            if line.startswith(b"data: "):
                message = json.loads(line.removeprefix(b"data: "))
                assert isinstance(message, dict)
                return message
        raise AssertionError("the stream has ended")

    async def says(self, id: object, said: Mapping[str, Any], *, key: str | None = "") -> Answered:
        shown = {"Authorization": f"Bearer {key or self._desk.key}"} if key is not None else {}
        return await self._desk.send({"jsonrpc": "2.0", "id": id, **said}, Mcp_Session_Id=self._session, **shown)

    async def cancels(self, call: object) -> Answered:
        said = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call}}
        return await self._desk.send(said, Mcp_Session_Id=self._session, Authorization=f"Bearer {self._desk.key}")

    async def structured(self) -> dict[str, Any]:
        found = (await self.heard())["result"]["structuredContent"]
        assert isinstance(found, dict)
        return found


@contextlib.asynccontextmanager
async def asking(desk: McpDesk, session: str, id: object = 7, **order: Any) -> AsyncIterator[Talk]:
    params = {"name": "place_limit_order", "arguments": desk.limit(**order)}
    body = {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}
    headers = {"Accept": BOTH, "X-API-Key": desk.key, "Mcp-Session-Id": session}
    async with asyncio.timeout(20), desk.gateway.client.post(desk.url, json=body, headers=headers) as response:
        assert response.headers["Content-Type"] == "text/event-stream", await response.text()
        yield Talk(desk, session, response)


async def session_of(desk: McpDesk, hello: Mapping[str, Any] = ELICITS) -> str:
    answer = await desk.ask("initialize", hello)
    return answer.headers["Mcp-Session-Id"]


# The era of handshakes: the server asks over the call's own stream.


async def test_a_person_who_says_yes_has_the_order_placed_once(desk: McpDesk) -> None:
    async with asking(desk, await session_of(desk)) as talk:
        question = await talk.heard()
        assert question["method"] == "elicitation/create"
        assert question["params"]["message"].splitlines() == [
            "Place this order on scripted (paper)?",
            "BUY 0.01 BTC-USD-PERP, limit 94000",
            "Worth up to 940.00 USD; above 900 this key has to ask.",
        ]
        assert question["params"]["requestedSchema"]["required"] == ["place"]
        assert desk.venue.sent == []
        assert (await talk.says(question["id"], {"result": YES})).status == 202
        placed = await talk.structured()
    assert (placed["orderId"], placed["status"]) == ("ord_1", "OPEN")
    assert len(desk.venue.sent) == 1


@pytest.mark.parametrize("said", NOT_YES, ids=str)
async def test_whatever_is_not_yes_is_no(desk: McpDesk, said: dict[str, Any]) -> None:
    async with asking(desk, await session_of(desk)) as talk:
        await talk.says((await talk.heard())["id"], said)
        refused = await talk.structured()
    assert (refused["code"], refused["details"]["reason"]) == ("OPERATION_NOT_ALLOWED", "CONFIRMATION_DECLINED")
    assert desk.venue.sent == []


async def test_an_order_within_the_limit_is_not_asked_about(desk: McpDesk) -> None:
    called = await desk.call(
        "place_limit_order", {**desk.limit(), "size": "0.009"}, Mcp_Session_Id=await session_of(desk)
    )
    assert called.headers["Content-Type"] == "application/json"
    assert called.structured["orderId"] == "ord_1"


async def test_who_cannot_ask_is_refused_and_told_why(desk: McpDesk) -> None:
    order = ("place_limit_order", desk.limit())
    session = await session_of(desk)
    for refused in (
        await desk.call(*order),
        await desk.call(*order, Mcp_Session_Id=await session_of(desk, HELLO)),
        await desk.call(*order, Mcp_Session_Id=session, Accept="application/json"),
    ):
        assert refused.result["isError"] is True
        assert refused.structured["code"] == "OPERATION_NOT_ALLOWED"
        assert refused.structured["details"] == {
            "reason": "CONFIRMATION_REQUIRED",
            "value": "940.00",
            "confirmAbove": "900",
            "quote": "USD",
        }
        assert "declare elicitation" in refused.structured["error"]
    assert desk.venue.sent == []


async def test_who_cannot_ask_is_told_which_capability_is_missing(desk: McpDesk) -> None:
    params = {"name": "place_limit_order", "arguments": desk.limit()}
    for meta, status in (({}, 400), ({"progressToken": 1}, 200)):
        refused = await desk.ask_alone("tools/call", {**params, "_meta": meta})
        assert (refused.status, refused.error["code"]) == (status, -32021)
        data = refused.error["data"]
        assert data["requiredCapabilities"] == {"elicitation": {"form": {}}}
        assert (data["code"], data["details"]["reason"]) == ("OPERATION_NOT_ALLOWED", "CONFIRMATION_REQUIRED")
    assert desk.venue.sent == []


async def test_a_question_that_nobody_answers_is_no(desk: McpDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmations, "ANSWER_WITHIN_S", 0.05)
    async with asking(desk, await session_of(desk)) as talk:
        question = await talk.heard()
        assert (await talk.structured())["details"]["reason"] == "CONFIRMATION_UNANSWERED"
        # Too late.
        assert (await talk.says(question["id"], {"result": YES})).status == 202
    assert desk.venue.sent == []


async def test_a_question_ends_with_its_call_and_with_its_session(desk: McpDesk) -> None:
    session = await session_of(desk)
    async with asking(desk, session, "mine") as mine, asking(desk, session, "other") as other:
        await mine.heard()
        question = await other.heard()
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "mine"}}
        await desk.send(cancel, Mcp_Session_Id=session, X_API_Key=desk.key)
        assert (await mine.structured())["details"]["reason"] == "CONFIRMATION_UNANSWERED"
        await other.says(question["id"], {"result": YES})
        assert (await other.structured())["orderId"] == "ord_1"
    async with asking(desk, session) as talk:
        await talk.heard()
        await desk.send(b"", method="DELETE", Mcp_Session_Id=session, X_API_Key=desk.key)
        assert (await talk.structured())["details"]["reason"] == "CONFIRMATION_UNANSWERED"
    assert len(desk.venue.sent) == 1


async def test_a_client_that_hangs_up_while_it_is_asked_has_no_order(desk: McpDesk) -> None:
    session = await session_of(desk)
    async with asking(desk, session) as talk:
        question = await talk.heard()
        talk.response.close()
    # The gateway has seen it go when it answers another.
    assert (await desk.ask("ping")).status == 200
    await talk.says(question["id"], {"result": YES})
    found = desk.gateway.gateway.mcp.sessions.find(session)
    assert found is not None
    async with asyncio.timeout(20):
        while found.is_busy:
            await desk.ask("ping")
    assert desk.venue.sent == []


async def test_nobody_else_answers(desk: McpDesk) -> None:
    stranger = await desk.another_key()
    async with asking(desk, await session_of(desk)) as talk:
        question = await talk.heard()
        assert (await talk.says(question["id"], {"result": YES}, key=stranger)).status == 404
        assert (await talk.says(question["id"], {"result": YES}, key=None)).status == 401
        for id in ("question-0", 7, "x"):
            assert (await talk.says(id, {"result": YES})).status == 202
        assert desk.venue.sent == []
        await talk.says(question["id"], {"result": {"action": "decline"}})
        assert (await talk.structured())["details"]["reason"] == "CONFIRMATION_DECLINED"


async def test_a_key_that_dies_while_a_person_thinks_places_nothing(desk: McpDesk) -> None:
    scopes, soon_ms = Scopes(confirm_above=Decimal(900)), desk.gateway.gateway.clock.now_ms() + 1
    key = await desk.gateway.key(desk.account, scopes=scopes, expires_at_ms=soon_ms)
    dying = McpDesk(desk.gateway, desk.venue, desk.account, key, desk.credential_id)
    async with asking(dying, await session_of(dying)) as talk:
        question = await talk.heard()
        with later(desk, 1):
            await talk.says(question["id"], {"result": YES}, key=desk.key)
            assert (await talk.structured())["code"] == "KEY_EXPIRED"
    assert desk.venue.sent == []


@contextlib.contextmanager
def later(desk: McpDesk, ms: int) -> Iterator[None]:
    clock = desk.gateway.gateway.clock
    assert isinstance(clock, FrozenWallClock)
    clock.at_ms += ms
    try:
        yield
    finally:
        clock.at_ms -= ms


async def test_who_waits_for_a_person_keeps_nobody_out(desk: McpDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.gateway.gateway.mcp.in_flight, "most", 1)
    session = await session_of(desk)
    async with contextlib.AsyncExitStack() as stack:
        talks = [await stack.enter_async_context(asking(desk, session, n)) for n in range(questions.MOST_AT_ONCE)]
        for talk in talks:
            await talk.heard()
        refused = await desk.call("place_limit_order", desk.limit(), Mcp_Session_Id=session)
        assert "wait for a person's answer already" in refused.structured["error"]
        assert (await desk.call("get_balance", desk.with_credential())).result["isError"] is False
        assert (await desk.gateway.post({"operation": "listCredentials"}, desk.key)).status == 200


async def test_the_question_and_the_order_count_as_a_request_each(desk: McpDesk) -> None:
    async with asking(desk, await session_of(desk)) as talk:
        await talk.says((await talk.heard())["id"], {"result": YES})
        assert (await talk.structured())["orderId"] == "ord_1"
    called = await desk.call("get_balance", desk.with_credential())
    assert called.headers["X-RateLimit-Remaining-Minute"] == "117"


async def test_progress_tells_that_a_person_is_asked(desk: McpDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.streams.PROGRESS_EVERY_S", 0.01)
    session = await session_of(desk)
    params = {"name": "place_limit_order", "arguments": desk.limit(), "_meta": {"progressToken": 1}}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    headers = {"Accept": BOTH, "X-API-Key": desk.key, "Mcp-Session-Id": session}
    async with asyncio.timeout(20), desk.gateway.client.post(desk.url, json=body, headers=headers) as response:
        talk = Talk(desk, session, response)
        heard = [await talk.heard()]
        while "person" not in str(heard[-1].get("params", {}).get("message", "")) or len(heard) < 3:
            heard.append(await talk.heard())
        (question,) = (message for message in heard if message.get("method") == "elicitation/create")
        await talk.says(question["id"], {"result": YES})
        while "result" not in (last := await talk.heard()):
            pass
    assert last["result"]["structuredContent"]["orderId"] == "ord_1"


async def test_the_orders_of_a_batch_are_all_in_the_question(desk: McpDesk) -> None:
    legs = [
        {"market": "BTC", "side": "BUY", "size": "0.01", "price": "94000"},
        {"market": "BTC", "side": "SELL", "size": "0.02", "orderType": "MARKET"},
        {
            "market": "ETH",
            "side": "SELL",
            "size": "1",
            "orderType": "STOP",
            "triggerPrice": "3000",
            "reduceOnly": False,
        },
    ]
    asked = await ask_alone(desk, "place_batch_order", desk.with_credential(orders=legs))
    assert asked.result["inputRequests"]["confirm"]["params"]["message"].splitlines()[:4] == [
        "Place these orders on scripted (paper)?",
        "BUY 0.01 BTC-USD-PERP, limit 94000",
        "SELL 0.02 BTC-USD-PERP, market, at most 1% from the best price",
        "SELL 1 ETH-USD-PERP, stop at 3000",
    ]


# From 2026-07-28 on: the result asks, and the call comes again.

CAN_ELICIT: dict[str, Any] = {CAPABILITIES_KEY: {"elicitation": {"form": {}}}}


async def ask_alone(
    desk: McpDesk, tool: str, arguments: Mapping[str, Any], *, key: str | None = "", **more: Any
) -> Answered:
    params = {"name": tool, "arguments": arguments, "_meta": CAN_ELICIT, **more}
    return await desk.ask_alone("tools/call", params, key=key)


async def test_a_call_that_comes_again_with_a_yes_is_placed_once_however_often(desk: McpDesk) -> None:
    asked = await ask_alone(desk, "place_limit_order", desk.limit())
    assert asked.result["resultType"] == "input_required"
    request = asked.result["inputRequests"]["confirm"]
    assert request["method"] == "elicitation/create"
    assert "BUY 0.01 BTC-USD-PERP, limit 94000" in request["params"]["message"]
    assert desk.venue.sent == []
    again = {"requestState": asked.result["requestState"], "inputResponses": {"confirm": YES, "other": {}}}
    # Spelled in another order, as a client may.
    arguments = dict(reversed(desk.limit().items()))
    placed = await ask_alone(desk, "place_limit_order", arguments, **again)
    assert (placed.result["resultType"], placed.structured["orderId"]) == ("complete", "ord_1")
    replayed = await ask_alone(desk, "place_limit_order", desk.limit(), **again)
    assert (replayed.structured["orderId"], replayed.structured["replayed"]) == ("ord_1", True)
    assert placed.structured["clientOrderId"] == replayed.structured["clientOrderId"]
    assert len(desk.venue.sent) == 1


async def test_the_callers_own_client_order_id_stays(desk: McpDesk) -> None:
    order = desk.limit(clientOrderId="mine")
    asked = await ask_alone(desk, "place_limit_order", order)
    again = {"requestState": asked.result["requestState"], "inputResponses": {"confirm": YES}}
    placed = await ask_alone(desk, "place_limit_order", order, **again)
    assert placed.structured["clientOrderId"] == "mine"


@pytest.mark.parametrize("said", [said["result"] for said in NOT_YES[:6]], ids=str)
async def test_a_call_that_comes_again_with_anything_else_is_refused(desk: McpDesk, said: dict[str, Any]) -> None:
    asked = await ask_alone(desk, "place_limit_order", desk.limit())
    again = {"requestState": asked.result["requestState"], "inputResponses": {"confirm": said}}
    refused = await ask_alone(desk, "place_limit_order", desk.limit(), **again)
    assert refused.structured["details"]["reason"] == "CONFIRMATION_DECLINED"
    assert desk.venue.sent == []


@pytest.mark.parametrize("responses", [None, {}, {"other": YES}, []], ids=str)
async def test_a_call_that_comes_again_without_an_answer_is_asked_again(desk: McpDesk, responses: object) -> None:
    asked = await ask_alone(desk, "place_limit_order", desk.limit())
    again = {"requestState": asked.result["requestState"], "inputResponses": responses}
    assert (await ask_alone(desk, "place_limit_order", desk.limit(), **again)).result["resultType"] == "input_required"
    assert desk.venue.sent == []


async def test_a_yes_without_a_question_is_none(desk: McpDesk) -> None:
    asked = await ask_alone(desk, "place_limit_order", desk.limit(), inputResponses={"confirm": YES})
    assert asked.result["resultType"] == "input_required"
    assert desk.venue.sent == []


async def test_a_state_is_good_for_one_call_of_one_key_and_not_for_long(desk: McpDesk) -> None:
    asked = await ask_alone(desk, "place_limit_order", desk.limit())
    state = asked.result["requestState"]
    other_key = await desk.gateway.key(desk.account, scopes=Scopes(confirm_above=Decimal(900)))
    expires, client_order_id, mark = state.split(".")
    forged = ["", "x", "..", f"{int(expires) + 1}.{client_order_id}.{mark}", f"{expires}.mine.{mark}", state[:-2]]

    async def refused(state: str, *, tool: str = "place_limit_order", key: str = "", **order: Any) -> None:
        again = {"requestState": state, "inputResponses": {"confirm": YES}}
        answer = await ask_alone(desk, tool, {**desk.limit(), **order}, key=key, **again)
        assert (answer.error["code"], "requestState" in answer.error["message"]) == (-32602, True)

    for text in forged:
        await refused(text)
    await refused(state, size="0.02")
    await refused(state, postOnly=True)
    await refused(state, tool="place_market_order")
    await refused(state, key=other_key)
    with later(desk, confirmations.ANSWER_WITHIN_S * 1000):
        await refused(state)
    assert desk.venue.sent == []


async def test_a_limit_that_is_used_up_is_told_of_the_second_call_too(desk: McpDesk) -> None:
    asked = await ask_alone(desk, "place_limit_order", desk.limit())
    called = await ask_alone(desk, "get_balance", desk.with_credential())
    assert asked.headers["X-RateLimit-Remaining-Minute"] == "119"
    assert called.headers["X-RateLimit-Remaining-Minute"] == "118"


@pytest.mark.parametrize(
    ("capabilities", "can"),
    [
        ("{}", False),
        ('{"elicitation":{}}', True),
        ('{"elicitation":{"form":{}}}', True),
        ('{"elicitation":{"form":{},"url":{}}}', True),
        ('{"elicitation":{"url":{}}}', False),
        ('{"elicitation":true}', False),
        ("null", False),
        ("[]", False),
    ],
)
async def test_a_client_can_be_asked_where_it_shows_forms(capabilities: str, can: bool) -> None:
    assert can_be_asked(msgspec.Raw(capabilities.encode())) is can
    assert can_be_asked(None) is False
