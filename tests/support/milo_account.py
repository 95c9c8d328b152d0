"""A funded account at a local Milo, as a credential of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

from solders.keypair import Keypair

from gateway.local_venues import served
from sandbox.milo.app import make_app
from sandbox.milo.core import Core
from sandbox.milo.signin import open_account
from sandbox.milo.tokens import BY_SYMBOL
from sandbox.milo.venue import MiloVenue

SEED = 5
FUNDS = {"SOL": Decimal(20), "USDC": Decimal(50_000)}


@asynccontextmanager
async def milo_account(now_ms: Callable[[], int]) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Where it listens, and the credential's fields."""
    venue = MiloVenue(seed=SEED, path=None, now_ms=now_ms)
    async with served(make_app(venue)) as url:
        yield url, {"api_key": await venue.run(opened)}


def opened(core: Core, funds: dict[str, Decimal] = FUNDS) -> str:
    """A new user's API key."""
    user, key = open_account(core, str(Keypair().pubkey()))
    address = core.wallets.trading(user.user_id).address
    for symbol, amount in funds.items():
        token = BY_SYMBOL[symbol]
        core.chain.fund(address, token, token.units(amount), core.now_ms)
    return key
