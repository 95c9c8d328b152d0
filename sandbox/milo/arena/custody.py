"""Money into a custody wallet, and everything back out of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from sandbox.milo.arena.deployments import Deployment
from sandbox.milo.chain import FEE_PER_SIGNATURE, ChainError
from sandbox.milo.core import Core
from sandbox.milo.errors import bad_request
from sandbox.milo.tokens import SOL, TOKENS, Token
from sandbox.milo.trading.desk import Desk
from sandbox.milo.wallets import Wallet
from sandbox.milo.wire import plain

LEAST_SOL: Final = Decimal(1)
STAKE_SOL: Final = Decimal(1)


class Returned(NamedTuple):
    token: Token
    units: int
    signature: str


def fund(core: Core, source: Wallet, custody: Wallet) -> str:
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
    return core.chain.transfer(core.chain.keypair(source.address), custody.address, SOL, stake, core.now_ms)


def bring_back(core: Core, deployment: Deployment, custody: Wallet, recipient: Wallet) -> list[Returned]:
    """End what the deployment has open, and send every token that it holds, SOL last. All of it, or nothing.

    :raises ApiError: 400; neither wallet has the SOL that it costs.
    """
    desk = Desk(core)
    for position in desk.positions.all_open(deployment.arena_user_id):
        for order in desk.book.open_of_thesis(position.thesis_id):
            desk.delete(order)
    held = [(token, core.chain.balance(custody.address, token)) for token in TOKENS if not token.is_native]
    try:
        returned = [_send(core, desk, custody, recipient, token, units) for token, units in held if units]
        lamports = core.chain.balance(custody.address, SOL) - FEE_PER_SIGNATURE
        if lamports > 0:
            returned.append(_send(core, desk, custody, recipient, SOL, lamports))
    except ChainError as error:
        raise bad_request(f"The holdings cannot be sent back: {error}") from error
    return returned


def _send(core: Core, desk: Desk, custody: Wallet, recipient: Wallet, token: Token, units: int) -> Returned:
    desk.withdraw(custody, token, units)
    signature = core.chain.transfer(core.chain.keypair(custody.address), recipient.address, token, units, core.now_ms)
    return Returned(token, units, signature)
