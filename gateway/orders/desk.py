"""The order desk: one durable row before the venue hears of an order, one classified outcome after.

    draft → (session open) → journal, durably → send once, inside the deadline → classify → record → answer

The whole of it is a task of the supervisor's, so that a caller who hangs up changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

import msgspec
import structlog

from adapters.base import Adapter, Grouping, Submission, VenueSession
from gateway.clock import Clock
from gateway.operations.desk import Canceled, Leg, Placed
from gateway.operations.wire import Call
from gateway.orders.classification import Next, Verdict, classify
from gateway.orders.client_ids import ClientIds, new_client_order_id
from gateway.orders.ledger import Ledger
from gateway.orders.looking_up import cancel_found, venues_report
from gateway.orders.rows import OrderRows
from gateway.orders.sending import VENUE_TIMEOUT_S, Sender
from gateway.orders.standing import (
    failure_of,
    intent_of,
    is_request_of,
    standing_of,
    standing_of_stranger,
)
from gateway.orders.states import LIVE, UNDECIDED
from gateway.orders.supervisor import Supervisor
from normalization.errors import ClientOrderIdConflict, ExchangeError, InvalidParameter, ServiceUnavailable
from normalization.instruments import Instrument
from normalization.orders import Market
from normalization.venue_failures import Reason, VenueFailure
from storage.ports import Credential, Journal, JournalRow, OrderState

UNDECIDED_BRAKE: Final = 3
FILL_WAIT_S: Final = 2.0
LOOK_UP_S: Final = 2.0

_log = structlog.get_logger(__name__)


class Sessions(Protocol):
    """Open venue sessions; one is not closed while it is in use."""

    def use(self, credential: Credential) -> AbstractAsyncContextManager[VenueSession]: ...


class Desk:
    def __init__(
        self,
        *,
        journal: Journal,
        sessions: Sessions,
        adapters: Mapping[str, Adapter],
        client_ids: ClientIds,
        ledger: Ledger,
        supervisor: Supervisor,
        sender: Sender,
        clock: Clock,
        owner: str,
    ) -> None:
        self._journal = journal
        self._sessions = sessions
        self._ledger = ledger
        self._supervisor = supervisor
        self._sender = sender
        self._clock = clock
        self._rows = OrderRows(journal, adapters, client_ids, clock, owner)
        self._under_way: dict[tuple[str, str], asyncio.Event] = {}

    async def place(
        self, call: Call, operation: str, legs: Sequence[Leg], *, grouping: Grouping = Grouping.NONE
    ) -> Sequence[Placed]:
        if self._supervisor.is_closing:
            raise ServiceUnavailable("The gateway is stopping: nothing was sent", retry_after_s=2)
        return await self._supervisor.run(self._place(call, operation, legs, grouping))

    async def _place(self, call: Call, operation: str, legs: Sequence[Leg], grouping: Grouping) -> list[Placed]:
        legs = [leg if leg.client_order_id else _with_minted_id(leg) for leg in legs]
        async with self._sessions.use(call.credential) as session:
            async with self._alone(call.credential, legs):
                await self._wait_for_doubt_to_pass(call, legs)
                started = self._clock.monotonic()
                rows = self._rows.draft(call.credential, operation, legs)
                with call.timings.measure("journal"):
                    earlier = await self._rows.insert(rows)
                if not any(earlier):
                    rows = await self._send(call, session, rows, legs, grouping, started)
            if any(earlier):
                return await self._replay(call, session, rows, earlier, legs)
            rows = [await self._await_fill(session, row, leg) for row, leg in zip(rows, legs, strict=True)]
        return [standing_of(row, leg, call.capabilities) for row, leg in zip(rows, legs, strict=True)]

    async def _send(
        self,
        call: Call,
        session: VenueSession,
        rows: Sequence[JournalRow],
        legs: Sequence[Leg],
        grouping: Grouping,
        started: float,
    ) -> list[JournalRow]:
        submissions = [_submission(row, leg) for row, leg in zip(rows, legs, strict=True)]
        outcomes = await self._sender.send(session, submissions, grouping, started, call.capabilities)
        verdicts = [classify(submission, outcome) for submission, outcome in zip(submissions, outcomes, strict=True)]
        with call.timings.measure("journal"):
            settled = await self._settle(rows, verdicts)
        return [
            await self._find(session, row, leg.instrument) if verdict.next is Next.LOOK_UP_NOW else row
            for row, verdict, leg in zip(settled, verdicts, legs, strict=True)
        ]

    async def _settle(self, rows: Sequence[JournalRow], verdicts: Sequence[Verdict]) -> Sequence[JournalRow]:
        if len(rows) == 1:
            return [await self._ledger.settle(rows[0], verdicts[0])]
        # Together, so that the legs of a batch share a commit.
        return await asyncio.gather(*map(self._ledger.settle, rows, verdicts))

    @asynccontextmanager
    async def _alone(self, credential: Credential, legs: Sequence[Leg]) -> AsyncIterator[None]:
        """One at a time per client order id in this process: a retry waits for the first try's answer."""
        keys = [(credential.credential_id, leg.client_order_id or "") for leg in legs]
        while earlier := [self._under_way[key] for key in keys if key in self._under_way]:
            await earlier[0].wait()
        event = asyncio.Event()
        self._under_way.update(dict.fromkeys(keys, event))
        try:
            yield
        finally:
            event.set()
            for key in keys:
                del self._under_way[key]

    async def _wait_for_doubt_to_pass(self, call: Call, legs: Sequence[Leg]) -> None:
        """Hold back what is new while too much of a credential is in doubt; what was placed before is told as ever.

        :raises ServiceUnavailable: the doubt stays.
        """
        account, credential = call.credential.account_id, call.credential.credential_id
        if all(leg.intent.reduce_only for leg in legs):
            # Whatever is in doubt, a trader can get out.
            return
        if self._ledger.undecided_of(credential) < UNDECIDED_BRAKE or not await self._in_doubt(credential):
            return
        for leg in legs:
            if await self._journal.find(account, credential, leg.client_order_id or "") is not None:
                return
        if await self._ledger.wait_for_fewer(credential, UNDECIDED_BRAKE):
            return
        if in_doubt := await self._in_doubt(credential):
            raise ServiceUnavailable(
                f"{in_doubt} orders of this credential are still unaccounted for: nothing new is sent until they are",
                details={"undecided": in_doubt},
                retry_after_s=5,
            )

    async def _in_doubt(self, credential_id: str) -> int:
        """How many orders are UNKNOWN, where they are too many, else 0.

        Memory alone may say so for ever: another node may have found them, or they may wait for a person.
        """
        unknown = len(await self._journal.undecided(credential_id))
        return unknown if unknown >= UNDECIDED_BRAKE else 0

    async def _await_fill(self, session: VenueSession, row: JournalRow, leg: Leg) -> JournalRow:
        """A market order is answered with what was filled: ask again for a bounded time where the venue is slow."""
        if not isinstance(leg.intent.execution, Market):
            return row
        deadline = self._clock.monotonic() + FILL_WAIT_S
        pause = 0.05
        while row.state in LIVE and self._clock.monotonic() + pause < deadline:
            await self._clock.sleep(pause)
            pause *= 2
            row = await self._refresh(session, row, leg.instrument)
        return row

    async def _replay(
        self,
        call: Call,
        session: VenueSession,
        rows: Sequence[JournalRow],
        earlier: Sequence[JournalRow | None],
        legs: Sequence[Leg],
    ) -> list[Placed]:
        """The present state of orders that were placed before under these ids with these parameters."""
        standings = []
        for row, known, leg in zip(rows, earlier, legs, strict=True):
            if known is None or not is_request_of(known, leg, row.request_hash):
                taken = row if known else next(r for r, k in zip(rows, earlier, strict=True) if k is not None)
                raise ClientOrderIdConflict(
                    f"clientOrderId {taken.client_order_id!a} was used before "
                    + ("with other parameters" if known else "in another batch")
                    + ". An id belongs to one order for ever: use a new one for a new order.",
                    details={"clientOrderId": taken.client_order_id},
                )
            present = await self._present(session, known, leg.instrument)
            standings.append(standing_of(present, leg, call.capabilities, replayed=True))
        return standings

    async def _present(self, session: VenueSession, row: JournalRow, instrument: Instrument) -> JournalRow:
        """The row, brought up to date as far as the venue answers in a bounded time."""
        under_way = self._under_way.get((row.credential_id, row.client_order_id))
        if under_way is not None:
            await under_way.wait()
            row = await self._journal.row(row.order_key) or row
        if row.state in LIVE:
            return await self._refresh(session, row, instrument)
        if row.state in UNDECIDED and row.state is not OrderState.SENDING:
            return await self._find(session, row, instrument)
        return row

    async def _refresh(self, session: VenueSession, row: JournalRow, instrument: Instrument) -> JournalRow:
        if row.venue_order_id is None:
            return row
        try:
            async with asyncio.timeout(LOOK_UP_S):
                order = await session.get_order(row.venue_order_id, instrument)
        except Exception as failure:
            return _as_it_was(row, failure)
        return await self._ledger.observe(row, order)

    async def _find(self, session: VenueSession, row: JournalRow, instrument: Instrument) -> JournalRow:
        try:
            async with asyncio.timeout(LOOK_UP_S):
                order = await venues_report(session, row, instrument)
        except Exception as failure:
            return _as_it_was(row, failure)
        return row if order is None else await self._ledger.observe(row, order)

    async def look_up(self, call: Call, *, order_id: str | None, client_order_id: str | None) -> Placed:
        row = await self._row(call, order_id, client_order_id)
        if row is not None and (failure := failure_of(row, known_as=client_order_id)):
            raise failure
        async with self._sessions.use(call.credential) as session:
            if row is not None:
                instrument = call.markets.resolve(row.symbol)
                present = await self._present(session, row, instrument)
                leg = Leg(intent=intent_of(present), instrument=instrument, client_order_id=client_order_id)
                return standing_of(present, leg, call.capabilities)
            if order_id is None:
                raise _no_such_order(call, client_order_id)
            instrument_hint = call.instruments[0] if call.instruments else None
            order = await session.get_order(order_id, instrument_hint)
        return standing_of_stranger(order, call.markets.resolve(order.symbol))

    async def _row(self, call: Call, order_id: str | None, client_order_id: str | None) -> JournalRow | None:
        account, credential = call.credential.account_id, call.credential.credential_id
        if client_order_id is not None:
            return await self._rows.find(call.credential, client_order_id)
        return await self._journal.by_venue_order_id(account, credential, order_id or "")

    async def cancel(self, call: Call, *, order_id: str | None, client_order_id: str | None) -> Canceled:
        return await self._supervisor.run(self._cancel(call, order_id, client_order_id))

    async def _cancel(self, call: Call, order_id: str | None, client_order_id: str | None) -> Canceled:
        instrument = call.instruments[0] if call.instruments else None
        async with self._sessions.use(call.credential) as session:
            if client_order_id is not None:
                row = await self._rows.find(call.credential, client_order_id)
                if row is None:
                    raise _no_such_order(call, client_order_id)
                instrument = call.markets.resolve(row.symbol)
                row = await self._present(session, row, instrument)
                if await self._cancel_when_found(session, row, instrument):
                    return Canceled(pending=True)
                row = await self._journal.row(row.order_key) or row
                if row.venue_order_id is None:
                    raise _no_such_order(call, client_order_id)
                order_id = row.venue_order_id
            elif instrument is None and call.capabilities.needs_market_to_cancel:
                instrument = await self._market_of(call, order_id or "")
            # It goes on when its caller has hung up, but not for ever: a stop waits for it.
            async with asyncio.timeout(VENUE_TIMEOUT_S):
                await session.cancel_order(order_id or "", instrument)
        return Canceled()

    async def _market_of(self, call: Call, order_id: str) -> Instrument:
        """:raises InvalidParameter: it was not placed through this gateway, so only the caller knows."""
        account, credential = call.credential.account_id, call.credential.credential_id
        row = await self._journal.by_venue_order_id(account, credential, order_id)
        if row is None:
            raise InvalidParameter("market", f"the market of the order: {call.credential.exchange} needs it to cancel")
        return call.markets.resolve(row.symbol)

    async def cancel_undecided(self, call: Call, instrument: Instrument) -> list[str]:
        if not self._ledger.undecided_of(call.credential.credential_id):
            return []
        undecided = await self._journal.undecided(call.credential.credential_id)
        rows = [row for row in undecided if row.symbol == instrument.symbol]
        async with self._sessions.use(call.credential) as session:
            return [row.client_order_id for row in rows if await self._cancel_when_found(session, row, instrument)]

    async def _cancel_when_found(self, session: VenueSession, row: JournalRow, instrument: Instrument) -> bool:
        """Record the cancel of an order in doubt, then try it at once: repeating it later is harmless.

        False, and nothing was done, when it is in doubt no more.
        """
        if (await self._ledger.request_cancel(row)).state not in UNDECIDED:
            return False
        try:
            async with asyncio.timeout(LOOK_UP_S):
                await cancel_found(session, row, instrument)
        except (VenueFailure, TimeoutError) as failure:
            _log.info("cancel kept for later", order=row.order_key, reason=type(failure).__name__)
        return True


def _as_it_was(row: JournalRow, failure: Exception) -> JournalRow:
    """The order was sent: whatever goes wrong in looking after it must not become the answer to its placement."""
    if not isinstance(failure, VenueFailure | TimeoutError):
        _log.error("order could not be looked up", order=row.order_key, error=type(failure).__name__)
    return row


def _with_minted_id(leg: Leg) -> Leg:
    return msgspec.structs.replace(leg, client_order_id=new_client_order_id())


def _submission(row: JournalRow, leg: Leg) -> Submission:
    return Submission(
        intent=leg.intent, instrument=leg.instrument, client_id=row.venue_client_id, valid_until_ms=row.valid_until_ms
    )


def _no_such_order(call: Call, client_order_id: str | None) -> ExchangeError:
    return ExchangeError(
        f"No order with clientOrderId {client_order_id!a} was placed with this credential",
        outcome="rejected",
        reason=Reason.ORDER_NOT_FOUND,
        retryable=False,
    )
