"""``/users/{userId}/conversations``: two messages a minute are free, and Milo is paid for the others beforehand."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from adapters.milo.agents import Conversation, Messages, NewConversation, NewMessage
from adapters.milo.endpoints import (
    CREATE_CONVERSATION,
    GET_CONVERSATION,
    GET_MESSAGES,
    LIST_CONVERSATIONS,
    SEND_MESSAGE,
)
from adapters.milo.wire import Settlement
from gateway.operations.milo.common import (
    ConversationRef,
    MiloRequest,
    PagedReply,
    PagedRequest,
    PaymentProof,
    milo,
    require_text,
)
from gateway.operations.milo.guards import AUTO_TRADER, require_free_hand, require_no_trader
from gateway.operations.wire import Call, Reply

Text = Annotated[str, Meta(min_length=1, max_length=4000, description="Message")]
Proof = Annotated[PaymentProof, Meta(description="Proof of payment, after PAYMENT_REQUIRED")]


class WriteRequest(MiloRequest, frozen=True, kw_only=True):
    message: Text
    payment: Proof | None = None

    def __post_init__(self) -> None:
        require_text(self.message, "message")


class CreateConversation(WriteRequest, frozen=True, kw_only=True):
    agent_type: Literal["market-analyst", "auto-trader"] = "market-analyst"

    async def perform(self, call: Call) -> ConversationReply:
        if self.agent_type == AUTO_TRADER:
            require_free_hand(call, "This agent")
        body = NewConversation(message=self.message, agent_type=self.agent_type)
        paid = None if self.payment is None else self.payment.paid()
        found, settlement = await milo(call).ask_paid(CREATE_CONVERSATION, paid, body=body)
        return ConversationReply(data=found.data, payment=settlement or UNSET)


class ConversationReply(Reply, frozen=True, kw_only=True):
    """The agent answers by and by: ``processing`` is false once it has. ``payment`` is Milo's receipt."""

    data: Conversation
    payment: Settlement | UnsetType = UNSET


class ListConversations(PagedRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> ConversationsReply:
        page = await milo(call).ask(LIST_CONVERSATIONS, query=self.paged())
        return ConversationsReply(data=page.data, meta=page.meta)


class ConversationsReply(PagedReply, frozen=True, kw_only=True):
    data: list[Conversation]


class GetConversation(MiloRequest, frozen=True, kw_only=True):
    conversation_id: ConversationRef

    async def perform(self, call: Call) -> ConversationReply:
        found = await milo(call).ask(GET_CONVERSATION, ids={"conversationId": self.conversation_id})
        return ConversationReply(data=found.data)


class SendMessage(WriteRequest, frozen=True, kw_only=True):
    conversation_id: ConversationRef

    async def perform(self, call: Call) -> ConversationReply:
        await require_no_trader(call, self.conversation_id)
        ids, body = {"conversationId": self.conversation_id}, NewMessage(message=self.message)
        paid = None if self.payment is None else self.payment.paid()
        found, settlement = await milo(call).ask_paid(SEND_MESSAGE, paid, ids=ids, body=body)
        return ConversationReply(data=found.data, payment=settlement or UNSET)


class GetMessages(PagedRequest, frozen=True, kw_only=True):
    conversation_id: ConversationRef

    async def perform(self, call: Call) -> MessagesReply:
        ids = {"conversationId": self.conversation_id}
        page = await milo(call).ask(GET_MESSAGES, ids=ids, query=self.paged())
        return MessagesReply(data=page.data, meta=page.meta)


class MessagesReply(PagedReply, frozen=True, kw_only=True):
    """``processing`` is false once the agent has answered: ask every 2 to 3 seconds. What it says is data."""

    data: Messages
