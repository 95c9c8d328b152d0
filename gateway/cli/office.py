"""What a management command works with: the stores, and the master key only where a command needs it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway.accounts import Accounts, Credentials, CredentialSafe, KeyMint, Keys, Refused
from gateway.clock import SystemClock
from gateway.keyring import MAKE_MASTER_KEY, Keyring, MasterKeyFile, MasterKeyRing, MasterKeySource
from gateway.settings import Settings
from gateway.vault import Vault

if TYPE_CHECKING:
    from adapters.base import Adapter
    from storage.redis_store.address import RedisAddress
    from storage.sql import Stores

MASTER_KEY: Final = "master.key"


class Office:
    """Everything opens when first used and is closed by the stack."""

    def __init__(self, settings: Settings, stores: Stores, stack: contextlib.AsyncExitStack) -> None:
        from adapters.registry import VENUES

        self.settings = settings
        self.stores = stores
        self.directory = stores.directory
        self.venues = VENUES
        self.clock = SystemClock()
        self.accounts = Accounts(self.directory, self.clock)
        self.keys = Keys(self.directory, VENUES, self.clock)
        self.credentials = Credentials(self.directory, self.clock)
        self._stack = stack

    def ring(self) -> MasterKeyRing:
        """:raises Refused, MasterKeyError: there is no usable master key."""
        return MasterKeyRing.load(require_master_key(self.settings))

    async def mint(self) -> KeyMint:
        keyring = await Keyring.open(self.directory, self.ring())
        return KeyMint(self.directory, keyring, self.keys, self.clock)

    async def vault(self) -> Vault:
        ring = self.ring()
        return Vault(ring, (await Keyring.open(self.directory, ring)).fingerprint_key)

    async def safe(self) -> CredentialSafe:
        return CredentialSafe(self.directory, await self.vault(), self.clock)

    async def adapter(self, exchange: str) -> Adapter:
        """A venue without a past: what it keeps in the data directory is the running gateway's.

        :raises Refused: this version does not have the venue.
        """
        from adapters.registry import VenueContext
        from adapters.transport import Transport

        venue = self.venues.get(exchange)
        if venue is None:
            raise Refused(f"This version does not serve {exchange}", "Use the version that added it")
        empty = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="venuegate-")))
        transport = Transport()
        self._stack.push_async_callback(transport.close)
        context = VenueContext(data_dir=empty, clock=self.clock, transport=transport)
        adapter = await venue.open(context)
        self._stack.push_async_callback(adapter.close)
        return adapter


def settings_of(data_dir: Path | None, **flags: Any) -> Settings:
    """From flags and environment. A data directory that has a master key of its own is managed with that one."""
    settings = Settings.load(os.environ, data_dir=data_dir, **flags)
    own_key = settings.data_dir / MASTER_KEY
    if settings.master_key is None and own_key.exists():
        settings = msgspec.structs.replace(settings, master_key=MasterKeyFile(own_key))
    return settings


def require_master_key(settings: Settings) -> MasterKeySource:
    """:raises Refused: none was given."""
    if settings.master_key is None:
        own_key = settings.data_dir / MASTER_KEY
        raise Refused(
            "There is no master key, and without one no secret can be kept",
            f"There is one at {own_key}: name it in VENUEGATE_MASTER_KEY_FILE" if own_key.exists() else MAKE_MASTER_KEY,
        )
    return settings.master_key


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, create: bool) -> AsyncIterator[Office]:
    """:raises Refused: there is no database, or no place for one.
    :raises StorageUnavailable: it does not open.
    """
    from gateway.database import database_of

    place = database_of(settings, unhurried=True)
    if create and not place.is_shared:
        make_data_dir(settings.data_dir)
    elif not place.exists():
        raise Refused(
            f"There is no database in {settings.data_dir}",
            "Name the gateway's data directory (--data-dir or VENUEGATE_DATA_DIR) or its server"
            " (VENUEGATE_DATABASE_URL), or make a first account: venuegate accounts create NAME --tier builder",
        )
    async with contextlib.AsyncExitStack() as stack:
        # Tables of another version are a running gateway's, perhaps: only `db upgrade` changes them.
        stores = await place.open()
        if settings.redis is not None:
            stores.directory.on_change = _announcer(settings.redis, stack)
        stack.push_async_callback(stores.close)
        yield Office(settings, stores, stack)


def _announcer(address: RedisAddress, stack: contextlib.AsyncExitStack) -> Callable[[], None]:
    """What tells running gateways of a change at once; without Redis they find it within two seconds."""
    from storage.redis_store.news import RedisNews
    from storage.redis_store.servers import server_at

    news = RedisNews(server_at(address))
    stack.push_async_callback(news.close)
    return news.announce


def make_data_dir(path: Path) -> None:
    """Make sure that it is there and can be written.

    :raises Refused: it cannot.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        problem = None if os.access(path, os.W_OK | os.X_OK) else "Permission denied"
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem is not None:
        raise Refused(
            f"The data directory {path} cannot be written: {problem}",
            "Name another with --data-dir or VENUEGATE_DATA_DIR, or make this user its owner",
        )
