"""Accounts, keys and credentials for a load: enough of them that nobody's limits are used up."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from adapters.base import Network
from benchmarks.wire import Caller
from gateway import keys
from gateway.clock import Clock
from gateway.keyring import Keyring
from gateway.vault import Vault
from storage.ports import Account, ApiKey, Directory, KeyEnvironment, Scopes, Tier

OPERATIONS = frozenset(
    {"placeLimitOrder", "placeMarketOrder", "placeBatchOrder", "cancelOrder", "getOrders", "getMarkPrice"}
)


class Registrar:
    """Enrols callers: one Pro account, one key with all three scopes, one credential on network paper each."""

    def __init__(
        self,
        directory: Directory,
        keyring: Keyring,
        vault: Vault,
        clock: Clock,
        secrets: Mapping[str, str],
        *,
        exchange: str = "paper",
    ) -> None:
        self._directory = directory
        self._vault = vault
        self._clock = clock
        self._secrets = secrets
        self._exchange = exchange
        self._pepper_version = keyring.current_pepper_version
        self._digest = keys.KeyDigest(keyring.pepper(self._pepper_version))

    async def enrol(self, count: int) -> list[Caller]:
        return [await self.one(number) for number in range(count)]

    async def one(self, number: int) -> Caller:
        now_ms = self._clock.now_ms()
        account_id, credential_id = str(uuid.uuid4()), str(uuid.uuid4())
        account = Account(account_id=account_id, name=f"caller {number}", tier=Tier.PRO, created_at_ms=now_ms)
        await self._directory.create_account(account)
        await self._directory.create_credential(
            self._vault.seal(
                credential_id=credential_id,
                account_id=account_id,
                exchange=self._exchange,
                network=Network.PAPER,
                label="benchmark",
                address="",
                secrets=self._secrets,
                created_at_ms=now_ms,
            )
        )
        text = keys.mint(KeyEnvironment.TEST)
        await self._directory.create_key(self.key(text, account_id, credential_id, now_ms), at_most=1)
        return Caller(key=text, credential_id=credential_id)

    def key(self, text: str, account_id: str, credential_id: str, now_ms: int) -> ApiKey:
        """The row of a key."""
        return ApiKey(
            key_id=str(uuid.uuid4()),
            account_id=account_id,
            environment=KeyEnvironment.TEST,
            label="benchmark",
            prefix=keys.display_prefix(text),
            digest=self._digest(text),
            pepper_version=self._pepper_version,
            scopes=Scopes(
                operations=OPERATIONS, credentials=frozenset({credential_id}), exchanges=frozenset({self._exchange})
            ),
            created_at_ms=now_ms,
        )
