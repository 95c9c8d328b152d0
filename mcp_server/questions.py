"""What a client was asked over its session, on the way of a call, and has not answered yet."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec

from normalization.errors import OperationNotAllowed

MOST_AT_ONCE: Final = 8

Said = Mapping[str, msgspec.Raw]


class Question:
    """``answer`` is the result that the client sent, or None where there will be none. ``about`` is the call's id."""

    def __init__(self, about: bytes) -> None:
        # Other workers have questions of their own, over the same session perhaps.
        self.id = f"question-{secrets.token_hex(8)}"
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

    def answered(self, id: bytes, answer: Said) -> bool:
        """Whether ``id``, as JSON, is that of one of these. An answer to anything else is of no concern here."""
        question = (self._open or {}).get(id)
        if question is not None:
            question.settle(answer)
        return question is not None

    def withdrawn(self, about: bytes) -> bool:
        """The client does not wait for the call with this id any more; whether one of these is about it."""
        questions = [question for question in self._waiting() if question.about == about]
        for question in questions:
            question.settle(None)
        return bool(questions)

    def end(self) -> None:
        for question in self._waiting():
            question.settle(None)

    def _waiting(self) -> list[Question]:
        return list((self._open or {}).values())
