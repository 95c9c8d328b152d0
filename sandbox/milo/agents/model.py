"""Any OpenAI-compatible endpoint as the agent. What it cannot do in time, or at all, ends as a message that says so.

The model is given the figures that the built-in analyst computes for the question, so that it need not make up any. It
says things; it never changes settings: a demand for that is recognised by rule, as without a model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from sandbox.milo.agents import analyst
from sandbox.milo.agents.agent import Answer, Question, Role, Said
from sandbox.milo.agents.model_config import ModelConfig

MOST_ANSWER: Final = 8_000
_MOST_REPLY_BYTES: Final = 262_144
_MOST_FACTS: Final = 8_000
_MOST_EARLIER: Final = 12
_MOST_AT_ONCE: Final = 8
_MOST_TOKENS: Final = 1_000

_ROLE: Final = (
    "You are the {kind} of a trading venue on Solana that is a sandbox: its market is simulated and no money is real."
    " Answer in plain text, briefly. Use only the figures below, which were just computed from this venue's market and"
    " the user's account; when they do not answer the question, say so. Never invent a figure.\n\n{facts}"
)

_log = logging.getLogger(__name__)


class _ModelFailed(Exception):
    """Why, in words that can be shown to the user."""


class _Said(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Said


class _Reply(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...]


_decode: Final = msgspec.json.Decoder(_Reply).decode


class ModelAgent:
    """An ``Agent``."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)

    async def answer(self, question: Question) -> Answer:
        own = await asyncio.to_thread(analyst.answer, question)
        if own.change is not None:
            return own
        try:
            async with asyncio.timeout(self._config.timeout_s), self._places:
                text = await self._ask(_messages(question, own.text))
        except TimeoutError:
            return _without_model(f"it did not answer within {self._config.timeout_s:g} seconds", own)
        except _ModelFailed as failure:
            return _without_model(str(failure), own)
        return Answer(text=text)

    async def _ask(self, messages: Sequence[dict[str, str]]) -> str:
        """:raises _ModelFailed: it could not be reached, refused, or answered with something that is no answer."""
        body = msgspec.json.encode({"model": self._config.model, "messages": messages, "max_tokens": _MOST_TOKENS})
        try:
            status, raw = await self._post(body)
        except (aiohttp.ClientError, OSError) as failure:
            _log.warning("the model could not be reached: %s", type(failure).__name__)
            raise _ModelFailed("it could not be reached") from failure
        if status != 200:
            raise _ModelFailed(f"it refused with status {status}")
        try:
            choices = _decode(raw).choices
        except (msgspec.DecodeError, UnicodeDecodeError) as failure:
            raise _ModelFailed("its answer could not be read") from failure
        text = (choices[0].message.content or "").strip() if choices else ""
        if not text:
            raise _ModelFailed("its answer was empty")
        return text[:MOST_ANSWER]

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        if self._config.api_key:
            headers["Authorization"] = f"Bearer {self._config.api_key}"
        url = self._config.base_url.rstrip("/") + "/chat/completions"
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status, await _read(response)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """:raises _ModelFailed: it is larger than any answer."""
    found = bytearray()
    async for part in response.content.iter_any():
        found += part
        if len(found) > _MOST_REPLY_BYTES:
            response.close()
            raise _ModelFailed("its answer was too long")
    return bytes(found)


def _messages(question: Question, facts: str) -> list[dict[str, str]]:
    system = _ROLE.format(kind=question.agent_type.replace("-", " "), facts=facts[:_MOST_FACTS])
    said = (*question.earlier[-_MOST_EARLIER:], Said(Role.USER, question.text))
    return [{"role": "system", "content": system}, *({"role": one.role.value, "content": one.text} for one in said)]


def _without_model(why: str, own: Answer) -> Answer:
    return Answer(text=f"The language model gave no answer: {why}. What I computed from the market myself:\n{own.text}")
