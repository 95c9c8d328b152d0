"""What a client was asked over its session, on the way of a call, and has not answered yet."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec

from normalization.errors import OperationNotAllowed

MOST_AT_ONCE: Final = 8

Said = Mapping[str, msgspec.Raw]

_numbers: Final = itertools.count(1)


class Question:
    """``answer`` is the result that the client sent, or None where there will be none. ``about`` is the call's id."""

    def __init__(self, about: bytes) -> None:
        self.id = f"question-{next(_numbers)}"
        self.about = about
        self.answer: asyncio.Future[Said | None] = asyncio.get_running_loop().create_future()

    def settle(self, answer: Said | None) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


class Questions:
    """Those of one session. Most sessions never have one."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[bytes, Question] | None = None

    @contextmanager
    def asked(self, about: bytes) -> Iterator[Question]:
        """A question that can be answered while the block runs.

        :raises OperationNotAllowed: too many wait for an answer already.
        """
        if self._open is None:
            self._open = {}
        if len(self._open) >= MOST_AT_ONCE:
            raise OperationNotAllowed(
                f"{MOST_AT_ONCE} questions wait for a person's answer already. Nothing was sent.",
                details={"reason": "CONFIRMATION_REQUIRED"},
            )
        question = Question(about)
        key = msgspec.json.encode(question.id)
        self._open[key] = question
        try:
            yield question
        finally:
            del self._open[key]

    def answered(self, id: bytes, answer: Said) -> None:
        """``id`` is the question's, as JSON. An answer to something else is nobody's concern."""
        if self._open and (question := self._open.get(id)):
            question.settle(answer)

    def withdrawn(self, about: bytes) -> None:
        """The client does not wait for the call with this id any more."""
        for question in self._waiting():
            if question.about == about:
                question.settle(None)

    def end(self) -> None:
        for question in self._waiting():
            question.settle(None)

    def _waiting(self) -> list[Question]:
        return list((self._open or {}).values())
