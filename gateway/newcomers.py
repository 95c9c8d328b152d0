"""Getting in without a key: a Solana wallet signs up at Milo, and an account here has the credential from then on.

Milo is asked first and everything of ours is stored in one transaction after it, so nothing is ever half there. Milo
shows its key once: where ours cannot be stored, the caller still gets Milo's.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from typing import Final, TypeVar
from uuid import uuid4

import structlog

from adapters.base import Adapter, Network
from adapters.milo.accounts import MessageAsked, Registered, Registration, ToSign
from adapters.milo.api import EXCHANGE, KEY_FIELD, SignsUp
from gateway.accounts import KeyMint, checked_secrets
from gateway.auth import Principal
from gateway.clock import Clock
from gateway.failed_attempts import site_of
from gateway.operations.wire import Joined
from gateway.vault import Vault
from gateway.venue_errors import exchange_error
from normalization.errors import AlreadyRegistered, OperationNotAllowed, RateLimited, UnsupportedOperation
from normalization.venue_failures import Reason, VenueFailure, VenueRejected, VenueUnclear
from storage.ports import Account, Credential, Directory, KeyEnvironment, StorageUnavailable, Tier

PER_ADDRESS: Final = 5
WINDOW_S: Final = 60.0
_ADDRESSES: Final = 10_000
_LABEL: Final = "signup"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,58}")
_ENVIRONMENTS: Final = {Network.MAINNET: KeyEnvironment.LIVE, Network.PAPER: KeyEnvironment.TEST}
_NOT_STORED: Final = (
    "Milo has registered the wallet, but the gateway could not store it: keep Milo's key, and add it as a credential"
)
_NOT_ANSWERED: Final = (
    "Milo did not answer, and may have registered the wallet all the same: then it answers 409 from now on, and its key"
    " has to be had from Milo."
)

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class AddressWindows:
    """How often an address may ask without a key, in a window of a minute from the first time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def charge(self, peer: str, what: str) -> None:
        """:raises RateLimited: nothing was counted."""
        key, now = (site_of(peer), what), self._clock.monotonic()
        ends_at, count = self._windows.pop(key, (now + WINDOW_S, 0))
        if now >= ends_at:
            ends_at, count = now + WINDOW_S, 0
        is_full = count >= PER_ADDRESS
        self._windows[key] = (ends_at, count + (not is_full))
        if len(self._windows) > _ADDRESSES:
            self._windows.popitem(last=False)
        if is_full:
            wait_s = max(1, math.ceil(ends_at - now))
            raise RateLimited(
                f"{PER_ADDRESS} a minute from one address, without a key. Retry after {wait_s}s.",
                retry_after_s=wait_s,
            )


class Newcomers:
    """``tier`` is what an account has that makes itself here; None where none may."""

    def __init__(
        self,
        directory: Directory,
        *,
        mint: KeyMint,
        vault: Vault,
        adapters: Mapping[str, Adapter],
        clock: Clock,
        tier: Tier | None,
    ) -> None:
        self.directory = directory
        self.mint = mint
        self.vault = vault
        self.clock = clock
        self.tier = tier
        self._adapters = adapters
        self._windows = AddressWindows(clock)

    def charge(self, peer: str, what: str) -> None:
        """:raises RateLimited: too often from one address. :raises OperationNotAllowed: nobody signs up here."""
        if self.tier is None:
            raise OperationNotAllowed("Nobody can sign up at this gateway: its operator makes accounts.")
        self._windows.charge(peer, what)

    def venue(self) -> tuple[Adapter, SignsUp]:
        """:raises UnsupportedOperation: this gateway runs without it."""
        adapter = self._adapters.get(EXCHANGE)
        if adapter is None or not isinstance(adapter, SignsUp):
            raise UnsupportedOperation(f"This gateway runs without {EXCHANGE}.")
        return adapter, adapter


