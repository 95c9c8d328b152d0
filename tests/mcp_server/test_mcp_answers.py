"""Every row of the table of answers, message by message."""

from __future__ import annotations

import gzip
import json

import pytest

from mcp_server.protocol import SUPPORTED_VERSIONS
from storage.ports import Tier
from tests.mcp_server.mcp_desk import CAPABILITIES_KEY, HELLO, MODERN, SHOWN, VERSION_KEY, McpDesk

pytestmark = pytest.mark.asyncio(loop_scope="module")

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture
def desk(lasting_desk: McpDesk) -> McpDesk:
    return lasting_desk


@pytest.mark.parametrize("accept", ["text/html", "application/xml, image/*", "application/json;q=0"])
async def test_a_client_that_takes_neither_json_nor_events_is_406(desk: McpDesk, accept: str) -> None:
    answer = await desk.send(PING, Accept=accept)
    assert (answer.status, answer.error["code"]) == (406, -32600)


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/*", "Application/JSON;q=0.5, text/html"])
async def test_a_client_that_takes_json_gets_json(desk: McpDesk, accept: str) -> None:
    answer = await desk.ask("ping", Accept=accept)
    assert (answer.status, answer.headers["Content-Type"], answer.result) == (200, "application/json", {})


async def test_a_client_that_takes_only_events_gets_its_answer_as_one(desk: McpDesk) -> None:
    answer = await desk.ask("ping", Accept="text/event-stream")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    assert answer.message == {"jsonrpc": "2.0", "id": 7, "result": {}}


@pytest.mark.parametrize(
    "body",
    [
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": ""}},
    ],
    ids=["initialized", "cancelled", "result", "error"],
)
async def test_a_notification_or_response_is_202_and_empty(desk: McpDesk, body: dict[str, object]) -> None:
    answer = await desk.send(body, X_API_Key=desk.key)
    assert (answer.status, answer.text) == (202, "")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff{}", -32700),
        (b'{"jsonrpc":"2.0","params":' + b"[" * 10_000, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"} x', -32700),
        (json.dumps([PING]).encode(), -32600),
        (b'"ping"', -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32602),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_what_is_not_one_json_rpc_message_is_400(desk: McpDesk, body: bytes, code: int) -> None:
    answer = await desk.send(body, X_API_Key=desk.key)
    assert (answer.status, answer.error["code"]) == (400, code)


async def test_an_error_bears_the_id_of_its_request_as_it_came(desk: McpDesk) -> None:
    for id in ("a:b", 0, -3, 2**60, "ü"):
        body = {"jsonrpc": "2.0", "id": id, "method": "no/such"}
        assert (await desk.send(body, X_API_Key=desk.key)).message["id"] == id


@pytest.mark.parametrize("version", ["2024-11-05", "2099-01-01", "latest", ""])
async def test_a_version_that_is_not_spoken_is_400_with_the_list(desk: McpDesk, version: str) -> None:
    answer = await desk.ask("ping", MCP_Protocol_Version=version)
    assert (answer.status, answer.error["code"]) == (400, -32022)
    assert answer.error["data"] == {"supported": list(SUPPORTED_VERSIONS), "requested": version}


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
async def test_a_version_is_spoken_when_it_is_named_and_the_first_when_none_is(desk: McpDesk, version: str) -> None:
    assert (await desk.ask("ping", MCP_Protocol_Version=version)).result == {}
    assert (await desk.ask("ping")).result == {}
    hello = await desk.ask("initialize", {**HELLO, "protocolVersion": version})
    assert hello.result["protocolVersion"] == version


async def test_a_client_of_an_unknown_version_is_offered_the_newest_with_a_handshake(desk: McpDesk) -> None:
    for asked in ("2024-11-05", "2031-01-01", MODERN):
        hello = await desk.ask("initialize", {**HELLO, "protocolVersion": asked})
        assert hello.result["protocolVersion"] == "2025-11-25"
    assert (await desk.ask("initialize", {})).error["code"] == -32602


async def test_neither_session_nor_key_is_400(desk: McpDesk) -> None:
    for method in ("ping", "tools/list", "tools/call"):
        answer = await desk.ask(method, {"name": "get_balance"}, key=None)
        assert (answer.status, answer.error["code"]) == (400, -32600)


@pytest.mark.parametrize("id", ["nope", "0" * 56, "ü", " "], ids=repr)
async def test_an_unknown_session_is_404_with_and_without_a_key(desk: McpDesk, id: str) -> None:
    for key in (None, desk.key):
        for method in ("ping", "tools/call"):
            answer = await desk.ask(method, {"name": "get_balance"}, key=key, Mcp_Session_Id=id)
            assert answer.status == 404
        for method in ("GET", "DELETE"):
            shown = {} if key is None else {"X_API_Key": key}
            assert (await desk.send(b"", method=method, Mcp_Session_Id=id, **shown)).status == 404


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "file://", "http://a@127.0.0.1", ""]
)
async def test_a_foreign_origin_is_403(desk: McpDesk, origin: str) -> None:
    for method in ("POST", "GET", "DELETE"):
        answer = await desk.send(PING, method=method, Origin=origin, X_API_Key=desk.key)
        assert (answer.status, answer.error["code"]) == (403, -32600)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", "a b"])
async def test_a_foreign_host_is_403(desk: McpDesk, host: str) -> None:
    assert (await desk.send(PING, Host=host, X_API_Key=desk.key)).status == 403


async def test_local_hosts_and_origins_are_served(desk: McpDesk) -> None:
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:6274", "[::1]:80", "127.9.9.9"):
        answer = await desk.ask("ping", Host=host, Origin=f"http://{host}")
        assert answer.status == 200, host


async def test_an_unknown_method_is_an_error_of_the_protocol(desk: McpDesk) -> None:
    for method in ("tools/frobnicate", "resources/list", "logging/setLevel", ""):
        answer = await desk.ask(method)
        assert (answer.status, answer.error["code"]) == (200, -32601)


async def test_an_unknown_tool_is_invalid_and_the_nearest_are_named(desk: McpDesk) -> None:
    answer = await desk.call("place_limit_ordr", desk.limit())
    assert (answer.status, answer.error["code"]) == (200, -32602)
    assert "place_limit_order" in answer.error["message"]
    # Names of operations are no names of tools.
    assert (await desk.call("placeLimitOrder", desk.limit())).error["code"] == -32602
    assert desk.venue.sent == []


@pytest.mark.parametrize("params", [{}, {"name": 7}, {"name": "get_balance", "arguments": []}, {"name": None}])
async def test_a_call_without_the_shape_of_one_is_invalid(desk: McpDesk, params: dict[str, object]) -> None:
    answer = await desk.ask("tools/call", params)
    assert (answer.status, answer.error["code"]) == (200, -32602)


async def test_bad_arguments_are_a_result_that_says_what_was_expected(desk: McpDesk) -> None:
    answer = await desk.call("place_limit_order", desk.limit() | {"size": "NaN"})
    assert answer.status == 200
    assert answer.result["isError"] is True
    assert answer.structured["code"] == "INVALID_PARAMETER"
    assert answer.structured["details"]["field"] == "size"


async def test_a_second_page_of_the_list_is_invalid(desk: McpDesk) -> None:
    assert (await desk.ask("tools/list", {"cursor": "2"})).error["code"] == -32602
    assert "tools" in (await desk.ask("tools/list", {"cursor": None})).result


async def test_a_bad_key_is_401_outside_of_calls_and_a_result_inside(desk: McpDesk) -> None:
    for method in ("initialize", "ping", "tools/list"):
        answer = await desk.ask(method, HELLO, key="nonsense")
        assert (answer.status, answer.error["data"]["code"]) == (401, "INVALID_KEY_FORMAT")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.message["id"] == 7
    called = await desk.call("get_balance", key="nonsense")
    assert (called.status, called.result["isError"]) == (200, True)
    assert called.structured["code"] == "INVALID_KEY_FORMAT"


async def test_a_free_key_hears_what_it_lacks(desk: McpDesk) -> None:
    free = await desk.another_key(Tier.FREE)
    for method in ("initialize", "tools/list"):
        answer = await desk.ask(method, HELLO, key=free)
        assert (answer.status, answer.error["data"]["code"]) == (403, "TIER_INSUFFICIENT")
        assert "Builder or Pro" in answer.error["message"]
    called = await desk.call("get_balance", desk.with_credential(), key=free)
    assert (called.result["isError"], called.structured["code"]) == (True, "TIER_INSUFFICIENT")
    assert called.structured["error"].startswith("MCP needs the Builder or Pro tier; this account has the Free tier.")
    assert called.headers["X-RateLimit-Remaining-Minute"] == "29"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("text/plain", 415),
        ("application/xml", 415),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
    ],
)
async def test_only_json_is_taken(desk: McpDesk, kind: str, status: int) -> None:
    assert (await desk.send(PING, X_API_Key=desk.key, Content_Type=kind)).status == status


@pytest.mark.parametrize("body", [json.dumps(PING).encode(), gzip.compress(json.dumps(PING).encode())], ids=len)
async def test_a_compressed_body_is_refused(desk: McpDesk, body: bytes) -> None:
    # Bytes that are not what the header says never get as far as the handler.
    answer = await desk.send(body, X_API_Key=desk.key, Content_Encoding="gzip")
    assert answer.status in (400, 415)


async def test_a_large_body_is_413(desk: McpDesk) -> None:
    answer = await desk.send(b'{"jsonrpc":"2.0","id":"' + b"x" * 70_000 + b'"}', X_API_Key=desk.key)
    assert (answer.status, answer.error["data"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "HEAD"])
async def test_other_http_methods_are_405(desk: McpDesk, method: str) -> None:
    answer = await desk.send(b"", method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST, DELETE")


async def test_a_key_in_the_address_is_refused_and_not_used(desk: McpDesk) -> None:
    answer = await desk.ask("tools/list", key=None, query=f"?api_key={desk.key}")
    assert (answer.status, answer.error["data"]["code"]) == (400, "INVALID_PARAMETER")
    assert desk.key not in answer.text


async def test_what_goes_wrong_here_is_told_without_its_text(desk: McpDesk) -> None:
    desk.venue.lookup_failure = RuntimeError("the secret is hunter2 at /etc/venuegate")
    answer = await desk.call("get_order", desk.with_credential(orderId="ord_9"))
    desk.venue.lookup_failure = None
    assert answer.structured["code"] == "INTERNAL_ERROR"
    assert answer.headers["X-Request-Id"] in answer.structured["error"]
    assert "hunter2" not in answer.text


# The later era.


async def test_a_request_that_stands_alone_needs_no_handshake(desk: McpDesk) -> None:
    listed = await desk.ask_alone("tools/list")
    assert listed.result["resultType"] == "complete"
    assert listed.result["cacheScope"] == "private"
    assert listed.result["ttlMs"] >= 0
    assert len(listed.result["tools"]) == len(SHOWN)
    called = await desk.ask_alone("tools/call", {"name": "get_balance", "arguments": desk.with_credential()})
    assert called.structured["equity"] == "10000.00"
    assert called.result["resultType"] == "complete"
    assert called.result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "venuegate"


async def test_the_server_says_what_it_speaks_to_anybody(desk: McpDesk) -> None:
    found = await desk.ask_alone("server/discover", key=None)
    assert found.result["supportedVersions"] == list(SUPPORTED_VERSIONS)
    assert found.result["capabilities"] == {"tools": {}}
    assert "list_credentials" in found.result["instructions"]
    shown = (await desk.ask_alone("tools/list", key=None)).result["tools"]
    assert [tool["name"] for tool in shown] == ["milo_request_siwx_message", "milo_signup"]
    called = await desk.ask_alone("tools/call", {"name": "get_balance", "arguments": {}}, key=None)
    assert called.structured["code"] == "MISSING_API_KEY"


@pytest.mark.parametrize(
    "meta",
    [
        None,
        {},
        {VERSION_KEY: MODERN},
        {CAPABILITIES_KEY: {}},
        {VERSION_KEY: MODERN, CAPABILITIES_KEY: []},
        {VERSION_KEY: 1, CAPABILITIES_KEY: {}},
    ],
)
async def test_no_envelope_is_400(desk: McpDesk, meta: object) -> None:
    params = {} if meta is None else {"_meta": meta}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": params}
    answer = await desk.send(body, MCP_Protocol_Version=MODERN, Mcp_Method="tools/list")
    assert (answer.status, answer.error["code"], answer.message["id"]) == (400, -32602, 7)


@pytest.mark.parametrize(
    "headers",
    [
        {"Mcp_Method": "tools/call"},
        {"Mcp_Method": "TOOLS/LIST"},
        {"Mcp_Method": ""},
        {"MCP_Protocol_Version": "2025-11-25"},
        {"MCP_Protocol_Version": "2099-01-01"},
    ],
)
async def test_headers_that_do_not_match_the_body_are_400(desk: McpDesk, headers: dict[str, str]) -> None:
    answer = await desk.ask_alone("tools/list", {}, **headers)
    assert (answer.status, answer.error["code"]) == (400, -32020)


@pytest.mark.parametrize("name", ["get_orders", "", "=?base64?Z2V0X29yZGVycw==?=", "=?base64?!!?=", "GET_BALANCE"])
async def test_a_name_in_the_header_that_is_not_the_tools_is_400(desk: McpDesk, name: str) -> None:
    answer = await desk.ask_alone("tools/call", {"name": "get_balance", "arguments": {}}, Mcp_Name=name)
    assert (answer.status, answer.error["code"]) == (400, -32020)


async def test_missing_headers_are_400(desk: McpDesk) -> None:
    meta = {VERSION_KEY: MODERN, CAPABILITIES_KEY: {}}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": {"_meta": meta}}
    for headers in ({}, {"MCP_Protocol_Version": MODERN}, {"Mcp_Method": "tools/list"}):
        answer = await desk.send(body, **headers)
        assert (answer.status, answer.error["code"]) == (400, -32020)


@pytest.mark.parametrize("name", ["  get_balance  ", "=?base64?Z2V0X2JhbGFuY2U=?="])
async def test_a_name_may_be_padded_or_encoded(desk: McpDesk, name: str) -> None:
    params = {"name": "get_balance", "arguments": desk.with_credential()}
    assert (await desk.ask_alone("tools/call", params, Mcp_Name=name)).result["isError"] is False


async def test_a_version_of_the_later_era_that_is_not_spoken_is_400_with_the_list(desk: McpDesk) -> None:
    meta = {"_meta": {VERSION_KEY: "2099-01-01"}}
    answer = await desk.ask_alone("server/discover", meta, MCP_Protocol_Version="2099-01-01")
    assert (answer.status, answer.error["code"]) == (400, -32022)
    assert answer.error["data"] == {"supported": list(SUPPORTED_VERSIONS), "requested": "2099-01-01"}


async def test_a_method_that_the_later_era_does_not_have_is_404(desk: McpDesk) -> None:
    for method in ("initialize", "ping", "logging/setLevel", "no/such"):
        answer = await desk.ask_alone(method)
        assert (answer.status, answer.error["code"], answer.message["id"]) == (404, -32601, 7)


async def test_the_later_era_takes_notifications_and_refuses_responses_streams_and_sessions(desk: McpDesk) -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/whatever"}
    assert (await desk.send(note, MCP_Protocol_Version=MODERN)).status == 202
    response = {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert (await desk.send(response, MCP_Protocol_Version=MODERN)).status == 400
    for method in ("GET", "DELETE"):
        assert (await desk.send(b"", method=method, MCP_Protocol_Version=MODERN)).status == 405
    assert (await desk.ask_alone("tools/list", Mcp_Session_Id="nonsense")).status == 200
