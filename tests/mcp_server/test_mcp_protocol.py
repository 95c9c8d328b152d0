from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.calls import ToolCall
from mcp_server.protocol import Kind, RpcError, event, read
from mcp_server.results import complete, of_body

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=20))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=4)
IDS = st.one_of(st.integers(-(2**62), 2**62), st.text(max_size=12))


@settings(max_examples=100, deadline=None)
@given(IDS, st.text(max_size=20), OBJECTS, st.booleans(), st.booleans())
def test_whatever_is_sent_properly_is_read_as_it_was_sent(
    id: int | str, method: str, params: dict[str, Any], ascii_only: bool, spaced: bool
) -> None:
    body = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
    text = json.dumps(body, ensure_ascii=ascii_only, indent=2 if spaced else None)
    try:
        sent = text.encode()
    except UnicodeEncodeError:
        return
    message = read(sent)
    assert (message.kind, json.loads(message.id), message.method) == (Kind.REQUEST, id, method)
    assert {name: json.loads(bytes(raw)) for name, raw in message.params.items()} == params


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80) | OBJECTS.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_sent_it_is_a_message_or_an_error_with_400(body: bytes) -> None:
    refused = refusal_of(body)
    if refused is not None:
        assert refused.status == 400
        assert json.loads(refused.body())["error"]["code"] in (-32700, -32600, -32602)


def refusal_of(body: bytes) -> RpcError | None:
    try:
        read(body)
    except RpcError as error:
        return error
    return None


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["jsonrpc", "id", "method", "params", "extra"]), OBJECTS)
def test_a_name_that_stands_twice_is_refused(name: str, params: dict[str, Any]) -> None:
    members = {"jsonrpc": "2.0", "id": 1, "method": "m", "params": params, "extra": "a:b"}
    parts = [f"{json.dumps(key)}:{json.dumps(value)}" for key, value in members.items()]
    parts.append(f"{json.dumps(name)}:{json.dumps(members[name])}")
    refused = refusal_of(("{" + ",".join(parts) + "}").encode())
    assert refused is not None
    assert refused.code == -32600


@settings(max_examples=50, deadline=None)
@given(OBJECTS, st.text(max_size=20))
def test_arguments_become_a_body_with_the_operation_in_it(arguments: dict[str, Any], name: str) -> None:
    for indent in (None, 1):
        raw = json.dumps(arguments, indent=indent).encode()
        pairs = json.loads(ToolCall(name, None, raw).body(), object_pairs_hook=list)
        assert pairs[0] == ("operation", f"tools/{name}") or pairs[0] == ["operation", f"tools/{name}"]
        assert len(pairs) == 1 + len(arguments)


@settings(max_examples=50, deadline=None)
@given(OBJECTS, st.booleans(), st.booleans())
def test_a_result_has_its_body_twice(body: dict[str, Any], is_error: bool, modern: bool) -> None:
    raw = json.dumps(body).encode()
    result = json.loads(complete(of_body(raw, is_error=is_error), modern=modern))
    assert result["structuredContent"] == json.loads(result["content"][0]["text"]) == body
    assert result["isError"] is is_error
    assert ("resultType" in result) == modern
    assert complete(b"{}", modern=False) == b"{}"
    assert json.loads(complete(b"{}", modern=True))["resultType"] == "complete"


def test_an_event_is_one_line_of_data() -> None:
    assert event(b'{"a":"\\n"}') == b'event: message\ndata: {"a":"\\n"}\n\n'