class AtTheDoor:
    """``gateway.operations.wire.Newcomer``: somebody who signs up; ``principal`` is None where they showed no key."""

    def __init__(self, newcomers: Newcomers, principal: Principal | None) -> None:
        self._newcomers = newcomers
        self._principal = principal

    async def message_to_sign(self, network: Network | None, asked: MessageAsked) -> ToSign:
        _, venue = self._newcomers.venue()
        return await _told(venue.request_message(self._network(network, venue), asked))

    async def register(self, network: Network | None, registration: Registration) -> Joined:
        adapter, venue = self._newcomers.venue()
        network = self._network(network, venue)
        # Milo shows its key once: it is not asked for one that cannot be kept.
        await self._newcomers.directory.revision()
        registered = await _told(venue.register(network, registration))
        try:
            return await self._stored(registered, adapter, network)
        except (StorageUnavailable, ValueError):
            _log.exception("a wallet signed up and could not be stored", user=registered.user.id)
            return Joined(registered=registered, account_id=None, credential_id=None, api_key=None, hint=_NOT_STORED)

    def _network(self, asked: Network | None, venue: SignsUp) -> Network:
        """:raises CredentialNotAllowed: the key is for the other side."""
        if self._principal is None:
            return asked or (Network.PAPER if Network.PAPER in venue.networks else Network.MAINNET)
        is_live = self._principal.environment is KeyEnvironment.LIVE
        network = asked or (Network.MAINNET if is_live else Network.PAPER)
        self._principal.require_network(network)
        return network

    async def _stored(self, registered: Registered, adapter: Adapter, network: Network) -> Joined:
        if self._principal is not None:
            credential = self._credential(self._principal.account_id, registered, adapter, network)
            await self._newcomers.directory.create_credential(credential)
            return Joined(
                registered=registered,
                account_id=credential.account_id,
                credential_id=credential.credential_id,
                api_key=None,
            )
        account = Account(
            account_id=str(uuid4()),
            name=_account_name(registered.user.id),
            tier=self._newcomers.tier or Tier.FREE,
            created_at_ms=self._newcomers.clock.now_ms(),
        )
        credential = self._credential(account.account_id, registered, adapter, network)
        minted = self._newcomers.mint.drafted(account.account_id, _ENVIRONMENTS[network], label=_LABEL)
        await self._newcomers.directory.enroll(account, minted.key, credential)
        return Joined(
            registered=registered,
            account_id=account.account_id,
            credential_id=credential.credential_id,
            api_key=minted.text,
        )

    def _credential(self, account_id: str, registered: Registered, adapter: Adapter, network: Network) -> Credential:
        secrets = {KEY_FIELD: registered.api_key}
        return self._newcomers.vault.seal(
            credential_id=str(uuid4()),
            account_id=account_id,
            exchange=EXCHANGE,
            network=network,
            label=_LABEL,
            address=_trading_address(registered),
            secrets=checked_secrets(adapter.credential_fields, secrets),
            created_at_ms=self._newcomers.clock.now_ms(),
        )


async def _told(asking: Awaitable[T]) -> T:
    """:raises GatewayError: what the venue did instead of answering."""
    try:
        return await asking
    except VenueRejected as refusal:
        if refusal.reason is Reason.CONFLICT:
            raise AlreadyRegistered(
                "This wallet belongs to a user of Milo already. Add that user's API key as a credential instead.",
                details={"reason": refusal.reason, "venueMessage": refusal.text},
            ) from refusal
        raise exchange_error(EXCHANGE, refusal) from refusal
    except VenueUnclear as failure:
        raise exchange_error(EXCHANGE, failure, hint=_NOT_ANSWERED) from failure
    except VenueFailure as failure:
        raise exchange_error(EXCHANGE, failure) from failure


def _trading_address(registered: Registered) -> str:
    return next((wallet.address for wallet in registered.wallets if wallet.type == "milo"), "")


def _account_name(user_id: str) -> str:
    return f"{EXCHANGE}-{user_id if _NAME.fullmatch(user_id) else uuid4()}"
