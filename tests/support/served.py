"""A whole gateway, listening on a port of its own, with the real stores and whatever venues a test hands it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from multidict import CIMultiDictProxy

from adapters.base import Adapter, Network
from gateway import keys
from gateway.app import Gateway
from gateway.clock import Clock, SystemClock
from gateway.database import database_of
from gateway.keyring import Keyring, MasterKeyRing
from gateway.settings import Settings
from gateway.sharing import open_sharing
from gateway.vault import Vault
from gateway.workers.worker import Worker
from storage.ports import Account, ApiKey, Credential, KeyEnvironment, Scopes, Tier
from tests.support.manual_clock import START_MS
from tests.support.scripted_venue import ScriptedVenue

# Where nothing is lost, a machine that is busy with other things must not look like one that lost its Redis.
PATIENCE_S: Final = 5.0


class FrozenWallClock(SystemClock):
    """Deadlines run as ever; the wall clock stands in the middle of a minute until it is set."""

    def __init__(self) -> None:
        self.at_ms = START_MS // 60_000 * 60_000 + 30_000

    def now_ms(self) -> int:
        return self.at_ms


class Reply(msgspec.Struct, frozen=True):
    status: int
    headers: CIMultiDictProxy[str]
    text: str

    @property
    def json(self) -> dict[str, Any]:
        body = json.loads(self.text)
        assert isinstance(body, dict)
        return body


class Served:
    """``post`` sends an operation the way a client does; the rest makes accounts, keys and credentials."""

    def __init__(self, gateway: Gateway, keyring: Keyring, port: int, client: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.port = port
        self.client = client
        self._keyring = keyring

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def account(self, tier: Tier = Tier.BUILDER) -> Account:
        account_id = str(uuid.uuid4())
        account = Account(account_id=account_id, name=account_id, tier=tier, created_at_ms=0)
        await self.gateway.stores.directory.create_account(account)
        return account

    async def key(
        self,
        account: Account,
        *,
        environment: KeyEnvironment = KeyEnvironment.TEST,
        scopes: Scopes | None = None,
        expires_at_ms: int | None = None,
        revoked: bool = False,
    ) -> str:
        text = keys.mint(environment)
        version = self._keyring.current_pepper_version
        row = ApiKey(
            key_id=str(uuid.uuid4()),
            account_id=account.account_id,
            environment=environment,
            label="",
            prefix=keys.display_prefix(text),
            digest=keys.digest(self._keyring.pepper(version), text),
            pepper_version=version,
            scopes=scopes or Scopes(),
            created_at_ms=0,
            expires_at_ms=expires_at_ms,
        )
        assert await self.gateway.stores.directory.create_key(row, at_most=100)
        if revoked:
            await self.gateway.stores.directory.revoke_key(row.key_id, 1)
        return text

    async def credential(
        self,
        account: Account,
        exchange: str = "scripted",
        network: Network = Network.PAPER,
        secrets: Mapping[str, str] | None = None,
    ) -> Credential:
        credential = self.gateway.vault.seal(
            credential_id=str(uuid.uuid4()),
            account_id=account.account_id,
            exchange=exchange,
            network=network,
            label="",
            address="",
            secrets=secrets or {},
            created_at_ms=0,
        )
        await self.gateway.stores.directory.create_credential(credential)
        return credential

    async def post(
        self, body: bytes | Mapping[str, Any], key: str | None = None, *, method: str = "POST", **headers: str
    ) -> Reply:
        sent = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {}) | headers
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with (
            asyncio.timeout(20),
            self.client.request(method, f"{self.url}/v1", data=data, headers=sent) as response,
        ):
            return Reply(response.status, response.headers, await response.text())


@contextlib.asynccontextmanager
async def served(
    directory: Path,
    adapters: Mapping[str, Adapter] | None = None,
    clock: Clock | None = None,
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    redis_answers_within_s: float = PATIENCE_S,
    worker: Worker | None = None,
    **more_settings: Any,
) -> AsyncIterator[Served]:
    """Of several on one ``directory``, each is a node, or a ``worker``; with ``redis_url`` they share their limits."""
    clock = clock or SystemClock()
    settings = Settings.load(
        {},
        port=0,
        metrics_port=0,
        data_dir=directory,
        demo=True,
        database_url=database_url,
        redis_url=redis_url,
        **more_settings,
    )
    ring = MasterKeyRing([b"m" * 32])
    stores = await database_of(settings).open()
    sharing = (
        None
        if settings.redis is None
        else await open_sharing(settings.redis, stores, clock, answer_within_s=redis_answers_within_s)
    )
    try:
        keyring = await Keyring.open(stores.directory, ring)
        gateway = Gateway(
            settings,
            stores=stores,
            keyring=keyring,
            vault=Vault(ring, keyring.fingerprint_key),
            adapters=adapters if adapters is not None else {"scripted": ScriptedVenue()},
            clock=clock,
            sharing=sharing,
            worker=worker,
        )
        async with (
            gateway.running() as sites,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True) as client,
        ):
            yield Served(gateway, keyring, sites.port, client)
    finally:
        if sharing is not None:
            await sharing.close()
        await stores.close()
