"""The one decoder and the one encoder: bytes to a typed request, replies and errors to bytes.

Reading has two steps, because whether the caller may ask is settled between them: ``Codec.read`` finds which operation
is asked for, ``Envelope.request`` decodes its parameters.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.complaints import RequestShape
from gateway.operations.table import Operation
from gateway.operations.wire import Reply, Request
from normalization.errors import GatewayError, InvalidJson, InvalidParameter, MissingOperation, UnknownOperation

_NOT_JSON: Final = "The request body is not valid JSON"

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder: Final = msgspec.json.Encoder()


class _Row:
    """An operation with what decoding it needs, made once."""

    __slots__ = ("decoder", "operation", "shape")

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.decoder = msgspec.json.Decoder(operation.request)
        self.shape = RequestShape(operation.name, operation.request)


class Envelope:
    """A body whose operation is known and whose parameters are not decoded yet."""

    __slots__ = ("_body", "_row", "operation")

    def __init__(self, body: bytes, row: _Row) -> None:
        self.operation = row.operation
        self._body = body
        self._row = row

    def request(self) -> Request:
        """:raises InvalidParameter: with the wire path of the field and what was expected there."""
        try:
            request = self._row.decoder.decode(self._body)
        except msgspec.ValidationError as error:
            raise self._row.shape.complaint(error) from None
        if _may_hold_lenient_number(self._body):
            self._row.shape.require_strict_numbers(json.loads(self._body, parse_int=str, parse_float=str))
        return request


class Codec:
    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._names = list(operations)
        # By their names as JSON has them.
        self._rows = {msgspec.json.encode(name): _Row(operation) for name, operation in operations.items()}

    def read(self, body: bytes) -> Envelope:
        """:raises InvalidJson, MissingOperation, UnknownOperation:"""
        named = _read_members(body).get("operation")
        if named is None:
            raise MissingOperation("The body needs an operation field, such as getBalance")
        return Envelope(body, self._rows.get(bytes(named)) or self._row(named))

    def _row(self, named: msgspec.Raw) -> _Row:
        """The row of a name that is spelled in another way, with escapes; or what is wrong with it."""
        try:
            name = msgspec.json.decode(named, type=str)
        except msgspec.ValidationError:
            raise InvalidParameter("operation", "the name of an operation as a string") from None
        row = self._rows.get(msgspec.json.encode(name))
        if row is not None:
            return row
        nearest = difflib.get_close_matches(name[:64], self._names, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(nearest)}?" if nearest else "GET /docs lists them all."
        raise UnknownOperation(f"There is no operation {name[:64]!a}. {hint}", details={"suggestions": nearest})


def encode(reply: Reply) -> bytes:
    return _encoder.encode(reply)


def encode_error(error: GatewayError) -> bytes:
    """The envelope of every error: ``{"success": false, "code", "error"}`` and, where there are any, ``details``."""
    body: dict[str, Any] = {"success": False, "code": error.code, "error": error.message}
    if error.details:
        body["details"] = error.details
    return _encoder.encode(body)


def _read_members(body: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        if not body.isascii():
            body.decode()
        members = _members.decode(body)
    except msgspec.ValidationError:
        raise InvalidJson("The request body must be a JSON object") from None
    except UnicodeDecodeError:
        raise InvalidJson(f"{_NOT_JSON}: it is not UTF-8") from None
    except RecursionError:
        raise InvalidJson(f"{_NOT_JSON}: it is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise InvalidJson(f"{_NOT_JSON}: {str(error).removeprefix('JSON is malformed: ')}") from None
    # Every member brings a colon of its own, so as many colons as distinct names means that no name came twice.
    if body.count(b":") != len(members):
        _refuse_duplicate_names(body)
    return members


def _may_hold_lenient_number(body: bytes) -> bool:
    """Whether a decimal string may hold more than a number: 1_000, " 1", "1 ", full-width digits, escapes.

    Of the spaces in it, those after a colon or a comma are not in a number.
    """
    spaces = body.count(b" ")
    return (
        not body.isascii()
        or b"_" in body
        or b"\\" in body
        or (spaces > 0 and spaces != body.count(b": ") + body.count(b", "))
    )


def _refuse_duplicate_names(body: bytes) -> None:
    """:raises InvalidJson: where any object, at any depth, has a name twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            raise InvalidJson(f"The field {twice[:64]!a} stands twice in one object of the request body")
        return members

    try:
        json.loads(body, object_pairs_hook=unique, parse_int=str, parse_float=str)
    except RecursionError:
        raise InvalidJson(f"{_NOT_JSON}: it is nested too deeply") from None
    except ValueError:
        raise InvalidJson(_NOT_JSON) from None
