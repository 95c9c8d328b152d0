from __future__ import annotations

import contextlib
import json
import re
from functools import cache
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from gateway.codec import Codec
from gateway.openapi import document, error_classes, prose, summary
from gateway.operations.table import OPERATIONS
from normalization import errors
from normalization.errors import GatewayError, InvalidParameter

Json = dict[str, Any]


@cache
def described() -> Json:
    return document(OPERATIONS, server_url=None)


def post() -> Json:
    found: Json = described()["paths"]["/v1"]["post"]
    return found


def schema_of(ref: Json) -> Json:
    """A schema with everything it may refer to."""
    return {**ref, "components": described()["components"]}


def row(name: str) -> Json:
    found: Json = next(r for r in post()["x-operations"] if r["name"] == name)
    return found


def is_valid(value: Any, schema: Json) -> bool:
    return bool(OAS31Validator(schema).is_valid(value))


def request_schema() -> Json:
    found: Json = post()["requestBody"]["content"]["application/json"]["schema"]
    return schema_of(found)


def test_the_document_is_valid_openapi() -> None:
    validate(described())
    json.dumps(described(), allow_nan=False)


def test_every_operation_and_nothing_else_is_in_the_document() -> None:
    body = post()["requestBody"]["content"]["application/json"]
    names = list(OPERATIONS)
    assert list(body["schema"]["discriminator"]["mapping"]) == names
    assert list(body["examples"]) == names
    assert [r["name"] for r in post()["x-operations"]] == names
    components = described()["components"]["schemas"]
    bodies = [components[ref["$ref"].rpartition("/")[2]] for ref in body["schema"]["oneOf"]]
    assert [schema["properties"]["operation"]["const"] for schema in bodies] == names


def test_every_group_is_a_tag_that_names_its_operations() -> None:
    tags = {tag["name"]: tag["description"] for tag in described()["tags"]}
    for operation in OPERATIONS.values():
        assert operation.name in tags[operation.group].split(", ")
    assert set(post()["tags"]) == {str(operation.group) for operation in OPERATIONS.values()}


def test_every_error_and_its_status_are_in_the_document() -> None:
    tree = {
        e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, GatewayError) and "code" in vars(e)
    }
    assert set(error_classes()) == tree
    shown = {
        (code, int(status))
        for status, response in post()["responses"].items()
        if int(status) >= 400
        for code in response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
    }
    assert shown == {(e.code, e.status) for e in tree if e is not errors.NotFound}
    assert set(described()["components"]["schemas"]["Error"]["properties"]["code"]["enum"]) == {e.code for e in tree}


def test_every_error_says_in_a_sentence_when_it_is_met() -> None:
    for error in error_classes():
        assert re.fullmatch(r"[A-Z].*\.", summary(error)), error


def test_every_error_example_is_an_error() -> None:
    for status, response in post()["responses"].items():
        content = response["content"]["application/json"]
        for example in content.get("examples", {}).values():
            if int(status) >= 400:
                assert is_valid(example["value"], schema_of(content["schema"]))


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_example_of_a_request_is_valid_and_can_be_decoded(name: str) -> None:
    example = post()["requestBody"]["content"]["application/json"]["examples"][name]["value"]
    assert is_valid(example, request_schema())
    assert Codec(OPERATIONS).read(json.dumps(example).encode()).request().operation == name


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_example_of_a_reply_is_a_reply_of_that_operation(name: str) -> None:
    example = post()["responses"]["200"]["content"]["application/json"]["examples"][name]["value"]
    assert is_valid(example, schema_of(row(name)["reply"]))
    msgspec.convert(example, OPERATIONS[name].reply)


def test_a_reply_that_may_be_unknown_is_listed_under_202() -> None:
    listed = {ref["$ref"] for ref in post()["responses"]["202"]["content"]["application/json"]["schema"]["anyOf"]}
    assert row("placeLimitOrder")["reply"]["$ref"] in listed
    assert row("getBalance")["reply"]["$ref"] not in listed


@pytest.mark.parametrize("size", ["0.01", "1e-3", "+.5", 0.01, 1])
def test_a_decimal_may_be_a_string_or_a_number(size: str | float) -> None:
    body = {"operation": "placeMarketOrder", **OPERATIONS["placeMarketOrder"].example, "size": size}
    assert is_valid(body, request_schema())
    Codec(OPERATIONS).read(json.dumps(body).encode()).request()


@pytest.mark.parametrize("size", ["NaN", "Infinity", "-1", "1_000", "", " 1", 0, -1, True, None, []])
def test_what_is_no_positive_decimal_is_neither_valid_nor_decoded(size: object) -> None:
    body = {"operation": "placeMarketOrder", **OPERATIONS["placeMarketOrder"].example, "size": size}
    assert not is_valid(body, request_schema())
    with pytest.raises(InvalidParameter):
        Codec(OPERATIONS).read(json.dumps(body).encode()).request()


def test_a_field_that_an_operation_does_not_have_is_not_valid() -> None:
    body = {"operation": "getBalance", **OPERATIONS["getBalance"].example, "maket": "BTC"}
    assert not is_valid(body, request_schema())


def test_patterns_are_ones_that_every_language_understands() -> None:
    patterns = re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', json.dumps(described()))
    assert patterns
    assert not [p for p in patterns if re.search(r"\\\\[AZzdwsb]", p)]


def test_the_document_names_no_other_host_and_no_field_in_our_spelling() -> None:
    text = json.dumps(described())
    assert "://" not in text
    assert "``" not in text
    assert not re.search(r"`[a-z]+_[a-z_]+`", text.replace("`exchange_type`", ""))


def test_a_server_is_named_where_there_is_one() -> None:
    assert "servers" not in described()
    named = document(OPERATIONS, server_url="https://gateway.example")
    assert named["servers"] == [{"url": "https://gateway.example"}]
    validate(named)


def test_a_docstring_becomes_prose_with_wire_names() -> None:
    assert prose("``trigger_price`` is\n    there; ``NOT_SENT`` too.") == "`triggerPrice` is there; `NOT_SENT` too."


def test_what_schemathesis_makes_of_the_document_is_decoded_or_refused_by_name() -> None:
    codec = Codec(OPERATIONS)
    operation = schemathesis.openapi.from_dict(described())["/v1"]["POST"]
    seen: set[str] = set()

    @given(case=operation.as_strategy())
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    def try_it(case: Any) -> None:
        body = json.dumps(case.body).encode()
        with contextlib.suppress(InvalidParameter):
            seen.add(codec.read(body).request().operation)

    try_it()
    assert seen


@given(name=st.sampled_from(sorted(OPERATIONS)), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_request_without_a_required_field_is_neither_valid_nor_decoded(name: str, data: st.DataObject) -> None:
    required = described()["components"]["schemas"][row(name)["request"]["$ref"].rpartition("/")[2]]["required"]
    body = {"operation": name, **OPERATIONS[name].example}
    missing = data.draw(st.sampled_from(required))
    del body[missing]
    assert not is_valid(body, request_schema())
    with pytest.raises(errors.RequestError):
        Codec(OPERATIONS).read(json.dumps(body).encode()).request()
