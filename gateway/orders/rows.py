"""The journal rows of orders: as they are drafted before anything is sent, and found again by the caller's id."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.base import Adapter
from gateway.clock import Clock
from gateway.operations.desk import Leg
from gateway.orders.client_ids import ClientIds
from gateway.orders.standing import canonical_request, is_recovered, request_hash
from gateway.random_bits import random_bits
from storage.ports import Credential, Journal, JournalRow

LEASE_MS: Final = 15_000
VALID_FOR_MS: Final = 10_000


def new_order_key(now_ms: int) -> str:
    """Nobody else's, and no secret. Those of one time stand together in indexes, so a commit writes fewer pages."""
    return f"{now_ms:012x}{random_bits(80):020x}"


class OrderRows:
    def __init__(
        self, journal: Journal, adapters: Mapping[str, Adapter], client_ids: ClientIds, clock: Clock, owner: str
    ) -> None:
        self._journal = journal
        self._adapters = adapters
        self._client_ids = client_ids
        self._clock = clock
        self._owner = owner

    def draft(self, credential: Credential, operation: str, legs: Sequence[Leg]) -> list[JournalRow]:
        """One row per leg, each of which has its client order id."""
        now_ms = self._clock.now_ms()
        group_id = secrets.token_hex(16) if len(legs) > 1 else None
        rows = []
        for number, leg in enumerate(legs):
            client_order_id = leg.client_order_id or ""
            request = canonical_request(leg.intent)
            rows.append(
                JournalRow(
                    order_key=new_order_key(now_ms),
                    account_id=credential.account_id,
                    credential_id=credential.credential_id,
                    client_order_id=client_order_id,
                    exchange=credential.exchange,
                    network=credential.network,
                    symbol=leg.intent.symbol,
                    venue_client_id=self._venue_client_id(credential, client_order_id),
                    operation=operation,
                    request=request,
                    request_hash=request_hash(operation, request),
                    group_id=group_id,
                    leg=number,
                    owner=self._owner,
                    lease_until_ms=now_ms + LEASE_MS,
                    valid_until_ms=now_ms + VALID_FOR_MS,
                    created_at_ms=now_ms,
                    updated_at_ms=now_ms,
                )
            )
        return rows

    async def insert(self, rows: Sequence[JournalRow]) -> Sequence[JournalRow | None]:
        """``Journal.insert``, to which an order whose row was lost and made again is the one that it was."""
        try:
            return await self._journal.insert(rows)
        except ValueError:
            earlier = [await self._recovered(row.credential_id, row.venue_client_id) for row in rows]
            if not any(earlier):
                raise
            return earlier

    async def find(self, credential: Credential, client_order_id: str) -> JournalRow | None:
        """The order that was placed under that id, even if its row was lost meanwhile."""
        credential_id = credential.credential_id
        row = await self._journal.find(credential.account_id, credential_id, client_order_id)
        return row or await self._recovered(credential_id, self._venue_client_id(credential, client_order_id))

    async def _recovered(self, credential_id: str, venue_client_id: str) -> JournalRow | None:
        row = await self._journal.by_venue_client_id(credential_id, venue_client_id)
        return row if row is not None and is_recovered(row) else None

    def _venue_client_id(self, credential: Credential, client_order_id: str) -> str:
        token = self._client_ids.token(credential.account_id, credential.credential_id, client_order_id, 0)
        return self._adapters[credential.exchange].client_id(token)
