from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from gateway.operations.table import OPERATIONS, Group
from mcp_server.catalog import GROUP_WORDS, Catalog, groups_of, snake_case
from normalization.errors import InvalidParameter
from storage.ports import Scopes, Tier
from tests.mcp_server.mcp_desk import SHOWN, McpDesk

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOST_TOKENS = 5_000
CHARACTERS_PER_TOKEN = 4


@pytest.fixture
def desk(lasting_desk: McpDesk) -> McpDesk:
    return lasting_desk


async def tools(desk: McpDesk, **more: Any) -> dict[str, dict[str, Any]]:
    listed = (await desk.ask("tools/list", **more)).result["tools"]
    return {tool["name"]: tool for tool in listed}


async def whole(desk: McpDesk) -> dict[str, dict[str, Any]]:
    """Every tool there is, as a key sees them to which every operation is named."""
    key = await desk.gateway.key(desk.account, scopes=Scopes(operations=frozenset(OPERATIONS)))
    return await tools(desk, key=key)


async def test_every_operation_is_a_tool_in_the_order_of_the_table(desk: McpDesk) -> None:
    assert list(await whole(desk)) == [snake_case(name) for name in OPERATIONS]


async def test_what_has_to_be_named_to_a_key_is_shown_to_no_other(desk: McpDesk) -> None:
    assert list(await tools(desk)) == SHOWN
    assert "milo_send_tokens" not in SHOWN


async def test_the_list_is_small_enough_for_a_models_context(desk: McpDesk) -> None:
    trading = (await desk.ask("tools/list", query="?tools=market,account,orders,manage")).text
    assert len(trading) / CHARACTERS_PER_TOKEN < MOST_TOKENS
    everything = (await desk.ask("tools/list")).text
    assert len(everything) / CHARACTERS_PER_TOKEN < 3 * MOST_TOKENS


async def test_a_tool_takes_what_its_operation_takes(desk: McpDesk) -> None:
    listed = await whole(desk)
    for name, operation in OPERATIONS.items():
        schema = listed[snake_case(name)]["inputSchema"]
        taken = {field.encode_name for field in msgspec.structs.fields(operation.request)}
        assert set(schema.get("properties", {})) == taken - {"operation"}, name
        assert set(schema.get("required", ())) <= set(operation.example), name


async def test_schemas_are_plain_and_whole(desk: McpDesk) -> None:
    for name, tool in (await tools(desk)).items():
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            assert schema["type"] == "object", name
            assert not re.search(r'"(\$ref|anyOf|oneOf|prefixItems|format|pattern)"', json.dumps(schema)), name
        # An error is an answer too, and has none of these fields.
        assert "required" not in tool["outputSchema"], name


async def test_sizes_and_prices_are_strings_with_their_unit(desk: McpDesk) -> None:
    order = (await tools(desk))["place_limit_order"]["inputSchema"]["properties"]
    assert order["size"] == {"type": "string", "description": "Base units", "examples": ["0.01"]}
    assert order["price"]["type"] == "string"
    assert "retry" in order["clientOrderId"]["description"]
    candles = (await tools(desk))["get_candles"]["inputSchema"]["properties"]
    assert candles["interval"]["enum"] == ["1", "5", "15", "60", "240", "1440"]
    assert candles["limit"] | {"description": ""} == {
        "type": "integer",
        "default": 100,
        "minimum": 1,
        "maximum": 500,
        "description": "",
    }


async def test_tools_speak_of_each_other_by_their_own_names(desk: McpDesk) -> None:
    hello = (await desk.ask("initialize", {"protocolVersion": "2025-11-25"})).result["instructions"]
    for text in (hello, json.dumps(await tools(desk))):
        for name in OPERATIONS:
            assert not re.search(rf"\b{name}\b", text), name


async def test_placing_tools_say_what_unknown_means(desk: McpDesk) -> None:
    for name, tool in (await tools(desk)).items():
        assert ("UNKNOWN: it may be live" in tool["description"]) == name.startswith("place_"), name


