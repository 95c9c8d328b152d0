"""One venue's requests and replies over a small book."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from adapters.ccxt_venues.venue import Row
from normalization.venue_failures import Reason
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.recorded.book import Book, Refused
from tests.adapters.ccxt.recording_server import Answer, Sent, said

Reply = Callable[..., Any]


class Wire:
    """``routes`` are by method and a pattern of the path, whose groups become arguments of the reply.

    ``secrets`` are those of a credential that it takes. ``places`` are the requests that place an order, ``refuses``
    how it tells each reason. What is in ``instead``, by such a pattern, is answered whatever was asked. ``row`` is the
    venue's where it cannot be the one that is listed.
    """

    row: Row | None = None

    def __init__(
        self, *, secrets: Mapping[str, str], places: tuple[str, ...], refuses: Mapping[Reason, Answer]
    ) -> None:
        self.secrets = secrets
        self.places = places
        self.refuses = refuses
        self.book = Book()
        self.routes: dict[str, Reply] = {}
        self.instead: dict[str, Answer] = {}

    def answer(self, sent: Sent) -> Answer:
        asked = f"{sent.method} {path_of(sent)}"
        for pattern, answer in self.instead.items():
            if re.fullmatch(pattern, asked):
                return answer
        for pattern, reply in self.routes.items():
            if matched := re.fullmatch(pattern, asked):
                try:
                    found = reply(sent, *matched.groups())
                except Refused as refusal:
                    return self.refuses[refusal.reason]
                return found if isinstance(found, Answer) else said(found)
        raise AssertionError(f"nothing answers {asked}")


def query(sent: Sent) -> dict[str, str]:
    return dict(parse_qsl(sent.path.partition("?")[2]))
