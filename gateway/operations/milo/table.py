"""The rows of Milo's own operations: one for each endpoint of its partner API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.milo.api import EXCHANGE
from gateway.operations.milo import arena, autotrade, conversations, orders, positions, quests, signup, wallets
from gateway.operations.milo.common import DoneReply
from gateway.operations.rows import Group, Operation
from gateway.operations.wire import Reply, Request
from storage.ports import Tier

_CREDENTIAL: Final = {"credentialId": "9f2a0c1e-5b7d-4e8f-a1b2-c3d4e5f6d841"}
_SOL: Final = "So11111111111111111111111111111111111111112"
_WALLET: Final = "7HgJxkY3bS9v2oQmW4nZcTfR8dLpEuAiKjHGVFDsNMq1"
_SIGNATURE: Final = "5" * 88
_ID: Final = "0d1f6a52-93c4-4f0e-8a77-2b1c9e5d3f60"
_ORDER: Final = {**_CREDENTIAL, "orderId": _ID}
_STRATEGY: Final = {**_CREDENTIAL, "strategyId": _ID}
_CONVERSATION: Final = {**_CREDENTIAL, "conversationId": _ID}
_SIWX: Final = {
    "accountAddress": _WALLET,
    "chainId": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
    "domain": "andmilo.com",
    "uri": "…",
    "version": "v1",
    "nonce": "abc123",
    "issuedAt": "2025-01-01T00:00:00.000Z",
    "expirationTime": "2025-01-08T00:00:00.000Z",
    "statement": "By signing, you agree to the terms.",
}
_ALLOCATION: Final = {"majors": "40", "native": "30", "memes": "20", "stables": "10"}
_LOOK_AT_ORDERS: Final = "It may have happened: look at miloListOrders and miloListPositions before you send it again."


def _read(
    name: str, request: type[Request], reply: type[Reply], description: str, example: Mapping[str, Any]
) -> Operation:
    return Operation(
        name=name,
        group=Group.MILO,
        request=request,
        reply=reply,
        minimum_tier=Tier.FREE,
        capability=None,
        read_only=True,
        idempotent=True,
        only_at=EXCHANGE,
        description=description,
        example=example,
    )


def _write(
    name: str,
    request: type[Request],
    reply: type[Reply],
    description: str,
    example: Mapping[str, Any],
    *,
    destructive: bool = False,
    idempotent: bool = False,
    explicit_only: bool = False,
    public: bool = False,
    when_unknown: str = "",
) -> Operation:
    return Operation(
        name=name,
        group=Group.MILO,
        request=request,
        reply=reply,
        minimum_tier=Tier.FREE if public else Tier.BUILDER,
        capability=None,
        read_only=False,
        destructive=destructive,
        idempotent=idempotent,
        explicit_only=explicit_only,
        public=public,
        only_at=None if public else EXCHANGE,
        when_unknown=when_unknown,
        description=description,
        example=example,
    )


_SIGNUP: Final = (
    _write(
        "miloRequestSiwxMessage",
        signup.RequestSiwxMessage,
        signup.MessageReply,
        "First step of signing up at Milo with a Solana wallet: the message that the wallet has to sign. Needs no key.",
        {"accountAddress": _WALLET, "chainId": _SIWX["chainId"]},
        public=True,
    ),
    _write(
        "miloSignup",
        signup.Signup,
        signup.SignupReply,
        "Second step: register the wallet at Milo. Makes an account here with Milo's key as a credential, and shows "
        "both keys this once. Needs no key; with one, the credential is added to its account.",
        {"signupWallet": _WALLET, "siwx": {"data": _SIWX, "message": "andmilo.com wants …", "signature": _SIGNATURE}},
        public=True,
    ),
    _read(
        "miloGetMe",
        signup.GetMe,
        signup.MeReply,
        "The Milo user of a credential, and its wallets with their addresses.",
        _CREDENTIAL,
    ),
)

_AUTO_TRADING: Final = (
    _read(
        "miloGetAutoTradeSettings",
        autotrade.GetAutoTradeSettings,
        autotrade.SettingsReply,
        "How Milo trades by itself for this user, and whether the linked strategy is in use as it is now.",
        _CREDENTIAL,
    ),
    _write(
        "miloUpdateAutoTradeSettings",
        autotrade.UpdateAutoTradeSettings,
        autotrade.SettingsReply,
        "Switch Milo's own trading on or off, and change what it trades by. To switch it on takes 1 SOL in the wallet.",
        {**_CREDENTIAL, "isActive": True, "riskTolerance": "balanced", "allocation": _ALLOCATION},
        idempotent=True,
    ),
    _write(
        "miloCreateStrategy",
        autotrade.CreateStrategy,
        autotrade.StrategyReply,
        "Make a strategy: a preset that settings can be linked to, or that can be deployed to the arena.",
        {**_CREDENTIAL, "name": "SOL ecosystem", "strategy": "SWING TRADER", "isPublic": False},
        when_unknown="It may have been made: look at miloListStrategies before you send it again.",
    ),
    _read(
        "miloListStrategies",
        autotrade.ListStrategies,
        autotrade.StrategiesReply,
        "Strategies of this user and public ones, by scope and words.",
        {**_CREDENTIAL, "scope": "public", "q": "SOL"},
    ),
    _read(
        "miloGetStrategy",
        autotrade.GetStrategy,
        autotrade.StrategyReply,
        "One strategy, of this user or public.",
        _STRATEGY,
    ),
    _write(
        "miloUpdateStrategy",
        autotrade.UpdateStrategy,
        autotrade.StrategyReply,
        "Change a strategy. Settings that use it follow when they are synced.",
        {**_STRATEGY, "instructions": "Focus on SOL and JUP"},
        idempotent=True,
    ),
    _write(
        "miloDeleteStrategy",
        autotrade.DeleteStrategy,
        DoneReply,
        "Delete a strategy of this user's.",
        _STRATEGY,
        destructive=True,
        idempotent=True,
    ),
    _write(
        "miloSyncStrategy",
        autotrade.SyncStrategy,
        autotrade.SettingsReply,
        "Put the latest version of the linked strategy to use, where the settings say that it is not synced.",
        _STRATEGY,
        idempotent=True,
    ),
)

_ARENA: Final = (
    _write(
        "miloDeployToArena",
        arena.DeployToArena,
        arena.DeployedReply,
        "Let Milo trade a public strategy of this user's in the arena, with a wallet that is funded from this one.",
        _STRATEGY,
        when_unknown="It may have been deployed: look at miloGetArenaLeaderboard before you send it again.",
    ),
    _write(
        "miloWithdrawFromArena",
        arena.WithdrawFromArena,
        arena.WithdrawnReply,
        "End a deployment: everything that its wallet holds comes back to the user's Milo wallet.",
        _STRATEGY,
        destructive=True,
        idempotent=True,
    ),
    _read(
        "miloGetArenaLeaderboard",
        arena.GetArenaLeaderboard,
        arena.LeaderboardReply,
        "The strategies in the arena and what they made, by timeframe and order.",
        {**_CREDENTIAL, "timeframe": "30d", "sortKey": "pnl", "sortDirection": "desc"},
    ),
)

_QUESTS: Final = (
    _read(
        "miloListQuests",
        quests.ListQuests,
        quests.QuestsReply,
        "Quests and how far this user is with them; open ones unless asked otherwise.",
        {**_CREDENTIAL, "unclaimed": True},
    ),
    _write(
        "miloClaimQuest",
        quests.ClaimQuest,
        DoneReply,
        "Claim the bones of a completed quest, once.",
        {**_CREDENTIAL, "questId": _ID},
        idempotent=True,
    ),
    _read(
        "miloGetBones",
        quests.GetBones,
        quests.BonesReply,
        "The user's balance of bones, and what there is to claim.",
        _CREDENTIAL,
    ),
)

_ORDERS: Final = (
    _write(
        "miloCreateOrder",
        orders.CreateOrder,
        orders.MiloOrderReply,
        "Place an order as Milo has them: by tokens, dollars or share, at once or at a trigger, with take-profits and "
        "stop-losses. Milo keeps no ids of yours: after silence, look before you send it again.",
        {
            **_CREDENTIAL,
            "tokenAddress": _SOL,
            "type": "buy",
            "payload": {
                "type": "buy",
                "amount": {"type": "absolute_usd", "amount": "50"},
                "trigger": {"type": "absolute", "operator": "gte", "value": "0"},
            },
            "takeProfits": [{"percentage": "50", "profitPercentage": "20"}],
            "stopLosses": [{"percentage": "100", "lossPercentage": "15"}],
        },
        when_unknown=_LOOK_AT_ORDERS,
    ),
    _read(
        "miloListOrders",
        orders.ListOrders,
        orders.MiloOrdersReply,
        "Milo's orders of every status, newest first.",
        {**_CREDENTIAL, "status": "active"},
    ),
    _read(
        "miloGetOrder",
        orders.GetMiloOrder,
        orders.MiloOrderReply,
        "One of Milo's orders, with its take-profits and stop-losses.",
        _ORDER,
    ),
    _write(
        "miloPauseOrder",
        orders.PauseOrder,
        orders.ChangedReply,
        "Keep an active order from firing until it is activated.",
        _ORDER,
        idempotent=True,
    ),
    _write(
        "miloActivateOrder",
        orders.ActivateOrder,
        orders.ChangedReply,
        "Activate an order that is paused, a draft or failed; it fires at once where its price is reached.",
        _ORDER,
        when_unknown="It may be active, or have fired: look at miloGetOrder before you send it again.",
    ),
    _write(
        "miloDeleteOrder",
        orders.DeleteOrder,
        orders.ChangedReply,
        "Delete an order, and the drafts that wait for it.",
        _ORDER,
        destructive=True,
        idempotent=True,
    ),
)

_WALLETS: Final = (
    _write(
        "miloSendTokens",
        wallets.SendTokens,
        wallets.SentReply,
        "Send tokens away from the Milo wallet, for good. Only a key whose allowedOperations name this may do it.",
        {**_CREDENTIAL, "recipient": _WALLET, "token": _SOL, "amount": "1.5"},
        destructive=True,
        explicit_only=True,
        when_unknown="It may have been sent: look at miloGetTransactions before you send it again.",
    ),
    _read(
        "miloGetHoldings",
        wallets.GetHoldings,
        wallets.HoldingsReply,
        "What the Milo wallet holds, with prices and worth in dollars and in SOL.",
        _CREDENTIAL,
    ),
    _read(
        "miloGetTransactions",
        wallets.GetTransactions,
        wallets.TransactionsReply,
        "Every transaction of the Milo wallet on the chain, newest first.",
        {**_CREDENTIAL, "limit": 25},
    ),
    _read(
        "miloGetExecutedTransactions",
        wallets.GetExecutedTransactions,
        wallets.TradesReply,
        "The transactions that orders made: trades, newest first.",
        {**_CREDENTIAL, "txType": "buy", "limit": 25},
    ),
)

_CONVERSATIONS: Final = (
    _write(
        "miloCreateConversation",
        conversations.CreateConversation,
        conversations.ConversationReply,
        "Begin a conversation with one of Milo's agents. Two messages a minute are free; PAYMENT_REQUIRED says what "
        "the next one costs.",
        {**_CREDENTIAL, "message": "What tokens are trending on Solana?", "agentType": "market-analyst"},
        when_unknown="It may have begun, and been paid for: look at miloListConversations before you send it again.",
    ),
    _read(
        "miloListConversations",
        conversations.ListConversations,
        conversations.ConversationsReply,
        "The user's conversations with Milo's agents.",
        _CREDENTIAL,
    ),
    _read(
        "miloGetConversation",
        conversations.GetConversation,
        conversations.ConversationReply,
        "One conversation, and whether its agent is still at work.",
        _CONVERSATION,
    ),
    _write(
        "miloSendMessage",
        conversations.SendMessage,
        conversations.ConversationReply,
        "Send a message to a conversation's agent; miloGetMessages has the answer by and by. Free and paid as "
        "miloCreateConversation.",
        {**_CONVERSATION, "message": "What about JUP?"},
        when_unknown="It may have been sent, and paid for: look at miloGetMessages before you send it again.",
    ),
    _read(
        "miloGetMessages",
        conversations.GetMessages,
        conversations.MessagesReply,
        "The messages of a conversation; the agent has answered once processing is false.",
        _CONVERSATION,
    ),
)

_POSITIONS: Final = (
    _read(
        "miloListPositions",
        positions.ListPositions,
        positions.MiloPositionsReply,
        "Milo's positions with their orders, what was invested and what they made.",
        {**_CREDENTIAL, "status": "active"},
    ),
    _write(
        "miloClosePosition",
        positions.ClosePosition,
        positions.ClosedReply,
        "Close one position: what waits of it is canceled, what is left is sold.",
        {**_CREDENTIAL, "thesisId": _ID},
        destructive=True,
        idempotent=True,
    ),
    _write(
        "miloCloseAllPositions",
        positions.CloseAllMiloPositions,
        positions.ClosedAllReply,
        "Close every position, and tell which could not be. Once a minute.",
        _CREDENTIAL,
        destructive=True,
        idempotent=True,
    ),
    _read(
        "miloGetDiaryLogs",
        autotrade.GetDiaryLogs,
        autotrade.DiaryReply,
        "What Milo did when it traded by itself, and why.",
        _CREDENTIAL,
    ),
)

MILO: Final = (
    *_SIGNUP,
    *_AUTO_TRADING,
    *_ARENA,
    *_QUESTS,
    *_ORDERS,
    *_WALLETS,
    *_CONVERSATIONS,
    *_POSITIONS,
)
