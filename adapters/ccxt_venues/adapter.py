"""The one adapter of all venues here: it turns a venue's row into sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.base import Capabilities, CredentialField, Network, OpenCredential, VenueSession
from adapters.ccxt_venues.nonces import Nonces
from adapters.ccxt_venues.venue import Row, Service, Site, Surroundings
from normalization.errors import ExchangeError, UnsupportedOperation
from normalization.resolver import Markets
from normalization.venue_failures import Reason


class CcxtAdapter:
    """``paper_url`` is where this process itself serves the venue's protocol; without it there is no such network."""

    def __init__(self, row: Row, around: Surroundings, *, paper_url: str | None = None) -> None:
        self.exchange = row.exchange
        self.capabilities: Capabilities = row.capabilities
        self.credential_fields: Sequence[CredentialField] = row.credential_fields
        self._row = row
        self._around = around
        self._hosts = dict(row.hosts)
        if paper_url is not None:
            self._hosts[Network.PAPER] = paper_url
        self.networks = frozenset(self._hosts)
        self._nonces = around.nonces or Nonces(around.now_ms, slot=around.slot, slots=around.slots)
        self._services: dict[Network, Service] = {}

    async def markets(self, network: Network) -> Markets:
        """:raises ServiceUnavailable: the list of markets cannot be had now."""
        return await self._service(network).markets()

    async def open(self, credential: OpenCredential) -> VenueSession:
        """:raises ExchangeError: the credential's secrets are malformed."""
        try:
            return await self._service(credential.network).open(credential)
        except (ValueError, KeyError):
            # What the library says of a malformed key may repeat it.
            raise ExchangeError(
                f"The secrets of this {self.exchange} credential are malformed. Nothing was sent.",
                outcome="not_sent",
                reason=Reason.AUTHENTICATION_FAILED,
                retryable=False,
            ) from None

    def client_id(self, token: bytes) -> str:
        return self._row.client_id(token)

    def describe(self, secrets: Mapping[str, str]) -> str:
        return self._row.describe(secrets)

    async def close(self) -> None:
        for service in self._services.values():
            await service.close()

    def _service(self, network: Network) -> Service:
        service = self._services.get(network)
        if service is None:
            if network not in self._hosts:
                problem = f"{self.exchange} has no {network}"
                if network is Network.PAPER:
                    problem = f"This gateway serves no local {self.exchange}. `venuegate serve --demo` does"
                raise UnsupportedOperation(
                    f"{problem}; real networks are {' and '.join(self._row.hosts)}.",
                    details={"exchange": self.exchange, "network": network},
                )
            site = Site(
                exchange=self.exchange,
                network=network,
                base_url=self._hosts[network].rstrip("/"),
                around=self._around,
                nonces=self._nonces,
            )
            service = self._services[network] = self._row.serve(site)
        return service
