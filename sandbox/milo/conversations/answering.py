"""From a question that waits to its answer, outside the venue's thread.

What waits is in the database: a process that dies leaves it waiting, and the next start takes it up. The answer, what
it changes in the user's settings, and the end of the waiting are one transaction. Nothing that an agent does leaves a
conversation waiting for ever.
"""

from __future__ import annotations

import logging
from typing import Final

from sandbox.milo.agents.agent import Agent, Answer, Question, Role
from sandbox.milo.autotrade import settings
from sandbox.milo.conversations import payments, records
from sandbox.milo.conversations.briefing import facts_for
from sandbox.milo.conversations.records import QuestionAsked
from sandbox.milo.core import Core, Runner
from sandbox.milo.errors import ApiError
from sandbox.milo.parts import Part

_REMEMBERED: Final = 24
_FAILED: Final = (
    "I could not answer that: something went wrong in the sandbox, and its log says what. Please ask again."
)

_log = logging.getLogger(__name__)


def part(agent: Agent) -> Part:
    """Conversations that ``agent`` answers."""

    def start(core: Core) -> None:
        core.events.subscribe(QuestionAsked, lambda event: answer_soon(core, event.number))
        for number in records.pending(core.db):
            answer_soon(core, number)

    def answer_soon(core: Core, number: int) -> None:
        async def work(runner: Runner) -> None:
            await _answer(runner, agent, number)

        core.spawn(work)

    return Part(name="conversations", schema=f"{records.SCHEMA};{payments.SCHEMA}", start=start)


async def _answer(runner: Runner, agent: Agent, number: int) -> None:
    question = await runner.run(lambda core: _question(core, number))
    try:
        answer = await agent.answer(question)
    except Exception:
        _log.exception("the agent failed at a question")
        answer = Answer(text=_FAILED)
    await runner.run(lambda core: _deliver(core, number, answer))


def _question(core: Core, number: int) -> Question:
    message = records.message(core.db, number)
    conversation = records.find(core.db, message.conversation_id)
    return Question(
        text=message.content,
        agent_type=conversation.agent_type,
        earlier=records.said_before(core.db, message, _REMEMBERED),
        facts=facts_for(core, conversation.user_id),
    )


def _deliver(core: Core, number: int, answer: Answer) -> None:
    message = records.message(core.db, number)
    text = answer.text
    if answer.change is not None:
        user_id = records.find(core.db, message.conversation_id).user_id
        try:
            with core.undoable():
                settings.change(core, user_id, answer.change)
        except ApiError as refusal:
            text = f"I did not change that: {refusal.message}."
    records.add(core, message.conversation_id, Role.ASSISTANT, text)
    records.answered(core.db, number)
