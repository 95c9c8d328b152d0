"""Thousands of orders on a virtual clock, from a seed: lost answers, refusals, stalls, crashes, retries on two nodes.

The venue of this simulation executes whatever reaches it, repeated ids included, so that a doubled order shows.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from adapters.base import Capabilities, Grouping, Submission, VenueSession
from gateway.orders.classification import Verdict
from gateway.orders.ledger import Ledger
from gateway.orders.sending import Outcome, Sender
from gateway.orders.states import DENIED, UNDECIDED
from normalization.errors import GatewayError
from normalization.instruments import Instrument
from normalization.orders import Order
from normalization.venue_failures import Reason, VenueDeferred, VenueNotReached, VenueRejected, VenueUnclear
from storage.ports import JournalRow, OrderState, StorageUnavailable
from tests.support.manual_clock import ManualClock
from tests.support.memory_journal import MemoryJournal
from tests.support.order_machine import Machine
from tests.support.scripted_venue import Behaviour, ScriptedVenue, accept, accept_then, fail

SEEDS = range(150)
_LOST = (TimeoutError(), ConnectionResetError(), VenueUnclear(Reason.OTHER, "html"), KeyError("id"))
_NOT_EXECUTED = (
    VenueRejected(Reason.INSUFFICIENT_FUNDS, "no"),
    VenueNotReached(Reason.VENUE_UNREACHABLE, "refused"),
    VenueDeferred(Reason.VENUE_RATE_LIMITED, "slow down"),
    *_LOST,
)


class CrashingJournal(MemoryJournal):
    """Now and then the process dies before it can record what came of an order, or stalls after the commit."""

    def __init__(self, clock: ManualClock, chance: random.Random) -> None:
        super().__init__()
        self._clock = clock
        self._chance = chance

    async def insert(self, rows: Sequence[JournalRow]) -> Sequence[JournalRow | None]:
        earlier = await super().insert(rows)
        if self._chance.random() < 0.1:
            self._clock.advance(self._chance.choice([0.5, 2, 20, 60]))
        return earlier

    def _check(self, *, changing: bool = False) -> None:
        if changing and self._chance.random() < 0.05:
            raise StorageUnavailable("killed here", "Start again")


class Simulation:
    def __init__(
        self,
        seed: int,
        *,
        sender: type[Sender] = Sender,
        ledger: type[Ledger] = Ledger,
        journal: type[CrashingJournal] = CrashingJournal,
        venue: ScriptedVenue | None = None,
    ) -> None:
        self.chance = random.Random(seed)
        self.clock = ManualClock()
        self.venue = venue or ScriptedVenue()
        self.venue.dedupes = False
        self.journal = journal(self.clock, self.chance)
        self.nodes = [
            Machine(self.venue, self.journal, self.clock, f"node-{n}", sender=sender, ledger=ledger) for n in (1, 2)
        ]

    async def run(self, steps: int = 60) -> None:
        for _ in range(steps):
            await self._step()
        self.venue.hidden, self.venue.lookup_failure = False, None
        for _ in range(400):
            self.clock.advance(0.5)
            try:
                await self.chance.choice(self.nodes).reconciler.run_once()
            except StorageUnavailable:
                continue

    async def _step(self) -> None:
        chance, node = self.chance, self.chance.choice(self.nodes)
        self.venue.lookup_failure = TimeoutError() if chance.random() < 0.2 else None
        self.clock.advance(chance.choice([0, 0.1, 1, 5]))
        try:
            if chance.random() < 0.6:
                self.venue.script.append(self._behaviour())
                await node.place(f"order-{chance.randrange(25)}")
                self.venue.script.clear()
            else:
                await node.reconciler.run_once()
        except (StorageUnavailable, GatewayError):
            self.venue.script.clear()

    def _behaviour(self) -> Behaviour:
        kind = self.chance.random()
        if kind < 0.4:
            return accept
        return accept_then(self.chance.choice(_LOST)) if kind < 0.7 else fail(self.chance.choice(_NOT_EXECUTED))

    def violations(self) -> list[str]:
        executed = Counter(self.venue.executions)
        rows = {row.venue_client_id: row for row in self.journal.rows.values()}
        found = [f"{rows[i].client_order_id} executed {n} times" for i, n in executed.items() if n > 1]
        found += [f"{i} executed without a row" for i in executed if i not in rows]
        for venue_id, row in rows.items():
            if row.state in DENIED and venue_id in executed:
                found.append(f"{row.client_order_id} is {row.state} but executed")
            if row.state in UNDECIDED:
                found.append(f"{row.client_order_id} is still {row.state}")
        return found


@pytest.mark.parametrize("first", range(0, len(SEEDS), 50))
async def test_no_seed_doubles_forgets_or_lies_about_an_order(first: int) -> None:
    for seed in SEEDS[first : first + 50]:
        simulation = Simulation(seed)
        await simulation.run()
        assert simulation.violations() == [], f"seed {seed}"
        assert simulation.venue.executions


async def test_a_seed_replays_exactly() -> None:
    runs = []
    for _ in range(2):
        simulation = Simulation(7)
        await simulation.run()
        rows = simulation.journal.rows.values()
        runs.append([(row.client_order_id, row.state, row.checks, row.fence) for row in rows])
    assert runs[0] == runs[1]


class ResendsWhatItDoesNotKnow(Sender):
    async def send(
        self,
        session: VenueSession,
        submissions: Sequence[Submission],
        grouping: Grouping,
        started: float,
        capabilities: Capabilities,
    ) -> Sequence[Outcome]:
        outcomes = await super().send(session, submissions, grouping, started, capabilities)
        if isinstance(outcomes[0], TimeoutError | ConnectionResetError):
            return await super().send(session, submissions, grouping, self._clock.monotonic(), capabilities)
        return outcomes


class TakesEveryExceptionForAFailure(Ledger):
    async def settle(self, row: JournalRow, verdict: Verdict) -> JournalRow:
        if verdict.state is OrderState.UNKNOWN:
            verdict = msgspec.structs.replace(verdict, state=OrderState.REJECTED)
        return await super().settle(row, verdict)


class WithoutAUniqueIndex(CrashingJournal):
    async def find(self, account_id: str, credential_id: str, client_order_id: str) -> JournalRow | None:
        return None

    async def by_venue_client_id(self, credential_id: str, venue_client_id: str) -> JournalRow | None:
        return None


class AnswersEveryLookup(ScriptedVenue):
    """What a gateway would believe that takes a failed lookup for "not found"."""

    def __init__(self) -> None:
        super().__init__()
        self._lookups = 0

    async def find_order(self, client_id: str, instrument: Instrument) -> Order | None:
        self._lookups += 1
        return self.orders.get(client_id) if self._lookups % 4 == 0 else None


class ForgetsWhatItFound(Ledger):
    async def observe(self, row: JournalRow, order: Order) -> JournalRow:
        return row


BUGS = {
    "resends what it does not know": lambda seed: Simulation(seed, sender=ResendsWhatItDoesNotKnow),
    "takes every exception for a failure": lambda seed: Simulation(seed, ledger=TakesEveryExceptionForAFailure),
    "forgets what it found": lambda seed: Simulation(seed, ledger=ForgetsWhatItFound),
    "has no unique index": lambda seed: Simulation(seed, journal=WithoutAUniqueIndex),
    "takes a failed lookup for absence": lambda seed: Simulation(seed, venue=AnswersEveryLookup()),
}


@pytest.mark.parametrize("bug", BUGS)
async def test_the_simulation_finds_a_planted_bug(bug: str) -> None:
    found = 0
    for seed in SEEDS[:20]:
        simulation = BUGS[bug](seed)
        await simulation.run()
        found += bool(simulation.violations())
    assert found > 0
