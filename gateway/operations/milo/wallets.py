"""``/wallets/{walletId}``: what it holds, what moved, what was traded, and sending tokens away."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from adapters.milo.endpoints import GET_HOLDINGS, GET_TRADES, GET_TRANSACTIONS, SEND_TOKENS
from adapters.milo.trading import Holding, Sent, Trade, Transaction
from gateway.operations.milo.common import Address, Cursor, Limit, MiloRequest, Mint, milo
from gateway.operations.milo.guards import require_small_transfer
from gateway.operations.wire import Call, Reply
from normalization.decimals import require_positive


class GetHoldings(MiloRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> HoldingsReply:
        return HoldingsReply(data=(await milo(call).ask(GET_HOLDINGS)).data)


class HoldingsReply(Reply, frozen=True, kw_only=True):
    data: list[Holding]


class GetTransactions(MiloRequest, frozen=True, kw_only=True):
    limit: Limit = 25
    cursor: Cursor | None = None

    async def perform(self, call: Call) -> TransactionsReply:
        page = await milo(call).ask(GET_TRANSACTIONS, query={"limit": self.limit, "cursor": self.cursor})
        return TransactionsReply(data=page.data, next_cursor=page.next_cursor)


class TransactionsReply(Reply, frozen=True, kw_only=True):
    """Newest first; ``next_cursor`` is null at the end."""

    data: list[Transaction]
    next_cursor: str | None


class GetExecutedTransactions(MiloRequest, frozen=True, kw_only=True):
    limit: Limit = 25
    cursor: Cursor | None = None
    tx_type: Literal["buy", "sell"] | None = None
    token: Mint | None = None

    async def perform(self, call: Call) -> TradesReply:
        query = {"limit": self.limit, "cursor": self.cursor, "txType": self.tx_type, "token": self.token}
        page = await milo(call).ask(GET_TRADES, query=query)
        return TradesReply(data=page.data, next_cursor=page.next_cursor)


class TradesReply(Reply, frozen=True, kw_only=True):
    """Newest first; ``next_cursor`` is null at the end."""

    data: list[Trade]
    next_cursor: str | None


class SendTokens(MiloRequest, frozen=True, kw_only=True):
    """What is sent is gone: nothing on the chain can be taken back."""

    recipient: Address
    token: Mint
    amount: Annotated[Decimal, Meta(description="Whole tokens: 1.5 is one and a half", examples=["1.5"])]

    def __post_init__(self) -> None:
        require_positive(self.amount, "amount")

    async def perform(self, call: Call) -> SentReply:
        await require_small_transfer(call, self.token, self.amount)
        body = Sent(recipient=self.recipient, token=self.token, amount=self.amount)
        return SentReply(data=(await milo(call).ask(SEND_TOKENS, body=body)).data.data)


class SentReply(Reply, frozen=True, kw_only=True):
    """``data`` is the transaction's signature."""

    data: str
