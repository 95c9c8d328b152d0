"""Auto-trading, strategies, the arena, quests, conversations and the diary."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType

from adapters.milo.trading import Holding
from adapters.milo.wire import Body, IsoTime, Number, Wire


class Shares(Body, frozen=True, kw_only=True):
    """Percentages by asset class."""

    trenches: Decimal | UnsetType = UNSET
    memes: Decimal | UnsetType = UNSET
    promising_memes: Decimal | UnsetType = msgspec.field(name="promising-memes", default=UNSET)
    staking: Decimal | UnsetType = UNSET
    native: Decimal | UnsetType = UNSET
    majors: Decimal | UnsetType = UNSET
    stables: Decimal | UnsetType = UNSET
    x_stocks: Decimal | UnsetType = UNSET
    custom: Decimal | UnsetType = UNSET


class SettingsChange(Body, frozen=True, kw_only=True):
    """``strategy_id`` None unlinks the strategy."""

    is_active: bool | UnsetType = UNSET
    risk_tolerance: str | UnsetType = UNSET
    strategy: str | UnsetType = UNSET
    strategy_id: str | UnsetType | None = UNSET
    instructions: str | UnsetType = UNSET
    custom_tickers: list[str] | UnsetType = UNSET
    allocation: Shares | UnsetType = UNSET


class StrategyBody(Body, frozen=True, kw_only=True):
    """A new strategy, or what changes of one."""

    name: str | UnsetType = UNSET
    strategy: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    allocation: Shares | UnsetType = UNSET
    custom_tickers: list[str] | UnsetType = UNSET
    is_public: bool | UnsetType = UNSET


class StrategyNamed(Body, frozen=True, kw_only=True):
    strategy_id: str


class StrategySync(Wire, frozen=True, kw_only=True):
    """Whether the settings are what the linked strategy is now."""

    synced: bool
    strategy_id: str | UnsetType | None = UNSET
    strategy_name: str | UnsetType | None = UNSET
    synced_at: IsoTime | UnsetType | None = UNSET
    strategy_updated_at: IsoTime | UnsetType | None = UNSET


class Settings(Wire, frozen=True, kw_only=True):
    """``strategy_sync`` is there where a strategy is linked."""

    is_active: bool
    user_id: str | UnsetType = UNSET
    risk_tolerance: str | UnsetType | None = UNSET
    strategy: str | UnsetType | None = UNSET
    strategy_id: str | UnsetType | None = UNSET
    instructions: str | UnsetType | None = UNSET
    custom_tickers: list[str] | UnsetType | None = UNSET
    allocation: dict[str, Number] | UnsetType | None = UNSET
    strategy_sync: StrategySync | UnsetType | None = UNSET
    updated_at: IsoTime | UnsetType | None = UNSET


class Strategy(Wire, frozen=True, kw_only=True):
    id: str
    name: str
    strategy: str
    user_id: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    instructions: str | UnsetType | None = UNSET
    allocation: dict[str, Number] | UnsetType | None = UNSET
    custom_tickers: list[str] | UnsetType | None = UNSET
    is_public: bool | UnsetType = UNSET
    created_at: IsoTime | UnsetType = UNSET
    updated_at: IsoTime | UnsetType = UNSET


class Deployed(Wire, frozen=True, kw_only=True):
    arena_user_id: str
    custody_wallet_id: str
    custody_wallet_address: str
    funding_tx_signature: str
    strategy_id: str


class Transfer(Wire, frozen=True, kw_only=True):
    token_address: str
    amount: Number
    signature: str


class Withdrawn(Wire, frozen=True, kw_only=True):
    """Everything that the arena's wallet held, sent back to the user's Milo wallet."""

    arena_user_id: str
    custody_wallet_id: str
    custody_wallet_address: str
    recipient_wallet_address: str
    transfer_txs: list[Transfer]


class Rank(Wire, frozen=True, kw_only=True):
    """``strategy`` is its id; money in US dollars."""

    strategy: str
    strategy_name: str
    owner_user_id: str
    owner_username: str
    pnl: Number
    win_rate: Number
    return_pct: Number
    account_value: Number
    arena_wallet_address: str
    current_holdings: list[Holding] | UnsetType = UNSET


class Requirement(Wire, frozen=True, kw_only=True):
    """``aggregation_kind`` is count, sum or streak."""

    requirement_id: str
    aggregation_kind: str
    target_value: Number
    current_value: Number
    completed: bool


class Quest(Wire, frozen=True, kw_only=True):
    """``award`` in bones."""

    quest_id: str
    title: str
    award: Number
    total_requirements: int
    completed_requirements: int
    claimed: bool
    completed: bool
    unlocked: bool
    requirements: list[Requirement]


class Bones(Wire, frozen=True, kw_only=True):
    """``unclaimed`` is what the completed quests are worth that were not claimed yet."""

    user_id: str
    username: str
    balance: Number
    unclaimed: Number


class NewConversation(Body, frozen=True, kw_only=True):
    message: str
    agent_type: str | UnsetType = UNSET


class NewMessage(Body, frozen=True, kw_only=True):
    message: str


class Conversation(Wire, frozen=True, kw_only=True):
    """``processing``: the agent has not answered everything yet."""

    conversation_id: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    agent_type: str | UnsetType | None = UNSET
    agent_active: bool | UnsetType = UNSET
    processing: bool | UnsetType = UNSET
    message_id: str | UnsetType = UNSET
    created_at: IsoTime | UnsetType = UNSET
    updated_at: IsoTime | UnsetType = UNSET


class Message(Wire, frozen=True, kw_only=True):
    """``role`` is user or assistant."""

    message_id: str
    role: str
    content: str
    created_at: IsoTime


class Messages(Wire, frozen=True, kw_only=True):
    messages: list[Message]
    processing: bool


class DiaryEntry(Wire, frozen=True, kw_only=True):
    """What the agent did (``log``) and why (``thoughts``)."""

    id: str
    user_id: str
    log: str
    thoughts: str | None = None
    token_address: str | None = None
    created_at: IsoTime
