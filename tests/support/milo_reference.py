"""The partner API's own document, read for its examples: what it asks with curl, and the JSON that it answers with."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

REFERENCE: Final = Path(__file__).parents[3] / "shared" / "reference" / "milo-partner-api.md"

_ENDPOINT: Final = re.compile(r"^`(GET|POST|PATCH|DELETE) (/api/v1/\S+)`$", re.MULTILINE)
_CURL: Final = re.compile(r"^```bash\n(curl .*?)\n```", re.MULTILINE | re.DOTALL)
_RESPONSE: Final = re.compile(r"^\*\*Response(?: \((\d+)\))?:\*\*\n\n```json\n(.*?)\n```", re.MULTILINE | re.DOTALL)
_PREFIX: Final = "/api/v1"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")


class Asked(msgspec.Struct, frozen=True):
    """``path`` with its query, after ``/api/v1``; ``body`` and ``headers`` as they stand there."""

    method: str
    path: str
    body: str | None
    headers: dict[str, str]


class Example(msgspec.Struct, frozen=True):
    """An endpoint: how it is asked (once without a body where nothing is shown), and its answer where that is shown."""

    method: str
    path: str
    asked: list[Asked]
    status: int | None
    answer: Any


def examples() -> Iterator[Example]:
    text = REFERENCE.read_text().partition("### Pagination")[0]
    places = list(_ENDPOINT.finditer(text))
    for place, following in zip(places, [*places[1:], None], strict=True):
        section = text[place.end() : following.start() if following else None]
        method, path = place[1], place[2].removeprefix(_PREFIX)
        answer = _RESPONSE.search(section)
        yield Example(
            method,
            path,
            [_asked(curl) for curl in _CURL.findall(section)] or [Asked(method, path, None, {})],
            int(answer[1]) if answer and answer[1] else None,
            json.loads(answer[2].replace("[ ... ]", "[]")) if answer else None,
        )


def differences(shown: Any, told: Any, at: str = "") -> list[str]:
    """Where an answer has not what the example has: a field, its type, or how it is written. It may have more."""
    match shown:
        case dict():
            if not isinstance(told, dict):
                return [f"{at}: expected an object, not {told!r}"]
            missing = [f"{at}.{name} is missing" for name in shown.keys() - told.keys()]
            return missing + [
                found
                for name in shown.keys() & told.keys()
                for found in differences(shown[name], told[name], f"{at}.{name}")
            ]
        case list():
            if not isinstance(told, list) or (shown and not told):
                return [f"{at}: expected a list with something in it, not {told!r}"]
            return [found for one in told if shown for found in differences(shown[0], one, f"{at}[]")]
        case bool() | None:
            return [] if type(told) is type(shown) else [f"{at}: expected {shown!r}, not {told!r}"]
        case int() | float():
            is_number = isinstance(told, int | float) and not isinstance(told, bool)
            return [] if is_number else [f"{at}: expected a number, not {told!r}"]
        case _:
            return _differences_of_text(str(shown), told, at)


def _differences_of_text(shown: str, told: Any, at: str) -> list[str]:
    form = _UUID if shown == "uuid" else next((form for form in (_TIME, _NUMBER) if form.fullmatch(shown)), None)
    if not isinstance(told, str) or (form is not None and not form.fullmatch(told)):
        return [f"{at}: expected a text like {shown!r}, not {told!r}"]
    return []


def _asked(curl: str) -> Asked:
    words = iter(shlex.split(curl.replace("\\\n", " "))[1:])
    method, url, body, headers = "GET", "", None, dict[str, str]()
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words)
            case _:
                url = word
    return Asked(method, url.partition(_PREFIX)[2], body, headers)
