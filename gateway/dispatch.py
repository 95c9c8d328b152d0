"""A typed request to its venue: credential, market, capability, then the operation itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from adapters.base import Adapter, Capabilities, Capability, Network, VenueSession
from gateway.auth import CredentialDirectory, Principal
from gateway.clock import Clock
from gateway.newcomers import AtTheDoor, Newcomers
from gateway.operations.desk import OrderDesk
from gateway.operations.table import Operation
from gateway.operations.wire import AccountRequest, CredentialRequest, PublicRequest, Reply, Request
from gateway.steps import within
from gateway.timings import NOTHING, Timings
from gateway.vault import VenueSessions
from gateway.venue_errors import exchange_error
from normalization.errors import GatewayError, UnknownMarket, UnsupportedOperation
from normalization.instruments import Instrument
from normalization.resolver import Markets
from normalization.venue_failures import (
    Reason,
    VenueFailure,
    VenueUnclear,
)
from storage.ports import Credential, Directory

READ_TIMEOUT_S: Final = 10.0


class VenueCall(msgspec.Struct, frozen=True, kw_only=True):
    """``gateway.operations.wire.Call``: everything that carrying out an operation needs."""

    credential: Credential
    session: VenueSession
    capabilities: Capabilities
    markets: Markets
    instruments: Sequence[Instrument]
    orders: OrderDesk
    confirm_above: Decimal | None
    timings: Timings


class AccountCaller(msgspec.Struct, frozen=True, kw_only=True):
    """``gateway.operations.wire.Caller``."""

    principal: Principal
    directory: Directory

    async def usable_credentials(self) -> Sequence[Credential]:
        credentials = await self.directory.credentials(self.principal.account_id)
        return [credential for credential in credentials if _may_use(self.principal, credential)]


class Dispatcher:
    def __init__(
        self,
        *,
        directory: Directory,
        credentials: CredentialDirectory,
        adapters: Mapping[str, Adapter],
        sessions: VenueSessions,
        orders: OrderDesk,
        newcomers: Newcomers | None = None,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._credentials = credentials
        self._adapters = adapters
        self._sessions = sessions
        self._orders = orders
        self._newcomers = newcomers
        self._clock = clock

    async def perform(
        self, principal: Principal, operation: Operation, request: Request, timings: Timings, *, confirmed: bool = False
    ) -> Reply:
        """``confirmed``: a person has said yes to the orders of this request."""
        if not isinstance(request, CredentialRequest):
            if isinstance(request, AccountRequest):
                return await request.answer(AccountCaller(principal=principal, directory=self._directory))
            if isinstance(request, PublicRequest):
                return await request.join(AtTheDoor(self._open_door(operation), principal))
            raise TypeError(f"{operation.name} is neither an account nor a credential request")
        credential = await self._credentials.find(principal.account_id, str(request.credential_id))
        principal.require_access(credential)
        adapter = self._adapters.get(credential.exchange)
        if adapter is None:
            raise UnsupportedOperation(f"This gateway runs without {credential.exchange}")
        if operation.only_at not in (None, credential.exchange):
            raise _elsewhere(operation, credential)
        try:
            markets = await adapter.markets(_NETWORKS[credential.network])
            instruments = [_resolve(markets, field, name) for field, name in request.markets_named()]
            if operation.capability is not None and operation.capability not in adapter.capabilities.supports:
                raise _unsupported(operation, operation.capability, adapter)
            with await self._sessions.hold(credential) as session:
                call = VenueCall(
                    credential=credential,
                    session=session,
                    capabilities=adapter.capabilities,
                    markets=markets,
                    instruments=instruments,
                    orders=self._orders,
                    confirm_above=None if confirmed else principal.scopes.confirm_above,
                    timings=timings,
                )
                timings.enter("venue")
                if operation.places_orders:
                    # The desk has deadlines of its own: a placement must not be cut short between journal and answer.
                    reply = await request.perform(call)
                else:
                    reply = await within(READ_TIMEOUT_S, request.perform(call))
                timings.enter(NOTHING)
                return reply
        except VenueFailure as failure:
            raise exchange_error(credential.exchange, failure, hint=operation.when_unknown) from failure
        except TimeoutError:
            silent = VenueUnclear(Reason.VENUE_TIMEOUT, f"no answer within {READ_TIMEOUT_S:.0f} s")
            raise exchange_error(credential.exchange, silent, hint=operation.when_unknown) from None

    async def perform_public(self, operation: Operation, request: Request, peer: str) -> Reply:
        """For somebody without a key, at ``peer``.

        :raises RateLimited: too often from there.
        """
        if not isinstance(request, PublicRequest):
            raise TypeError(f"{operation.name} is not a public request")
        newcomers = self._open_door(operation)
        newcomers.charge(peer, operation.name)
        return await request.join(AtTheDoor(newcomers, None))

    def _open_door(self, operation: Operation) -> Newcomers:
        """:raises UnsupportedOperation: nobody signs up here."""
        if self._newcomers is None:
            raise UnsupportedOperation(f"This gateway has no {operation.name}.")
        return self._newcomers


_NETWORKS: Final = {network.value: network for network in Network}


def _may_use(principal: Principal, credential: Credential) -> bool:
    try:
        principal.require_access(credential)
    except GatewayError:
        return False
    return True


def _resolve(markets: Markets, field: str, name: str) -> Instrument:
    try:
        return markets.resolve(name)
    except UnknownMarket as unknown:
        raise unknown.at(field) from None


def _elsewhere(operation: Operation, credential: Credential) -> UnsupportedOperation:
    return UnsupportedOperation(
        f"{operation.name} is for credentials of {operation.only_at}; this one is of {credential.exchange}.",
        details={"exchange": credential.exchange, "operation": operation.name},
    )


def _unsupported(operation: Operation, capability: Capability, adapter: Adapter) -> UnsupportedOperation:
    """With what the venue can do instead."""
    instead = adapter.capabilities.unsupported.get(capability, "")
    return UnsupportedOperation(
        f"{adapter.exchange} does not support {operation.name}. {instead}".rstrip(),
        details={"exchange": adapter.exchange, "operation": operation.name},
    )
