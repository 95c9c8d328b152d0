"""What is wrong with a request, in the words of the documentation: msgspec's complaint, with the field's own type."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import inspect

from gateway.operations.wire import Request
from normalization.errors import InvalidParameter

_PATH: Final = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)
_UNKNOWN_FIELD: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING_FIELD: Final = re.compile(r"Object missing required field `(.*)`")
_GOT: Final = re.compile(r", got `(.*)`")
_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_LONGEST_PATH: Final = 100
_ID_LENGTH: Final = re.compile(r"\{1,(\d+)\}")
_STRICT_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class RequestShape:
    """What one operation's request takes, for telling a caller what was expected where."""

    def __init__(self, name: str, request: type[Request]) -> None:
        self._name = name
        self._root = inspect.type_info(request)

    def complaint(self, error: msgspec.ValidationError) -> InvalidParameter:
        text = str(error)
        located = _PATH.search(text)
        # A field's name may look like a path, and be as long as a body.
        path = located.group(1)[:_LONGEST_PATH] if located else ""
        if located:
            text = text[: located.start()]
        if unknown := _UNKNOWN_FIELD.fullmatch(text):
            return self._unknown_field(path, unknown.group(1))
        if missing := _MISSING_FIELD.fullmatch(text):
            path = _join(path, missing.group(1))
            expected = self._expected(path)
            return InvalidParameter(path, expected, message=f"{path} is missing: expected {expected}")
        expected = self._expected(path)
        got = _GOT.search(text)
        return InvalidParameter(
            path, expected, message=f"{path}: expected {expected}" + (f", got {got.group(1)}" if got else "")
        )

    def require_strict_numbers(self, document: dict[str, Any]) -> None:
        """:raises InvalidParameter: for a decimal string that Python reads and a trader may not mean: ``1_000``."""
        for path, text in _decimal_strings(document, self._root, ""):
            if not _STRICT_NUMBER.fullmatch(text):
                raise InvalidParameter(path, "a decimal string, such as 0.01")

    def _unknown_field(self, path: str, name: str) -> InvalidParameter:
        known = [field.encode_name for field in _fields(self._type_at(path))]
        nearest = difflib.get_close_matches(name[:64], known, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]}?" if nearest else f"it takes {', '.join(known)}"
        shown = name[:64].encode("ascii", "backslashreplace").decode()
        return InvalidParameter(
            _join(path, shown),
            f"one of {', '.join(known)}",
            message=f"{self._name} has no field {_join(path, shown)!r}: {hint}",
            suggestions=nearest,
        )

    def _expected(self, path: str) -> str:
        return describe(self._type_at(path))

    def _type_at(self, path: str) -> inspect.Type:
        here = _bare(self._root)
        for name, _ in _STEP.findall(path):
            if isinstance(here, inspect.ListType):
                here = _bare(here.item_type)
            if name:
                here = next((_bare(f.type) for f in _fields(here) if f.encode_name == name), here)
        return here


def describe(type_info: inspect.Type) -> str:
    """What a caller may write there, as a short phrase."""
    match _bare(type_info):
        case inspect.EnumType(cls=cls):
            return _one_of([str(member.value) for member in cls])
        case inspect.LiteralType(values=values):
            return _one_of([str(value) for value in values if isinstance(value, str)])
        case inspect.UUIDType():
            return "a UUID, as listCredentials shows it"
        case inspect.DecimalType():
            return "a decimal string, such as 0.01"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=int(low), le=int(high)):
            return f"an integer from {low} to {high}"
        case inspect.IntType():
            return "an integer"
        case inspect.StrType(pattern=str(pattern)) if longest := _ID_LENGTH.search(pattern):
            return f"1 to {longest.group(1)} printable ASCII characters without spaces"
        case inspect.StrType(max_length=int(longest)):
            return f"a string of 1 to {longest} characters"
        case inspect.StrType():
            return "a string"
        case inspect.ListType(min_length=int(least), max_length=int(most)):
            return f"a list of {least} to {most} objects"
        case _:
            return "an object"


def _one_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _bare(type_info: inspect.Type) -> inspect.Type:
    """Without annotations, and without the None of an optional field."""
    if isinstance(type_info, inspect.Metadata):
        return _bare(type_info.type)
    if isinstance(type_info, inspect.UnionType):
        return next((_bare(t) for t in type_info.types if not isinstance(t, inspect.NoneType)), type_info)
    return type_info


def _fields(type_info: inspect.Type) -> tuple[inspect.Field, ...]:
    return type_info.fields if isinstance(type_info, inspect.StructType) else ()


def _decimal_strings(value: Any, type_info: inspect.Type, path: str) -> Iterator[tuple[str, str]]:
    bare = _bare(type_info)
    if isinstance(bare, inspect.DecimalType) and isinstance(value, str):
        yield path, value
    elif isinstance(bare, inspect.ListType) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _decimal_strings(item, bare.item_type, f"{path}[{index}]")
    elif isinstance(value, dict):
        for field in _fields(bare):
            if field.encode_name in value:
                yield from _decimal_strings(value[field.encode_name], field.type, _join(path, field.encode_name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
