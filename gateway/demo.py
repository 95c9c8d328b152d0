"""The demo: three accounts, each with a key and a funded credential per local venue, the same after every restart.

The keys themselves are only in ``demo.json``. When that file is lost, they are revoked and new ones are made.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.base import Adapter, Network
from gateway.accounts import Accounts, CredentialSafe, KeyMint, Keys
from gateway.clock import Clock
from gateway.keyring import Keyring
from gateway.keys import digest
from gateway.local_venues import LocalVenueAt
from gateway.vault import Vault, VenueSessions
from normalization.decimals import ceil_to, floor_to, trimmed
from normalization.instruments import Instrument
from storage.ports import Account, Credential, Directory, KeyEnvironment, Tier

FILE: Final = "demo.json"
LABEL: Final = "demo"
EXCHANGE: Final = "paper"
MARKET: Final = "BTC-USD-PERP"

_SIZE: Final = Decimal("0.01")
_BELOW_MARK: Final = Decimal("0.99")


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """What ``demo.json`` holds: keys by tier, credential ids by tier and exchange."""

    url: str
    keys: dict[str, str]
    credentials: dict[str, dict[str, str]]

    def __repr__(self) -> str:
        return f"Demo({self.url}, keys hidden)"


class DemoAccounts:
    """Makes what is missing of the demo and leaves the rest as it is."""

    def __init__(
        self,
        directory: Directory,
        *,
        keyring: Keyring,
        vault: Vault,
        adapters: Mapping[str, Adapter],
        local_venues: Mapping[str, LocalVenueAt],
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._keyring = keyring
        self._adapters = adapters
        self._local_venues = local_venues
        self._clock = clock
        self._accounts = Accounts(directory, clock)
        # The demo's keys have no scopes: there are no venue names to check.
        self._keys = Keys(directory, {}, clock)
        self._mint = KeyMint(directory, keyring, self._keys, clock)
        self._safe = CredentialSafe(directory, vault, clock)

    async def prepare(self, path: Path, url: str) -> Demo:
        """The demo's keys and credentials, stored in ``path`` before anybody is told of them.

        :raises Refused: an account of that name has no room for another key.
        :raises OSError: the file cannot be written.
        """
        known = load(path)
        keys: dict[str, str] = {}
        credentials: dict[str, dict[str, str]] = {}
        for tier in Tier:
            account = await self._account(tier)
            keys[tier] = await self._key(account, None if known is None else known.keys.get(tier))
            credentials[tier] = {
                exchange: (await self._credential(account, exchange)).credential_id
                for exchange in (EXCHANGE, *self._local_venues)
            }
        demo = Demo(url=url if known is None else known.url, keys=keys, credentials=credentials)
        if demo != known:
            store(path, demo)
        return demo

    async def _account(self, tier: Tier) -> Account:
        name = f"demo-{tier}"
        account = await self._directory.account_named(name)
        if account is None:
            return await self._accounts.create(name, tier)
        return account if account.tier is tier else await self._accounts.set_tier(account, tier)

    async def _key(self, account: Account, known: str | None) -> str:
        if known is not None and await self._works(account, known):
            return known
        for key in await self._directory.keys(account.account_id):
            if key.label == LABEL and key.revoked_at_ms is None:
                await self._keys.revoke(key)
        return (await self._mint.mint(account, KeyEnvironment.TEST, label=LABEL)).text

    async def _works(self, account: Account, text: str) -> bool:
        for version in self._keyring.pepper_versions:
            found = await self._directory.key_by_digest(digest(self._keyring.pepper(version), text))
            if found is not None:
                ends = found.key.expires_at_ms
                in_time = ends is None or ends > self._clock.now_ms()
                return found.account.account_id == account.account_id and found.key.revoked_at_ms is None and in_time
        return False

    async def _credential(self, account: Account, exchange: str) -> Credential:
        for credential in await self._directory.credentials(account.account_id):
            if (credential.exchange, credential.label) == (exchange, LABEL):
                return credential
        local = self._local_venues.get(exchange)
        fields = {} if local is None else await local.enroll()
        return await self._safe.add(account, self._adapters[exchange], Network.PAPER, label=LABEL, secrets=fields)


def load(path: Path) -> Demo | None:
    """None where there is no such file, or it is not one of ours any more."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Demo)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def store(path: Path, demo: Demo) -> None:
    """Write it for its owner only; a reader sees the old file or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(demo), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


async def first_order(directory: Directory, paper: Adapter, sessions: VenueSessions, demo: Demo) -> dict[str, Any]:
    """A limit order that the paper venue takes now: a little below the mark price, on the market's steps."""
    credential_id = demo.credentials[Tier.BUILDER][EXCHANGE]
    credential = await directory.credential(credential_id)
    if credential is None:
        raise LookupError(f"the demo's credential {credential_id} is gone")
    instrument = (await paper.markets(Network.PAPER)).resolve(MARKET)
    async with sessions.use(credential) as session:
        mark = (await session.get_mark_price(instrument)).mark_price
    return order_near(mark, instrument, credential_id)


def order_near(mark_price: Decimal, instrument: Instrument, credential_id: str) -> dict[str, Any]:
    price = floor_to(mark_price * _BELOW_MARK, instrument.tick_size)
    size = ceil_to(max(_SIZE, instrument.min_notional / price), instrument.lot_size)
    return {
        "operation": "placeLimitOrder",
        "credentialId": credential_id,
        "market": instrument.symbol,
        "side": "BUY",
        "size": trimmed(size),
        "price": instrument.price_text(price),
    }


def welcome(demo: Demo, order: dict[str, Any], path: Path) -> str:
    """What a person sees who starts the demo: at most a screen, with a command that works when pasted."""
    key, credential_id = demo.keys[Tier.BUILDER], demo.credentials[Tier.BUILDER][EXCHANGE]
    body = msgspec.json.format(msgspec.json.encode(order), indent=2).decode().replace("\n", "\n  ")
    return f"""
  Venuegate is running, with a venue on paper: nothing here is real money.

    Gateway      {demo.url}
    Docs         {demo.url}/docs
    API key      {key}
    Credential   {credential_id}  (paper, account demo-builder)
    All keys     {path}

  Place your first order. Paste this into another terminal:

curl -sS {demo.url}/v1 \\
  -H 'X-API-Key: {key}' \\
  -H 'Content-Type: application/json' \\
  -d '{body}'

  Ctrl-C stops it. Keys, credentials and orders are still there the next time.
"""
