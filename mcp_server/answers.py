"""How a call is answered: at once, as events that tell how it goes, or after a person was asked.

What needs a person's yes runs twice through the pipeline: first to learn that it does, then with the answer. In between
nothing is held but the question, and the second time everything is looked at anew: the key, the limits, the credential.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from gateway.clock import Clock
from gateway.orders.client_ids import new_client_order_id
from gateway.orders.confirmation import ConfirmationRequired
from gateway.pipeline import Trace
from mcp_server import confirmations, protocol, results
from mcp_server.asked import Asked, InFlight
from mcp_server.calls import ToolCall, ToolCalls
from mcp_server.confirmations import RequestStates, Verdict
from mcp_server.envelope import client_capabilities
from mcp_server.protocol import INVALID_PARAMS, RpcError
from mcp_server.questions import Question, Said
from mcp_server.sessions import Session, Sessions
from mcp_server.streams import Events, Progress
from mcp_server.wire import Replies, Reply
from normalization.errors import GatewayError, OperationNotAllowed

KEEP_ALIVE_S: Final = 15.0


class Answers:
    def __init__(
        self,
        calls: ToolCalls,
        sessions: Sessions,
        request_states: RequestStates,
        replies: Replies,
        in_flight: InFlight,
        clock: Clock,
    ) -> None:
        self._calls = calls
        self._sessions = sessions
        self._request_states = request_states
        self._replies = replies
        self._in_flight = in_flight
        self._clock = clock

    async def answer(self, asked: Asked, call: ToolCall, session: Session | None = None) -> Reply:
        """:raises RpcError: its ``requestState`` is none of ours, or it needs a capability that the client has not."""
        verdict = Verdict.NOT_SAID
        state = asked.message.text("requestState") if asked.modern else None
        if state is not None:
            call = self._request_states.resumed(state, call, asked.credentials)
            verdict = confirmations.verdict(confirmations.said_in(asked.message))
        if verdict is Verdict.NO:
            return self._replies.message(_refused(asked, confirmations.declined()), asked.trace, asked.accepts)
        events = Events(asked.request, asked.trace.request_id)
        carry_out = self._carried_out if asked.request is None else self._told
        try:
            body = await carry_out(asked, call, session, events, confirmed=verdict is Verdict.YES)
        except RpcError as error:
            if events.response is None:
                raise
            body = error.body()
        if events.response is None:
            return self._replies.message(body, asked.trace, asked.accepts)
        with contextlib.suppress(ConnectionError):
            # Nobody may be reading any more, but what was begun was finished and accounted for.
            await events.send(body)
        return events.response

    async def _told(
        self, asked: Asked, call: ToolCall, session: Session | None, events: Events, *, confirmed: bool
    ) -> bytes:
        """What comes of the call, as the whole answer; meanwhile how it goes, where the client wants to hear that."""
        token = None if call.is_read_only or not asked.accepts.stream else asked.message.progress_token()
        if token is None:
            return await self._carried_out(asked, call, session, events, confirmed=confirmed)
        with contextlib.suppress(ConnectionError):
            await events.open()
        work = asyncio.create_task(self._carried_out(asked, call, session, events, confirmed=confirmed))
        with contextlib.suppress(ConnectionError):
            await Progress(token).tell(events, work, asked.trace.timings)
        return await work

    async def _carried_out(
        self, asked: Asked, call: ToolCall, session: Session | None, events: Events, *, confirmed: bool
    ) -> bytes:
        try:
            return await self._performed(asked, call, asked.trace, confirmed=confirmed)
        except ConfirmationRequired as needed:
            if asked.modern:
                if not confirmations.can_be_asked(client_capabilities(asked.message)):
                    raise confirmations.missing_capability(needed, asked.id) from None
                result = self._request_states.input_required(needed, call, asked.credentials)
                return protocol.result(asked.id, result)
            if session is None or not session.can_be_asked or not asked.accepts.stream:
                return _refused(asked, confirmations.cannot_ask(needed))
            refusal = await self._asked(asked, needed, session, events)
        if refusal is not None:
            return _refused(asked, refusal)
        call = call.with_client_order_id(new_client_order_id())
        return await self._performed(asked, call, Trace(asked.trace.request_id, self._clock), confirmed=True)

    async def _performed(self, asked: Asked, call: ToolCall, trace: Trace, *, confirmed: bool) -> bytes:
        result = await self._calls.perform(call, asked.credentials, trace, confirmed=confirmed)
        if result is None:
            return RpcError(INVALID_PARAMS, self._calls.unknown(call), id=asked.id).body()
        return protocol.result(asked.id, results.complete(result, modern=asked.modern))

    async def _asked(
        self, asked: Asked, needed: ConfirmationRequired, session: Session, events: Events
    ) -> OperationNotAllowed | None:
        """Ask a person over the call's own stream. Why it may not be placed, or None: they said yes."""
        try:
            with (
                session.questions.asked(asked.id) as question,
                self._sessions.heard(session, question),
                self._in_flight.waiting(),
            ):
                await events.open()
                await events.send(
                    protocol.request(question.id, confirmations.METHOD, confirmations.question_of(needed))
                )
                said = await _answer_to(question, events)
        except OperationNotAllowed as too_many:
            return too_many
        except ConnectionError:
            return confirmations.unanswered()
        verdict = confirmations.verdict(said)
        if verdict is Verdict.NOT_SAID or asked.is_client_gone:
            # One who does not wait for the order any more would not learn of it.
            return confirmations.unanswered()
        return confirmations.declined() if verdict is Verdict.NO else None


async def _answer_to(question: Question, events: Events) -> Said | None:
    """:raises ConnectionError: the client is gone."""
    events.asks_a_person = True
    try:
        async with asyncio.timeout(confirmations.ANSWER_WITHIN_S):
            while not (await asyncio.wait({question.answer}, timeout=KEEP_ALIVE_S))[0]:
                await events.keep_alive()
    except TimeoutError:
        return None
    finally:
        events.asks_a_person = False
    return question.answer.result()


def _refused(asked: Asked, error: GatewayError) -> bytes:
    return protocol.result(asked.id, results.complete(results.of_error(error), modern=asked.modern))
