"""Orders of ours that live on a venue without a row: the database was restored from an old backup, or lost.

The tag in a client order id tells them from strangers' orders, and from those of another credential for the same venue
account: all of these are left alone. Where a venue's ids have no room for the tag, nobody can tell.

Whoever asks for one by its own ``clientOrderId`` finds it: the venue client id is derived from that again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from adapters.base import Adapter, Capability
from gateway.clock import Clock
from gateway.orders.client_ids import ClientIds
from gateway.orders.desk import Sessions
from gateway.orders.rows import new_order_key
from gateway.orders.standing import RECOVERED, canonical_request, encode_order, intent_of_stranger, request_hash
from gateway.orders.states import state_of
from normalization.errors import CredentialNotFound
from normalization.orders import Order
from storage.ports import Credential, Journal, JournalRow

TRIES_AFTER_S: Final = (2.0, 30.0, 300.0)
"""The first of them when the request that opened the session is done, the others where the venue did not answer."""
ASK_WITHIN_S: Final = 10.0
AT_ONCE: Final = 2
REST_S: Final = 0.05
"""After each. Nobody waits for it: requests come first, at the venues and in the database."""

_FOUND: Final = "found open on the venue by the tag of its client order id: the journal did not have it"
_log = structlog.get_logger(__name__)


class Orphans:
    """Looks at the open orders of every credential once, when its session is first opened in this process.

    ``on_found(row)`` is called with every row that was made for an orphan.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        sessions: Sessions,
        adapters: Mapping[str, Adapter],
        client_ids: ClientIds,
        clock: Clock,
        owner: str,
        on_found: Callable[[JournalRow], None] = lambda row: None,
    ) -> None:
        self._journal = journal
        self._sessions = sessions
        self._adapters = adapters
        self._client_ids = client_ids
        self._clock = clock
        self._owner = owner
        self._on_found = on_found
        self._seen: set[str] = set()
        self._sweeps: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    def opened(self, credential: Credential) -> None:
        """A session of ``credential`` was opened: its orders are looked at later, unless they were before."""
        if credential.credential_id in self._seen:
            return
        self._seen.add(credential.credential_id)
        if Capability.OPEN_ORDERS in self._adapters[credential.exchange].capabilities.supports:
            task = asyncio.create_task(self._sweep_later(credential))
            self._sweeps.add(task)
            task.add_done_callback(self._sweeps.discard)

    async def close(self) -> None:
        for task in self._sweeps:
            task.cancel()
        await asyncio.gather(*self._sweeps, return_exceptions=True)

    async def _sweep_later(self, credential: Credential) -> None:
        for pause in TRIES_AFTER_S:
            await self._clock.sleep(pause)
            try:
                async with self._room:
                    await self.sweep(credential)
                    await self._clock.sleep(REST_S)
                return
            except CredentialNotFound:
                return
            except Exception as failure:
                # Its text may be a venue library's own.
                told = {"credential": credential.credential_id, "error": type(failure).__name__}
                _log.info("open orders could not be looked at", **told)
        _log.warning("nobody knows whether there are orders that the journal lost", credential=credential.credential_id)

    async def sweep(self, credential: Credential) -> None:
        """Give every orphan among the open orders its row. Raises what the session does, and ``TimeoutError``."""
        async with asyncio.timeout(ASK_WITHIN_S), self._sessions.use(credential) as session:
            orders = await session.get_open_orders(None)
        ours = {order.client_id or "": order for order in orders if self._is_ours(credential, order)}
        # Asked after the venue: what is being placed has had its row since before the venue heard of it.
        known = await self._journal.known_among(credential.credential_id, ours) if ours else ()
        for venue_client_id, order in ours.items():
            if venue_client_id not in known:
                await self._take_in(credential, order, venue_client_id)

    def _is_ours(self, credential: Credential, order: Order) -> bool:
        token = self._client_ids.token_behind(order.client_id or "", credential.credential_id)
        return token is not None and self._adapters[credential.exchange].client_id(token) == order.client_id

    async def _take_in(self, credential: Credential, order: Order, venue_client_id: str) -> None:
        row = self._row_of(credential, order, venue_client_id)
        try:
            if await self._journal.insert([row]) != [None]:
                return
        except ValueError:
            # Another node found it at the same moment.
            return
        _log.warning("an order that the journal had lost", order=row.order_key, venue=row.exchange)
        self._on_found(row)

    def _row_of(self, credential: Credential, order: Order, venue_client_id: str) -> JournalRow:
        now_ms = self._clock.now_ms()
        request = canonical_request(intent_of_stranger(order))
        return JournalRow(
            order_key=new_order_key(now_ms),
            account_id=credential.account_id,
            credential_id=credential.credential_id,
            client_order_id=f"{RECOVERED}-{venue_client_id}",
            exchange=credential.exchange,
            network=credential.network,
            symbol=order.symbol,
            venue_client_id=venue_client_id,
            operation=RECOVERED,
            request=request,
            request_hash=request_hash(RECOVERED, request),
            state=state_of(order),
            owner=self._owner,
            lease_until_ms=now_ms,
            valid_until_ms=now_ms,
            created_at_ms=order.created_at_ms,
            updated_at_ms=now_ms,
            venue_order_id=order.order_id,
            venue_order=encode_order(order),
            evidence=_FOUND,
        )
