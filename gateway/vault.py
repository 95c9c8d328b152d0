"""Venue credentials: sealed at rest, open only inside a venue session.

Each credential has a data key of its own, wrapped by the master key; its secrets are JSON under that key. Both are
bound to the account, the credential, the exchange, the network and the row version, so that a row which was moved,
edited or rolled back does not open. Nothing here puts a secret into a ``repr``, a log line or an exception.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final

import msgspec
import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.base import Adapter, Network, OpenCredential, VenueSession
from gateway.clock import Clock
from gateway.keyring import (
    KEY_BYTES,
    MasterKeyError,
    MasterKeyRing,
    NotOpened,
    credential_context,
    open_bytes,
    seal_bytes,
)
from gateway.single_flight import SingleFlight
from normalization.errors import CredentialNotFound, InternalError, ServiceUnavailable, UnsupportedOperation
from storage.ports import Credential

_log = structlog.get_logger(__name__)

OPEN_WITHIN_S: Final = 10.0

_SEAL_FORMAT: Final = b"\x01"
_FINGERPRINT_DIGITS: Final = 16
_DATA_KEY_BITS: Final = KEY_BYTES * 8


class CredentialUnreadable(InternalError):
    """A stored credential does not open. The caller learns only that; ``problem`` and ``advice`` are the operator's."""

    def __init__(self, credential_id: str, problem: str, advice: str) -> None:
        super().__init__("This credential cannot be opened. Nothing was sent. The operator's log says why.")
        self.credential_id = credential_id
        self.problem = problem
        self.advice = advice


class Vault:
    """Seals and opens credentials. ``fingerprint_key`` must stay the same for as long as fingerprints are compared."""

    def __init__(self, ring: MasterKeyRing, fingerprint_key: bytes) -> None:
        self._ring = ring
        self._fingerprint_key = fingerprint_key

    def seal(
        self,
        *,
        credential_id: str,
        account_id: str,
        exchange: str,
        network: Network,
        label: str,
        address: str,
        secrets: Mapping[str, str],
        created_at_ms: int,
    ) -> Credential:
        """A new credential as it is stored. ``address`` is what may be shown of it."""
        unsealed = Credential(
            credential_id=credential_id,
            account_id=account_id,
            exchange=exchange,
            network=network.value,
            label=label,
            address=address,
            fingerprint="",
            row_version=1,
            wrapped_key=b"",
            sealed=b"",
            created_at_ms=created_at_ms,
        )
        return self._sealed(unsealed, secrets)

    def reseal(self, credential: Credential, *, address: str, secrets: Mapping[str, str]) -> Credential:
        """The next version of a row, with other secrets. Store it with ``update_credential``."""
        bumped = msgspec.structs.replace(credential, address=address, row_version=credential.row_version + 1)
        return self._sealed(bumped, secrets)

    def open(self, credential: Credential) -> OpenCredential:
        """:raises CredentialUnreadable: the row is not what was sealed, or the master key is another one."""
        context = credential_context(credential)
        try:
            data_key = self._ring.unwrap(credential.wrapped_key, context)
            if credential.sealed[:1] != _SEAL_FORMAT:
                raise NotOpened("it is not in a format that this version knows")
            plain = open_bytes(AESGCM(data_key), credential.sealed[1:], _SEAL_FORMAT + context)
        except MasterKeyError as error:
            raise _unreadable(credential, error.problem, error.advice) from None
        except NotOpened as error:
            advice = "Restore the row, or revoke the credential and add it again"
            raise _unreadable(credential, f"Its row does not open: {error}", advice) from None
        return OpenCredential(
            credential_id=credential.credential_id,
            account_id=credential.account_id,
            exchange=credential.exchange,
            network=Network(credential.network),
            secrets=msgspec.json.decode(plain, type=dict[str, str]),
        )

    def fingerprint(self, account_id: str, secrets: Mapping[str, str]) -> str:
        """16 hex digits, the same for the same secrets in the same account, that tell nothing about them."""
        message = msgspec.json.encode((account_id, sorted(secrets.items())))
        return hmac.digest(self._fingerprint_key, message, hashlib.sha256).hex()[:_FINGERPRINT_DIGITS]

    def _sealed(self, credential: Credential, secrets: Mapping[str, str]) -> Credential:
        context = credential_context(credential)
        data_key = AESGCM.generate_key(_DATA_KEY_BITS)
        plain = msgspec.json.encode(dict(secrets))
        return msgspec.structs.replace(
            credential,
            fingerprint=self.fingerprint(credential.account_id, secrets),
            wrapped_key=self._ring.wrap(data_key, context),
            sealed=_SEAL_FORMAT + seal_bytes(AESGCM(data_key), plain, _SEAL_FORMAT + context),
        )


def _unreadable(credential: Credential, problem: str, advice: str) -> CredentialUnreadable:
    _log.error("credential cannot be opened", credential=credential.credential_id, problem=problem, advice=advice)
    return CredentialUnreadable(credential.credential_id, problem, advice)


class HeldSession:
    """An open session and how many use it. ``with`` it: it stays open until the block ends."""

    __slots__ = ("_sessions", "closed", "retired", "row_version", "session", "used_at", "users")

    def __init__(self, sessions: VenueSessions, session: VenueSession, row_version: int, used_at: float) -> None:
        self._sessions = sessions
        self.session = session
        self.row_version = row_version
        self.used_at = used_at
        self.users = 0
        self.retired = False
        self.closed = False

    def __enter__(self) -> VenueSession:
        self.users += 1
        return self.session

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.users -= 1
        self.used_at = self._sessions.now()
        if not self.users:
            self._sessions.released(self)


