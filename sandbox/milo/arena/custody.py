"""Into the arena with a stake, and out of it with everything that came of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from solders.instruction import Instruction

from sandbox.milo.arena import accounts, deployments
from sandbox.milo.arena.deployments import Deployment
from sandbox.milo.autotrade.strategies import Strategy
from sandbox.milo.autotrade.terms import ROUND_MS
from sandbox.milo.chain import FEE_PER_SIGNATURE, ChainError, Signer
from sandbox.milo.core import Core
from sandbox.milo.errors import bad_request, conflict
from sandbox.milo.events import ArenaDeployed
from sandbox.milo.programs import close_token_account
from sandbox.milo.tokens import SOL, TOKENS, Token
from sandbox.milo.trading.desk import Desk
from sandbox.milo.wallets import Wallet, WalletType
from sandbox.milo.wire import plain

LEAST_SOL: Final = Decimal(1)
STAKE_SOL: Final = Decimal(1)
FIRST_ROUND_MS: Final = 1_000


class Returned(NamedTuple):
    token: Token
    units: int
    signature: str


def enter(core: Core, strategy: Strategy) -> tuple[Deployment, Wallet, str]:
    """Deploy a strategy: its custody wallet, and the transaction that funded it from its owner's Milo wallet.

    :raises ApiError: 400; it is not public, or the owner has too little. 409; it is deployed already.
    """
    if not strategy.is_public:
        raise bad_request("Only a public strategy can be deployed: set `isPublic` to true first", field="strategyId")
    if deployments.active_of_strategy(core.db, strategy.strategy_id) is not None:
        raise conflict("This strategy is deployed already: withdraw it first")
    arena_user_id, owner = core.new_id(), strategy.user_id
    wallet = core.wallets.open(core.new_id(), arena_user_id, WalletType.CUSTODY, core.now_ms)
    deployment = Deployment(
        arena_user_id=arena_user_id,
        owner_user_id=owner,
        strategy_id=strategy.strategy_id,
        wallet_id=wallet.wallet_id,
        deployed_at_ms=core.now_ms,
    )
    deployments.add(core.db, deployment, core.now_ms + FIRST_ROUND_MS, ROUND_MS[strategy.plan.style])
    signature = _fund(core, core.wallets.trading(owner), wallet)
    accounts.open_account(core, wallet.wallet_id, wallet.address)
    core.events.publish(ArenaDeployed(user_id=owner, at_ms=core.now_ms, strategy_id=strategy.strategy_id))
    return deployment, wallet, signature


def leave(core: Core, deployment: Deployment, custody: Wallet, recipient: Wallet) -> list[Returned]:
    """End what the deployment has open, and send every token that it holds, SOL last. All of it, or nothing.

    :raises ApiError: 400; the wallet lacks the SOL that it costs.
    """
    desk = Desk(core)
    for position in desk.positions.all_open(deployment.arena_user_id):
        for order in desk.book.open_of_thesis(position.thesis_id):
            desk.delete(order)
    try:
        returned = [
            _empty(core, desk, custody, recipient, token)
            for token in TOKENS
            if not token.is_native and core.chain.has_account(custody.address, token)
        ]
        lamports = core.chain.balance(custody.address, SOL) - FEE_PER_SIGNATURE
        if lamports > 0:
            steps = core.chain.transfer_steps(_signer(core, custody).address, recipient.address, SOL, lamports)
            returned.append(_send(core, desk, custody, SOL, lamports, steps))
    except ChainError as error:
        raise bad_request(f"The holdings cannot be sent back: {error}") from error
    deployments.end(core.db, deployment, core.now_ms)
    accounts.close_account(core, custody.wallet_id)
    return [one for one in returned if one.units]


def _fund(core: Core, source: Wallet, custody: Wallet) -> str:
    """Send the stake, or as much of it as the chain's fee leaves. The transaction's signature.

    :raises ApiError: 400; the wallet holds less than a deployment requires.
    """
    lamports = core.chain.balance(source.address, SOL)
    if SOL.amount(lamports) < LEAST_SOL:
        raise bad_request(
            f"Deploying takes at least {plain(LEAST_SOL)} SOL in the Milo wallet {source.address}; it holds"
            f" {plain(SOL.amount(lamports))}"
        )
    stake = min(SOL.units(STAKE_SOL), lamports - FEE_PER_SIGNATURE - core.chain.least_lamports)
    Desk(core).withdraw(source, SOL, stake)
    return core.chain.transfer(core.chain.signer(source.address), custody.address, SOL, stake, core.now_ms)


def _empty(core: Core, desk: Desk, custody: Wallet, recipient: Wallet, token: Token) -> Returned:
    """Send all of a token, and close its account: what it was opened with comes back, too."""
    owner, units = _signer(core, custody).address, core.chain.balance(custody.address, token)
    steps = core.chain.transfer_steps(owner, recipient.address, token, units) if units else []
    return _send(core, desk, custody, token, units, [*steps, close_token_account(owner, token.mint)])


def _send(core: Core, desk: Desk, custody: Wallet, token: Token, units: int, steps: Sequence[Instruction]) -> Returned:
    desk.withdraw(custody, token, units)
    return Returned(token, units, core.chain.send(steps, [_signer(core, custody)], core.now_ms))


def _signer(core: Core, wallet: Wallet) -> Signer:
    return core.chain.signer(wallet.address)
