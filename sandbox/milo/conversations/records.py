"""Conversations and their messages in the database. A user's message waits (``is_pending``) until it has its answer."""

from __future__ import annotations

from typing import Final

import msgspec

from sandbox.milo.agents.agent import AgentType, Role, Said
from sandbox.milo.core import Core
from sandbox.milo.database import Database, Row
from sandbox.milo.errors import not_found
from sandbox.milo.events import Event
from sandbox.milo.pages import Page

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS conversations (
    number INTEGER PRIMARY KEY, conversation_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, agent_type TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS conversations_by_user ON conversations (user_id, number);
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY, message_id TEXT NOT NULL, conversation_id TEXT NOT NULL, role TEXT NOT NULL,
    content TEXT NOT NULL, at_ms INTEGER NOT NULL, is_pending INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_conversation ON messages (conversation_id, number);
CREATE INDEX IF NOT EXISTS messages_pending ON messages (conversation_id) WHERE is_pending
"""

_CONVERSATION: Final = (
    "SELECT conversation_id, user_id, agent_type, created_at_ms, updated_at_ms, EXISTS (SELECT 1 FROM messages"
    " WHERE messages.conversation_id = conversations.conversation_id AND is_pending) FROM conversations WHERE "
)
_MESSAGE: Final = "SELECT number, message_id, conversation_id, role, content, at_ms FROM messages WHERE "


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """``is_processing``: something in it has no answer yet."""

    conversation_id: str
    user_id: str
    agent_type: AgentType
    created_at_ms: int
    updated_at_ms: int
    is_processing: bool


class QuestionAsked(Event, frozen=True, kw_only=True):
    """``number`` is the message's: it waits for its answer."""

    number: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """``number`` rises with time over all conversations."""

    number: int
    message_id: str
    conversation_id: str
    role: Role
    content: str
    at_ms: int


def create(core: Core, user_id: str, agent_type: AgentType) -> Conversation:
    conversation = Conversation(
        conversation_id=core.new_id(),
        user_id=user_id,
        agent_type=agent_type,
        created_at_ms=core.now_ms,
        updated_at_ms=core.now_ms,
        is_processing=False,
    )
    core.db.execute(
        "INSERT INTO conversations (conversation_id, user_id, agent_type, created_at_ms, updated_at_ms)"
        " VALUES (?, ?, ?, ?, ?)",
        conversation.conversation_id, user_id, agent_type.value, core.now_ms, core.now_ms,
    )  # fmt: skip
    return conversation


def find(db: Database, conversation_id: str) -> Conversation:
    """:raises ApiError: 404; there is none."""
    row = db.row(_CONVERSATION + "conversation_id = ?", conversation_id)
    if row is None:
        raise not_found("Conversation")
    return _conversation(row)


def owned(db: Database, conversation_id: str, user_id: str) -> Conversation:
    """:raises ApiError: 404; there is none, or it is somebody else's."""
    found = find(db, conversation_id)
    if found.user_id != user_id:
        raise not_found("Conversation")
    return found


def listed(db: Database, user_id: str, page: Page) -> tuple[list[Conversation], int]:
    """Newest first, and how many there are."""
    rows = db.rows(_CONVERSATION + "user_id = ? ORDER BY number DESC LIMIT ? OFFSET ?", user_id, page.size, page.offset)
    total = db.value("SELECT count(*) FROM conversations WHERE user_id = ?", user_id)
    return [_conversation(row) for row in rows], total


def add(core: Core, conversation_id: str, role: Role, content: str) -> Message:
    """A message of the user's waits for its answer from now on."""
    message_id = core.new_id()
    number = core.db.insert(
        "INSERT INTO messages (message_id, conversation_id, role, content, at_ms, is_pending)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        message_id, conversation_id, role.value, content, core.now_ms, role is Role.USER,
    )  # fmt: skip
    core.db.execute(
        "UPDATE conversations SET updated_at_ms = ? WHERE conversation_id = ?", core.now_ms, conversation_id
    )
    return Message(
        number=number,
        message_id=message_id,
        conversation_id=conversation_id,
        role=role,
        content=content,
        at_ms=core.now_ms,
    )


def messages(db: Database, conversation_id: str, page: Page) -> tuple[list[Message], int]:
    """Oldest first, and how many there are."""
    rows = db.rows(
        _MESSAGE + "conversation_id = ? ORDER BY number LIMIT ? OFFSET ?", conversation_id, page.size, page.offset
    )
    total = db.value("SELECT count(*) FROM messages WHERE conversation_id = ?", conversation_id)
    return [_message(row) for row in rows], total


def said_before(db: Database, message: Message, most: int) -> tuple[Said, ...]:
    """The conversation until then, oldest first, the last ``most`` of it."""
    rows = db.rows(
        "SELECT role, content FROM messages WHERE conversation_id = ? AND number < ? ORDER BY number DESC LIMIT ?",
        message.conversation_id, message.number, most,
    )  # fmt: skip
    return tuple(Said(Role(role), content) for role, content in reversed(rows))


def message(db: Database, number: int) -> Message:
    """:raises LookupError: there is none."""
    row = db.row(_MESSAGE + "number = ?", number)
    if row is None:
        raise LookupError(f"message {number}")
    return _message(row)


def answered(db: Database, number: int) -> None:
    """The message waits no more."""
    db.execute("UPDATE messages SET is_pending = 0 WHERE number = ?", number)


def pending(db: Database) -> list[int]:
    """The numbers of the messages that wait for their answers, oldest first."""
    return [number for (number,) in db.rows("SELECT number FROM messages WHERE is_pending ORDER BY number")]


def _conversation(row: Row) -> Conversation:
    return Conversation(
        conversation_id=row[0],
        user_id=row[1],
        agent_type=AgentType(row[2]),
        created_at_ms=row[3],
        updated_at_ms=row[4],
        is_processing=bool(row[5]),
    )


def _message(row: Row) -> Message:
    return Message(
        number=row[0],
        message_id=row[1],
        conversation_id=row[2],
        role=Role(row[3]),
        content=row[4],
        at_ms=row[5],
    )
