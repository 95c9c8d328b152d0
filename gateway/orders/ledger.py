"""What is learnt of an order goes into its journal row here, by compare-and-set, whoever learnt it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import structlog

from gateway.clock import Clock
from gateway.orders.classification import Verdict, why_rejected
from gateway.orders.standing import encode_order, order_of
from gateway.orders.states import LIVE, MOVES, UNDECIDED, sources_of, state_of
from normalization.orders import Order
from storage.ports import Journal, JournalChange, JournalRow, OrderState, StorageUnavailable

FIRST_CHECK_MS: Final = 250
MOST_REMEMBERED: Final = 10_000

_log = structlog.get_logger(__name__)


class Ledger:
    """``on_settled(row)`` is called once with every row that came to a state in which it is not open on the venue;
    ``on_doubt()`` when there is new work for the reconciler.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        *,
        on_settled: Callable[[JournalRow], None] = lambda row: None,
        on_doubt: Callable[[], None] = lambda: None,
        brake_wait_s: float = 2.0,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._on_settled = on_settled
        self._on_doubt = on_doubt
        self._brake_wait_s = brake_wait_s
        self._undecided: defaultdict[str, set[str]] = defaultdict(set)
        self._fewer = asyncio.Event()

    def remember_undecided(self, rows: Iterable[JournalRow]) -> None:
        """At start: what an earlier run left unknown."""
        for row in rows:
            self._undecided[row.credential_id].add(row.order_key)

    def undecided_of(self, credential_id: str) -> int:
        return len(self._undecided.get(credential_id, ()))

    def undecided_total(self) -> int:
        return sum(map(len, self._undecided.values()))

    async def forget_decided(self) -> None:
        """Count no longer what was decided elsewhere: by another process, or by a person."""
        remembered = {key: credential_id for credential_id, keys in self._undecided.items() for key in keys}
        if not remembered:
            return
        undecided = await self._journal.in_states(tuple(UNDECIDED), MOST_REMEMBERED)
        if len(undecided) < MOST_REMEMBERED:
            for key in remembered.keys() - {row.order_key for row in undecided}:
                self._discard(remembered[key], key)

    async def wait_for_fewer(self, credential_id: str, limit: int) -> bool:
        """Wait, for a bounded time, until a credential has fewer than ``limit`` unknown orders; whether it has."""
        try:
            async with asyncio.timeout(self._brake_wait_s):
                while self.undecided_of(credential_id) >= limit:
                    self._fewer.clear()
                    await self._fewer.wait()
        except TimeoutError:
            return False
        return True

    async def settle(self, row: JournalRow, verdict: Verdict) -> JournalRow:
        """Record what came of the one submission of ``row``; the row as it then stands.

        When the journal does not take it, the answer is still the truth: the row is left SENDING, and reconciliation
        finds the same outcome again.
        """
        change = JournalChange(
            state=verdict.state,
            reason=verdict.reason,
            evidence=verdict.evidence,
            next_check_ms=self._clock.now_ms() + FIRST_CHECK_MS if verdict.state is OrderState.UNKNOWN else None,
            note=verdict.evidence or "",
        )
        if verdict.order is not None:
            change = msgspec.structs.replace(
                change, venue_order_id=verdict.order.order_id, venue_order=encode_order(verdict.order)
            )
        try:
            return await self._apply(row, (OrderState.SENDING,), change)
        except StorageUnavailable as problem:
            _log.error("outcome not recorded", order=row.order_key, state=verdict.state, problem=problem.problem)
            return _as_if(row, change)

    async def observe(self, row: JournalRow, order: Order) -> JournalRow:
        """Record the venue's present report of an order; the row as it then stands."""
        state = state_of(order)
        if row.state is OrderState.NOT_PLACED:
            state = OrderState.LATE_EXECUTION
        elif state not in MOVES[row.state] or (state is row.state and order_of(row) == order):
            return row
        change = JournalChange(
            state=state,
            venue_order_id=order.order_id,
            venue_order=encode_order(order),
            next_check_ms=None,
            note="found on the venue" if row.state in UNDECIDED else "",
        )
        if state is OrderState.REJECTED:
            # What was kept until now says why its outcome was not known.
            reason, evidence = why_rejected(order)
            change = msgspec.structs.replace(change, reason=reason, evidence=evidence)
        try:
            return await self._apply(row, sources_of(state), change)
        except StorageUnavailable as problem:
            _log.error("report not recorded", order=row.order_key, state=state, problem=problem.problem)
            return _as_if(row, change)

    async def request_cancel(self, row: JournalRow) -> JournalRow:
        """Keep, durably, that the order is to be canceled as soon as it is found; the row as it then stands.

        A row that was decided meanwhile comes back as it is, without the request.
        """
        while row.state in UNDECIDED:
            now_ms = self._clock.now_ms()
            moved = await self._journal.change(
                row.order_key,
                expected=(row.state,),
                fence=row.fence,
                change=JournalChange(cancel_requested_at_ms=now_ms, note="cancel requested"),
                at_ms=now_ms,
            )
            if moved is not None:
                return moved
            # The reconciler has it in hand under a newer fence.
            row = await self._journal.row(row.order_key) or row
        return row

    async def move(self, row: JournalRow, change: JournalChange) -> JournalRow | None:
        """A reconciler's own move from the present state; None when somebody else moved it first."""
        moved = await self._journal.change(
            row.order_key, expected=(row.state,), fence=row.fence, change=change, at_ms=self._clock.now_ms()
        )
        if moved is not None:
            self._note(moved, row.state)
        return moved

    async def _apply(self, row: JournalRow, expected: Iterable[OrderState], change: JournalChange) -> JournalRow:
        """Apply what was learnt; an order that turns out to be open and was to be canceled is due for it now."""
        moved = await self._journal.change(
            row.order_key,
            expected=tuple(expected),
            fence=row.fence,
            change=change,
            at_ms=self._clock.now_ms(),
            durable=change.state is OrderState.UNKNOWN,
        )
        if moved is None:
            # Another owner moved it meanwhile: what the journal says now is the answer.
            present = await self._journal.row(row.order_key) or row
            if present.state not in UNDECIDED:
                self._count(present)
            return present
        self._note(moved, row.state)
        if moved.cancel_requested_at_ms is not None and moved.state in LIVE and moved.next_check_ms is None:
            return await self.move(moved, JournalChange(next_check_ms=self._clock.now_ms())) or moved
        return moved

    def _note(self, row: JournalRow, before: OrderState) -> None:
        """Keep count of what is unknown, and tell whoever wants to know."""
        self._count(row)
        if row.state in UNDECIDED or row.next_check_ms is not None:
            self._on_doubt()
        if row.state is not before and row.state not in LIVE:
            self._on_settled(row)

    def _count(self, row: JournalRow) -> None:
        if row.state in UNDECIDED:
            self._undecided[row.credential_id].add(row.order_key)
        else:
            self._discard(row.credential_id, row.order_key)

    def _discard(self, credential_id: str, order_key: str) -> None:
        waiting = self._undecided[credential_id]
        waiting.discard(order_key)
        self._fewer.set()
        if not waiting:
            del self._undecided[credential_id]


def _as_if(row: JournalRow, change: JournalChange) -> JournalRow:
    """The row as it would stand had the change been stored."""
    set_fields = {
        name: value
        for name in change.__struct_fields__
        if name != "note" and (value := getattr(change, name)) is not msgspec.UNSET
    }
    return msgspec.structs.replace(row, **set_fields)