async def test_no_text_of_a_tool_speaks_of_http(desk: McpDesk) -> None:
    for name, tool in (await tools(desk)).items():
        assert "HTTP" not in json.dumps(tool), name


async def test_hints_tell_readers_from_writers_and_what_may_be_repeated(desk: McpDesk) -> None:
    listed = await whole(desk)
    for name, operation in OPERATIONS.items():
        # What is left out is as the protocol says: false, true, false, true.
        hints = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
        hints |= listed[snake_case(name)]["annotations"]
        assert hints["readOnlyHint"] == operation.read_only, name
        if not operation.read_only:
            assert hints["destructiveHint"] == operation.destructive, name
            assert hints["idempotentHint"] == operation.idempotent, name
        assert hints["openWorldHint"] == (name != "listCredentials"), name


async def test_a_key_sees_only_the_tools_it_may_use(desk: McpDesk) -> None:
    narrow = Scopes(operations=frozenset({"getBalance", "placeLimitOrder"}))
    key = await desk.gateway.key(desk.account, scopes=narrow)
    assert list(await tools(desk, key=key)) == ["get_balance", "place_limit_order"]
    assert list(await tools(desk, key=await desk.another_key(scopes=Scopes(operations=frozenset())))) == []
    assert len(await tools(desk, key=await desk.another_key(Tier.PRO))) == len(SHOWN)
    denied = await desk.call("get_orders", desk.with_credential(), key=key)
    assert denied.structured["code"] == "OPERATION_NOT_ALLOWED"


async def test_groups_narrow_the_list_and_what_may_be_called(desk: McpDesk) -> None:
    for group, word in GROUP_WORDS.items():
        expected = [name for name in SHOWN if OPERATIONS_BY_TOOL[name] == group]
        assert list(await tools(desk, query=f"?tools={word}")) == expected
    both = await tools(desk, query="?tools=market,orders")
    assert {OPERATIONS_BY_TOOL[name] for name in both} == {Group.MARKET_DATA, Group.PLACEMENT}
    outside = await desk.call("place_limit_order", desk.limit(), query="?tools=market")
    assert outside.error["code"] == -32602
    assert desk.venue.sent == []


OPERATIONS_BY_TOOL = {snake_case(o.name): o.group for o in OPERATIONS.values()}


@pytest.mark.parametrize("query", ["?tools=trading", "?tools=", "?tools=market&x=1", "?tool=market"])
async def test_a_group_that_there_is_not_is_told(desk: McpDesk, query: str) -> None:
    answer = await desk.ask("tools/list", query=query)
    assert (answer.status, answer.error["data"]["code"]) == (400, "INVALID_PARAMETER")


async def test_every_group_of_the_table_has_a_word() -> None:
    assert set(GROUP_WORDS) == set(Group)
    assert len(set(GROUP_WORDS.values())) == len(GROUP_WORDS)
    assert groups_of("") is None
    with pytest.raises(InvalidParameter):
        groups_of("tools=frobnicate")


async def test_a_list_is_encoded_once_for_each_shape_of_key(desk: McpDesk) -> None:
    catalog = Catalog(OPERATIONS)
    principals = [
        await desk.gateway.gateway.authenticator.authenticate(await desk.another_key(), None, "") for _ in range(2)
    ]
    assert principals[0].account_id != principals[1].account_id
    first, second = (catalog.listed(principal, None) for principal in principals)
    assert first is second
    assert catalog.listed(None, None) is catalog.listed(None, None)


async def test_without_a_key_there_are_the_public_tools_only() -> None:
    public = msgspec.structs.replace(OPERATIONS["getMarkets"], public=True)
    catalog = Catalog({**OPERATIONS, "getMarkets": public})
    shown = ["get_markets", "milo_request_siwx_message", "milo_signup"]
    assert [tool["name"] for tool in json.loads(catalog.listed(None, None))] == shown
    assert json.loads(catalog.listed(None, groups_of("tools=account"))) == []
