"""Finding out what became of orders nobody answered for. It looks up; it never submits.

Work is claimed from the journal under a lease and a higher fence, so that any number of nodes share it. Idle, it
sleeps.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final

import structlog

from adapters.base import Adapter, Network, VenueSession
from gateway.clock import Clock
from gateway.orders.absence import LATE_LOOK_MS, Judgement, Ruling, rule_failure, rule_negative
from gateway.orders.classification import MAX_EVIDENCE
from gateway.orders.desk import Sessions
from gateway.orders.ledger import MOST_REMEMBERED, Ledger
from gateway.orders.looking_up import cancel_found, venues_report
from gateway.orders.states import LIVE
from normalization.errors import GatewayError
from normalization.instruments import Instrument
from normalization.orders import Order
from normalization.venue_failures import Reason, VenueFailure, VenueRejected, VenueUnclear
from storage.ports import Directory, Journal, JournalChange, JournalRow, OrderState, StorageUnavailable

LEASE_MS: Final = 30_000
LOOK_UP_S: Final = 10.0
_AT_ONCE: Final = 64
_PER_VENUE: Final = 8
"""A venue that has so many lookups under way gets no further one: a silent one must not keep the others from theirs."""
_PER_CLAIM: Final = 4
_INHERITED_AT_ONCE: Final = 256
_IDLE_POLL_S: Final = 30.0
_SHARED_IDLE_POLL_S: Final = 5.0
_BUSY_POLL_S: Final = 0.25
_STORAGE_PAUSE_S: Final = 2.0
_ABANDONED: Final = "nobody recorded what came of sending it"

_log = structlog.get_logger(__name__)


class Reconciler:
    """``alone`` says that no other process works on this journal: what an earlier one left behind need not wait for its
    lease to run out.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        ledger: Ledger,
        directory: Directory,
        sessions: Sessions,
        adapters: Mapping[str, Adapter],
        clock: Clock,
        owner: str,
        alone: bool = False,
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._directory = directory
        self._sessions = sessions
        self._adapters = adapters
        self._clock = clock
        self._owner = owner
        self._may_inherit = alone
        # What others leave behind when they die wakes nobody here.
        self._idle_poll_s = _IDLE_POLL_S if alone else _SHARED_IDLE_POLL_S
        self._wake = asyncio.Event()
        self._under_way: dict[asyncio.Task[None], str] = {}

    def wake(self) -> None:
        """There may be new work."""
        self._wake.set()

    async def start(self) -> None:
        """Take over and remember what an earlier run left in doubt, before the first new order is placed."""
        await self._inherit()
        in_doubt = await self._journal.in_states([OrderState.UNKNOWN, OrderState.SENDING], MOST_REMEMBERED)
        self._ledger.remember_undecided(in_doubt)
        if in_doubt:
            _log.warning("orders in doubt from an earlier run", count=len(in_doubt))

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    taken_on = await self._take_on()
                    pause = 0.0 if taken_on else await self._until_next()
                except StorageUnavailable as problem:
                    _log.error("reconciliation waits for the database", problem=problem.problem)
                    pause = _STORAGE_PAUSE_S
                except Exception:
                    # Without this task every order in doubt would stay so, and nobody would notice.
                    _log.exception("reconciliation failed; it is tried again")
                    pause = _STORAGE_PAUSE_S
                if pause:
                    await self._sleep(pause)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def run_once(self) -> int:
        """Look after what is due now, as far as it can be at once; how many orders that were."""
        taken_on = 0
        while count := await self._take_on():
            taken_on += count
        while self._under_way:
            await asyncio.wait(self._under_way)
        return taken_on

    async def _take_on(self) -> int:
        """Begin to look after some of what is due, where there is room; how many orders those are."""
        await self._inherit()
        if len(self._under_way) >= _AT_ONCE:
            return 0
        looked_up_at = Counter(self._under_way.values())
        rows = await self._journal.claim(
            owner=self._owner,
            now_ms=self._clock.now_ms(),
            lease_ms=LEASE_MS,
            limit=_PER_CLAIM,
            except_at=[exchange for exchange, count in looked_up_at.items() if count >= _PER_VENUE],
        )
        for row in rows:
            task = asyncio.create_task(self._examine_safely(row))
            self._under_way[task] = row.exchange
            task.add_done_callback(self._done)
        return len(rows)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._wake.set()

    async def _inherit(self) -> None:
        """Make due now what waits for the leases and checks of a predecessor, once; later rows are this process's own.

        Each row is claimed once only: its new lease ends after the time that is looked ahead.
        """
        while self._may_inherit:
            now_ms = self._clock.now_ms()
            rows = await self._journal.claim(
                owner=self._owner, now_ms=now_ms + LEASE_MS, lease_ms=LEASE_MS, limit=_INHERITED_AT_ONCE
            )
            await asyncio.gather(*(self._make_due(row, now_ms) for row in rows))
            self._may_inherit = len(rows) == _INHERITED_AT_ONCE

    async def _make_due(self, row: JournalRow, now_ms: int) -> None:
        if row.state is OrderState.SENDING:
            await self._ledger.move(row, JournalChange(state=OrderState.UNKNOWN, next_check_ms=now_ms, note=_ABANDONED))
        elif row.state is not OrderState.NOT_PLACED:
            # The late look at what was proved absent has its own time.
            await self._ledger.move(row, JournalChange(next_check_ms=now_ms))

    async def _until_next(self) -> float:
        due_ms = await self._journal.next_due_ms()
        if due_ms is None:
            return self._idle_poll_s
        if self._under_way:
            # What is due already may be a busy venue's; something of another may become so meanwhile.
            return _BUSY_POLL_S
        return min(max((due_ms - self._clock.now_ms()) / 1000, 0.02), self._idle_poll_s)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _examine_safely(self, row: JournalRow) -> None:
        """One order that cannot be looked up must not keep the others from it."""
        try:
            try:
                await self._examine(row)
            except StorageUnavailable:
                raise
            except Exception:
                _log.exception("order could not be examined", order=row.order_key)
                await self._apply(row, rule_failure(row, self._clock.now_ms()), "the lookup failed inside the gateway")
        except StorageUnavailable as problem:
            # It is claimed again when its lease ends.
            _log.error("what was found out could not be recorded", order=row.order_key, problem=problem.problem)

    async def _examine(self, claimed: JournalRow) -> None:
        row: JournalRow | None = claimed
        if claimed.state is OrderState.SENDING:
            # Whoever was sending it is gone or stalled, and can no longer record anything: the fence has moved.
            row = await self._ledger.move(claimed, JournalChange(state=OrderState.UNKNOWN, note=_ABANDONED))
        if row is None:
            return
        try:
            order = await self._ask_venue(row)
        except (VenueFailure, TimeoutError, GatewayError, LookupError) as failure:
            await self._apply(row, rule_failure(row, self._clock.now_ms()), _finding(failure))
            return
        if order is None:
            capabilities = self._adapters[row.exchange].capabilities
            ruling = rule_negative(row, capabilities, self._clock.now_ms())
            await self._apply(row, ruling, "the venue does not show it")
            return
        present = await self._ledger.observe(row, order)
        if present.state is OrderState.LATE_EXECUTION:
            _log.critical("an order executed after its absence was proved", order=row.order_key, venue=row.exchange)

    async def _ask_venue(self, row: JournalRow) -> Order | None:
        """The venue's report of an order, after a cancel that was asked for while it could not be found."""
        credential = await self._directory.credential(row.credential_id)
        if credential is None:
            raise LookupError(row.credential_id)
        # Opening a session and learning the markets, too: a venue that hangs must not keep the others from it.
        async with asyncio.timeout(LOOK_UP_S):
            markets = await self._adapters[row.exchange].markets(Network(row.network))
            instrument = markets.resolve(row.symbol)
            async with self._sessions.use(credential) as session:
                if row.state in LIVE and row.cancel_requested_at_ms is not None:
                    await _cancel(session, row, instrument)
                return await venues_report(session, row, instrument)

    async def _apply(self, row: JournalRow, ruling: Ruling, finding: str) -> None:
        if row.state is OrderState.NOT_PLACED:
            # The one late look has been had.
            await self._ledger.move(row, JournalChange(next_check_ms=None))
            return
        if row.state in LIVE:
            await self._ledger.move(row, JournalChange(next_check_ms=ruling.next_check_ms, checks=row.checks + 1))
            return
        state: OrderState = row.state
        next_check_ms, note = ruling.next_check_ms, ""
        if ruling.judgement is Judgement.ABSENT:
            state, next_check_ms = OrderState.NOT_PLACED, self._clock.now_ms() + LATE_LOOK_MS
            note = f"{ruling.negatives} lookups after it expired did not find it"
        elif ruling.judgement is Judgement.NEEDS_OPERATOR and row.state is not OrderState.NEEDS_OPERATOR:
            state, note = OrderState.NEEDS_OPERATOR, f"no proof either way in 24 hours; last: {finding}"
            _log.critical("an order needs an operator", order=row.order_key, venue=row.exchange)
        await self._ledger.move(
            row,
            JournalChange(
                state=state,
                negatives=ruling.negatives,
                last_negative_ms=ruling.last_negative_ms,
                checks=row.checks + 1,
                next_check_ms=next_check_ms,
                reason=Reason.NOT_PLACED if state is OrderState.NOT_PLACED else row.reason,
                evidence=note or row.evidence,
                note=note,
            ),
        )


def _finding(failure: Exception) -> str:
    told = f": {failure.text[:MAX_EVIDENCE]}" if isinstance(failure, VenueUnclear) else ""
    return f"lookup failed: {type(failure).__name__}{told}"


async def _cancel(session: VenueSession, row: JournalRow, instrument: Instrument) -> None:
    try:
        await cancel_found(session, row, instrument)
    except VenueRejected:
        # It closed by itself meanwhile: the report that follows tells how.
        _log.info("nothing left to cancel", order=row.order_key)