class VenueSessions:
    """The open venue sessions of this process, one per credential, at most ``capacity`` but for those in use.

    A session is opened when first needed, once for all who need it, and opened again when its credential's row version
    rises. It is closed only when nobody uses it: least recently used first, when idle, or when its credential is gone.
    """

    def __init__(
        self,
        vault: Vault,
        adapters: Mapping[str, Adapter],
        clock: Clock,
        *,
        capacity: int = 512,
        idle_after_s: float = 900.0,
    ) -> None:
        self._vault = vault
        self._adapters = adapters
        self.now = clock.monotonic
        self._capacity = capacity
        self._idle_after_s = idle_after_s
        self._table: OrderedDict[str, HeldSession] = OrderedDict()
        self._flights: SingleFlight[tuple[str, int], None] = SingleFlight()
        self._lingering: set[HeldSession] = set()
        self._none_linger = asyncio.Event()
        self._closings: set[asyncio.Task[None]] = set()
        self._shut = False

    @asynccontextmanager
    async def use(self, credential: Credential) -> AsyncIterator[VenueSession]:
        """``async with sessions.use(credential) as session``: ``hold``, whatever happens to the credential then."""
        with await self.hold(credential) as session:
            yield session

    async def hold(self, credential: Credential) -> HeldSession:
        """``with await sessions.hold(credential) as session``. One that is open costs next to nothing.

        Raises what the adapter's ``open`` does, and:

        :raises CredentialNotFound: it was revoked.
        :raises CredentialUnreadable: the vault cannot open it.
        :raises UnsupportedOperation: no adapter serves its exchange.
        :raises ServiceUnavailable: the gateway is closing, or the venue takes too long.
        """
        return self._held(credential) or await self._opened(credential)

    def forget(self, credential_id: str) -> None:
        """Close the credential's session as soon as nobody uses it."""
        held = self._table.pop(credential_id, None)
        if held is not None:
            self._retire(held)

    async def close_idle(self) -> None:
        """Close what nobody has used for ``idle_after_s``."""
        before = self.now() - self._idle_after_s
        for credential_id in [key for key, held in self._table.items() if not held.users and held.used_at <= before]:
            self.forget(credential_id)
        await asyncio.gather(*self._closings)

    async def close(self, *, grace_s: float = 5.0) -> None:
        """Close everything, and open nothing any more; sessions in use get ``grace_s`` to be given back."""
        self._shut = True
        for credential_id in list(self._table):
            self.forget(credential_id)
        if opening := self._flights.running():
            await asyncio.wait(opening, timeout=grace_s)
        if self._lingering:
            self._none_linger.clear()
            try:
                await asyncio.wait_for(self._none_linger.wait(), grace_s)
            except TimeoutError:
                _log.warning("closing venue sessions that are still in use", count=len(self._lingering))
                for held in self._lingering:
                    self._close(held)
        await asyncio.gather(*self._closings)

    def _held(self, credential: Credential) -> HeldSession | None:
        held = self._table.get(credential.credential_id)
        # A caller may still have the row from before a change; the session of the newer row serves it too.
        if held is None or held.row_version < credential.row_version or credential.revoked_at_ms is not None:
            return None
        self._table.move_to_end(credential.credential_id)
        return held

    async def _opened(self, credential: Credential) -> HeldSession:
        while True:
            if credential.revoked_at_ms is not None:
                self.forget(credential.credential_id)
                raise CredentialNotFound("This credential was revoked.")
            if self._shut:
                raise ServiceUnavailable("The gateway is stopping. Nothing was sent.", retry_after_s=1)
            flight = (credential.credential_id, credential.row_version)
            try:
                await self._flights.run(flight, lambda: self._open(credential), timeout_s=OPEN_WITHIN_S)
            except TimeoutError:
                raise ServiceUnavailable(
                    f"{credential.exchange} does not answer. Nothing was sent.", retry_after_s=1
                ) from None
            # Between its opening and this line it may have been forgotten or evicted again.
            if held := self._held(credential):
                return held

    def released(self, held: HeldSession) -> None:
        """Nobody uses ``held`` any more."""
        if held.retired:
            self._close(held)
            self._lingering.discard(held)
            if not self._lingering:
                self._none_linger.set()
        elif len(self._table) > self._capacity:
            self._trim()

    async def _open(self, credential: Credential) -> None:
        adapter = self._adapters.get(credential.exchange)
        if adapter is None:
            raise UnsupportedOperation(f"This gateway does not serve the exchange {credential.exchange}.")
        session = await adapter.open(self._vault.open(credential))
        fresh = HeldSession(self, session, credential.row_version, self.now())
        present = self._table.get(credential.credential_id)
        if self._shut or (present is not None and present.row_version >= credential.row_version):
            self._close(fresh)
            return
        self.forget(credential.credential_id)
        self._table[credential.credential_id] = fresh
        self._trim(keep=fresh)

    def _trim(self, keep: HeldSession | None = None) -> None:
        excess = len(self._table) - self._capacity
        if excess > 0:
            free = [key for key, held in self._table.items() if not held.users and held is not keep]
            for credential_id in free[:excess]:
                self.forget(credential_id)

    def _retire(self, held: HeldSession) -> None:
        held.retired = True
        if held.users:
            self._lingering.add(held)
        else:
            self._close(held)

    def _close(self, held: HeldSession) -> None:
        if not held.closed:
            held.closed = True
            task = asyncio.create_task(_close_quietly(held.session))
            self._closings.add(task)
            task.add_done_callback(self._closings.discard)


async def _close_quietly(session: VenueSession) -> None:
    try:
        await session.close()
    except Exception as error:
        # Its text is a venue library's own and might repeat a secret.
        _log.warning("a venue session did not close cleanly", error=type(error).__name__)
