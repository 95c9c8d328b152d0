"""``/users/{userId}/conversations``: create, list, get, send a message, read the messages."""

from __future__ import annotations

from typing import Final

import msgspec

from sandbox.milo.agents.agent import AgentType, Role
from sandbox.milo.calls import Call, Reply
from sandbox.milo.conversations import payments, records
from sandbox.milo.conversations.records import Conversation, Message, QuestionAsked
from sandbox.milo.events import MessageSent
from sandbox.milo.fields import one_of, text
from sandbox.milo.pages import page_of, paged
from sandbox.milo.wire import Asked, Data, Wire, iso

MOST_MESSAGE: Final = 4_000


class NewConversation(Asked, frozen=True, kw_only=True):
    message: str
    agent_type: str = AgentType.MARKET_ANALYST.value


class NewMessage(Asked, frozen=True, kw_only=True):
    message: str


class ConversationShown(Wire, frozen=True, kw_only=True):
    conversation_id: str
    agent_type: str
    status: str
    agent_active: bool
    processing: bool
    created_at: str
    updated_at: str


class MessageTaken(ConversationShown, frozen=True, kw_only=True):
    """The conversation, and which of its messages the new one is."""

    message_id: str


class MessageShown(Wire, frozen=True, kw_only=True):
    message_id: str
    role: str
    content: str
    created_at: str


class MessagesShown(Wire, frozen=True, kw_only=True):
    messages: list[MessageShown]
    processing: bool


def create_conversation(call: Call) -> Reply:
    """``POST /users/{userId}/conversations``"""
    asked, core = call.asked(NewConversation), call.core
    agent_type = one_of(AgentType, asked.agent_type, "agentType")
    content = text(asked.message, "message", least=1, most=MOST_MESSAGE)
    headers = payments.charge(call)
    conversation = records.create(core, call.user_id, agent_type)
    _send(call, conversation, content)
    return Reply(Data(_shown(records.find(core.db, conversation.conversation_id))), 201, headers)


def list_conversations(call: Call) -> Reply:
    """``GET /users/{userId}/conversations``"""
    page = page_of(call.query)
    found, total = records.listed(call.core.db, call.user_id, page)
    return Reply(paged(page, [_shown(conversation) for conversation in found], total))


def get_conversation(call: Call) -> Reply:
    """``GET /users/{userId}/conversations/{conversationId}``"""
    return Reply(Data(_shown(_own(call))))


def send_message(call: Call) -> Reply:
    """``POST /users/{userId}/conversations/{conversationId}/messages``"""
    asked, conversation = call.asked(NewMessage), _own(call)
    content = text(asked.message, "message", least=1, most=MOST_MESSAGE)
    headers = payments.charge(call)
    message = _send(call, conversation, content)
    shown = _shown(records.find(call.core.db, conversation.conversation_id))
    return Reply(Data(MessageTaken(message_id=message.message_id, **msgspec.structs.asdict(shown))), headers=headers)


def get_messages(call: Call) -> Reply:
    """``GET /users/{userId}/conversations/{conversationId}/messages``"""
    page, conversation = page_of(call.query), _own(call)
    found, total = records.messages(call.core.db, conversation.conversation_id, page)
    shown = MessagesShown(
        messages=[_message_shown(message) for message in found], processing=conversation.is_processing
    )
    return Reply(paged(page, shown, total))


def _own(call: Call) -> Conversation:
    return records.owned(call.core.db, call.path["conversationId"], call.user_id)


def _send(call: Call, conversation: Conversation, content: str) -> Message:
    """The message, which waits for its answer from now on."""
    core, user_id = call.core, call.user_id
    message = records.add(core, conversation.conversation_id, Role.USER, content)
    core.events.publish(MessageSent(user_id=user_id, at_ms=core.now_ms, conversation_id=conversation.conversation_id))
    core.events.publish(QuestionAsked(user_id=user_id, at_ms=core.now_ms, number=message.number))
    return message


def _shown(conversation: Conversation) -> ConversationShown:
    return ConversationShown(
        conversation_id=conversation.conversation_id,
        agent_type=conversation.agent_type.value,
        status="active",
        agent_active=True,
        processing=conversation.is_processing,
        created_at=iso(conversation.created_at_ms),
        updated_at=iso(conversation.updated_at_ms),
    )


def _message_shown(message: Message) -> MessageShown:
    return MessageShown(
        message_id=message.message_id,
        role=message.role.value,
        content=message.content,
        created_at=iso(message.at_ms),
    )
