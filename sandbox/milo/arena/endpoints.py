"""``/users/{userId}/arena``: deploy, withdraw, leaderboard."""

from __future__ import annotations

from decimal import Decimal

from sandbox.milo.arena import accounts, custody, deployments
from sandbox.milo.arena.accounts import Account
from sandbox.milo.arena.deployments import Deployment, Entrant
from sandbox.milo.arena.performance import Direction, SortKey, Timeframe
from sandbox.milo.autotrade import strategies
from sandbox.milo.calls import Call, Reply
from sandbox.milo.core import Core
from sandbox.milo.errors import not_found
from sandbox.milo.pages import choice, page_of, paged
from sandbox.milo.trading.holdings import Holdings, HoldingShown
from sandbox.milo.wallets import Wallet
from sandbox.milo.wire import Asked, Data, Wire, neat


class StrategyNamed(Asked, frozen=True, kw_only=True):
    strategy_id: str


class Deployed(Wire, frozen=True, kw_only=True):
    arena_user_id: str
    custody_wallet_id: str
    custody_wallet_address: str
    funding_tx_signature: str
    strategy_id: str


class TransferShown(Wire, frozen=True, kw_only=True):
    token_address: str
    amount: Decimal
    signature: str


class Withdrawn(Wire, frozen=True, kw_only=True):
    arena_user_id: str
    custody_wallet_id: str
    custody_wallet_address: str
    recipient_wallet_address: str
    transfer_txs: list[TransferShown]


class RankShown(Wire, frozen=True, kw_only=True):
    """Money in USD; ``strategy`` is its id."""

    strategy: str
    strategy_name: str
    owner_user_id: str
    owner_username: str
    pnl: Decimal
    win_rate: Decimal
    return_pct: Decimal
    account_value: Decimal
    arena_wallet_address: str
    current_holdings: list[HoldingShown]


def deploy(call: Call) -> Reply:
    """``POST /users/{userId}/arena/deploy``"""
    core, strategy_id = call.core, call.asked(StrategyNamed).strategy_id
    strategy = strategies.owned(core.db, strategy_id, call.user_id)
    deployment, wallet, signature = custody.enter(core, strategy)
    shown = Deployed(
        arena_user_id=deployment.arena_user_id,
        custody_wallet_id=wallet.wallet_id,
        custody_wallet_address=wallet.address,
        funding_tx_signature=signature,
        strategy_id=strategy_id,
    )
    return Reply(Data(shown))


def withdraw(call: Call) -> Reply:
    """``POST /users/{userId}/arena/withdraw``"""
    core, strategy_id = call.core, call.asked(StrategyNamed).strategy_id
    deployment = deployments.active_of_strategy(core.db, strategy_id)
    if deployment is None or deployment.owner_user_id != call.user_id:
        raise not_found("Deployed strategy")
    wallet, recipient = _custody(core, deployment), core.wallets.trading(call.user_id)
    returned = custody.leave(core, deployment, wallet, recipient)
    shown = Withdrawn(
        arena_user_id=deployment.arena_user_id,
        custody_wallet_id=wallet.wallet_id,
        custody_wallet_address=wallet.address,
        recipient_wallet_address=recipient.address,
        transfer_txs=[
            TransferShown(
                token_address=one.token.address, amount=neat(one.token.amount(one.units)), signature=one.signature
            )
            for one in returned
        ],
    )
    return Reply(Data(shown))


def leaderboard(call: Call) -> Reply:
    """``GET /users/{userId}/arena/leaderboard``: by profit, the highest first, unless asked otherwise"""
    core, page = call.core, page_of(call.query)
    timeframe = choice(call.query, "timeframe", tuple(Timeframe))
    key = SortKey(choice(call.query, "sortKey", tuple(SortKey)) or SortKey.PNL)
    direction = Direction(choice(call.query, "sortDirection", tuple(Direction)) or Direction.DESCENDING)
    accounts.catch_up(core)
    found = accounts.accounts_since(core, core.now_ms - Timeframe(timeframe).length_ms if timeframe else 0)
    ranked = deployments.all_active(core.db)
    ranked.sort(key=lambda one: found[one.wallet_id].figures.by(key), reverse=direction is Direction.DESCENDING)
    holdings = Holdings(core)
    shown = [_rank_shown(one, found[one.wallet_id], holdings) for one in ranked[page.offset : page.offset + page.size]]
    return Reply(paged(page, shown, len(ranked)))


def _custody(core: Core, deployment: Deployment) -> Wallet:
    wallet = core.wallets.find(deployment.wallet_id)
    if wallet is None:
        raise LookupError(f"deployment {deployment.arena_user_id} has no wallet")
    return wallet


def _rank_shown(entrant: Entrant, account: Account, holdings: Holdings) -> RankShown:
    figures = account.figures
    return RankShown(
        strategy=entrant.strategy_id,
        strategy_name=entrant.strategy_name,
        owner_user_id=entrant.owner_user_id,
        owner_username=entrant.owner_username,
        pnl=neat(figures.pnl),
        win_rate=neat(figures.win_rate),
        return_pct=neat(figures.return_pct),
        account_value=neat(figures.account_value),
        arena_wallet_address=entrant.wallet_address,
        current_holdings=holdings.of(entrant.wallet_id, account.units),
    )
