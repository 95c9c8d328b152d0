"""The order machine, wired to a scripted venue, a journal and a manual clock."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from adapters.base import Adapter, Grouping, VenueSession
from gateway.operations.desk import Leg, Placed
from gateway.operations.wire import Call
from gateway.orders.client_ids import ClientIds
from gateway.orders.desk import Desk
from gateway.orders.ledger import Ledger
from gateway.orders.reconciler import Reconciler
from gateway.orders.sending import Sender
from gateway.orders.supervisor import Supervisor
from gateway.timings import Timings
from normalization.instruments import Instrument
from normalization.orders import Execution, Limit, OrderIntent, Side
from normalization.resolver import Markets
from storage.ports import Credential, Journal, JournalRow
from tests.support.manual_clock import ManualClock
from tests.support.memory_journal import MemoryJournal
from tests.support.scripted_venue import MARKETS, ScriptedVenue

BTC = MARKETS.resolve("BTC-USD-PERP")
CREDENTIAL = Credential(
    credential_id="11111111-1111-4111-8111-111111111111",
    account_id="acc",
    exchange="scripted",
    network="paper",
    label="",
    address="",
    fingerprint="",
    row_version=1,
    wrapped_key=b"",
    sealed=b"",
    created_at_ms=0,
)


class MachineCall(msgspec.Struct, frozen=True, kw_only=True):
    credential: Credential
    session: VenueSession
    capabilities: Any
    markets: Markets
    instruments: Sequence[Instrument]
    orders: Any
    timings: Timings
    confirm_above: Decimal | None = None


class OneSession:
    def __init__(self, venue: ScriptedVenue) -> None:
        self._venue = venue

    @contextlib.asynccontextmanager
    async def use(self, credential: Credential) -> AsyncIterator[VenueSession]:
        yield self._venue


class OneCredential:
    """As much of a directory as the reconciler asks for."""

    async def credential(self, credential_id: str) -> Credential | None:
        return CREDENTIAL if credential_id == CREDENTIAL.credential_id else None


class Machine:
    """One node. Give two of them the same journal and venue and they are two nodes."""

    def __init__(
        self,
        venue: ScriptedVenue | None = None,
        journal: Journal | None = None,
        clock: ManualClock | None = None,
        owner: str = "node-1",
        timeout_s: float = 10.0,
        sender: type[Sender] = Sender,
        ledger: type[Ledger] = Ledger,
        alone: bool = False,
    ) -> None:
        self.venue = venue or ScriptedVenue()
        self.journal: Any = journal or MemoryJournal()
        self.clock = clock or ManualClock()
        self.settled: list[JournalRow] = []
        self.supervisor = Supervisor()
        self.ledger = ledger(self.journal, self.clock, on_settled=self.settled.append, brake_wait_s=0.01)
        sessions = OneSession(self.venue)
        self.desk = Desk(
            journal=self.journal,
            sessions=sessions,
            adapters={"scripted": self.venue},
            client_ids=ClientIds(b"k" * 32),
            ledger=self.ledger,
            supervisor=self.supervisor,
            sender=sender(self.clock, timeout_s=timeout_s),
            clock=self.clock,
            owner=owner,
        )
        self.owner = owner
        self.reconciler = self.reconciler_of({"scripted": self.venue}, alone=alone)

    def reconciler_of(self, adapters: Mapping[str, Adapter], *, alone: bool = False) -> Reconciler:
        directory: Any = OneCredential()
        return Reconciler(
            journal=self.journal,
            ledger=self.ledger,
            directory=directory,
            sessions=OneSession(self.venue),
            adapters=adapters,
            clock=self.clock,
            owner=self.owner,
            alone=alone,
        )

    def call(self, instrument: Instrument | None = BTC) -> Call:
        return MachineCall(
            credential=CREDENTIAL,
            session=self.venue,
            capabilities=self.venue.capabilities,
            markets=MARKETS,
            instruments=() if instrument is None else (instrument,),
            orders=self.desk,
            timings=Timings(self.clock),
        )

    async def place(self, client_order_id: str | None = "one", *, size: str = "0.01", **leg: Any) -> Placed:
        (placed,) = await self.desk.place(self.call(), "placeLimitOrder", [a_leg(client_order_id, size=size, **leg)])
        return placed

    async def place_batch(self, *legs: Leg, grouping: Grouping = Grouping.NONE) -> Sequence[Placed]:
        return await self.desk.place(self.call(), "placeBatchOrder", legs, grouping=grouping)

    async def row(self, client_order_id: str = "one") -> JournalRow:
        row = await self.journal.find(CREDENTIAL.account_id, CREDENTIAL.credential_id, client_order_id)
        assert isinstance(row, JournalRow)
        return row

    async def reconcile_for(self, seconds: float, step_s: float = 0.25) -> None:
        """Let the reconciler work through that much time."""
        elapsed = 0.0
        while elapsed < seconds:
            self.clock.advance(step_s)
            elapsed += step_s
            await self.reconciler.run_once()


def a_leg(
    client_order_id: str | None = "one",
    *,
    size: str = "0.01",
    side: Side = Side.BUY,
    execution: Execution | None = None,
    reduce_only: bool = False,
) -> Leg:
    intent = OrderIntent(
        symbol=BTC.symbol,
        side=side,
        size=Decimal(size),
        execution=execution or Limit(price=Decimal(94000)),
        reduce_only=reduce_only,
    )
    return Leg(intent=intent, instrument=BTC, client_order_id=client_order_id)
