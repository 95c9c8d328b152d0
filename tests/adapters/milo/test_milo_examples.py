"""The answers that the partner API's document shows, as the adapter reads them: every field, with its value."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from adapters.milo.endpoints import ENDPOINTS
from adapters.milo.wire import decoded
from normalization.decimals import plain
from tests.support.milo_reference import REFERENCE, Example, examples

pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason="the partner API's document is not beside the project")


def as_text(value: Any) -> Any:
    """With numbers as the adapter keeps them: as text, wherever the document has them as numbers."""
    match value:
        case dict():
            return {name: as_text(one) for name, one in value.items()}
        case list():
            return [as_text(one) for one in value]
        case bool() | None | str():
            return value
    return plain(Decimal(str(value)))


def is_in(shown: Any, read: Any) -> bool:
    """Whether all that is shown was read; more may have been."""
    if isinstance(shown, dict) and isinstance(read, dict):
        return all(name in read and is_in(value, read[name]) for name, value in shown.items())
    if isinstance(shown, list) and isinstance(read, list):
        return len(shown) == len(read) and all(is_in(*pair) for pair in zip(shown, read, strict=True))
    return bool(shown == read)


def shown_answers() -> list[Example]:
    return [example for example in examples() if example.answer is not None] if REFERENCE.exists() else []


@pytest.mark.parametrize("example", shown_answers(), ids=lambda example: f"{example.method} {example.path}")
def test_what_the_document_shows_is_read_whole(example: Example) -> None:
    endpoint = next(one for one in ENDPOINTS if (one.method, one.path) == (example.method, example.path))
    read = msgspec.to_builtins(decoded(json.dumps(example.answer).encode(), endpoint.reply), str_keys=True)
    assert is_in(as_text(example.answer), as_text(read)), read
