"""Orders as a wire knows them, on top of the exchange behind it.

The exchange has limit, market and trigger orders and pairs that cancel each other. Real venues have more: limit orders
that wait for a trigger, and protection that waits for the order it protects. Those are held here until their time comes
and then become orders of the exchange, under the number they have had from the start. ``settle`` looks whether it has;
while anything is held it should be called every second, which is how finely time passes at the exchange.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Generic, NamedTuple

import msgspec

from normalization.decimals import ZERO
from normalization.orders import Order, OrderIntent, OrderStatus, PositionSide
from normalization.venue_failures import Reason, VenueDuplicate, VenueFailure, VenueRejected
from sandbox.engine import CancelOrder, LegResult, NewOrder
from sandbox.engine import PlaceOrders as PlaceAtExchange
from sandbox.wires.exchange import Found, WireExchange
from sandbox.wires.records import Fact, OrderRecord, Phase, Records, Terms, Trigger

_SETTLED_EVERY_S: Final = 1.0

CANCELED: Final = "CANCELED"
PARENT_CANCELED: Final = "PARENT_CANCELED"
SIBLING_CAME_FIRST: Final = "SIBLING_CAME_FIRST"
POSITION_CLOSED: Final = "POSITION_CLOSED"


class Draft(msgspec.Struct, Generic[Terms], frozen=True, kw_only=True):
    """An order to be placed. One with ``trigger`` or ``is_child`` (of the first of its batch) is held at first."""

    client_id: str | None
    intent: OrderIntent
    terms: Terms
    trigger: Trigger | None = None
    is_child: bool = False

    @property
    def is_held(self) -> bool:
        return self.is_child or self.trigger is not None


class Standing(NamedTuple, Generic[Terms]):
    """An order as it stands: the wire's record, and the exchange's order once it has it."""

    record: OrderRecord[Terms]
    found: Found | None

    @property
    def order(self) -> Order | None:
        return None if self.found is None else self.found.order

    @property
    def is_open(self) -> bool:
        if self.found is None:
            return self.record.phase in (Phase.HELD, Phase.SENDING)
        return not self.found.order.status.is_final


class Refusal(NamedTuple, Generic[Terms]):
    """``record`` is what is kept of a refused order; None where its client id belongs to another."""

    failure: VenueFailure
    record: OrderRecord[Terms] | None


Outcome = Standing[Terms] | Refusal[Terms]


class Desk(Generic[Terms]):
    """``ids_for_ever``: a client id belongs to the order that had it even when that has ended."""

    def __init__(
        self,
        exchange: WireExchange,
        records: Records[Terms],
        now_ms: Callable[[], int],
        *,
        ids_for_ever: bool = True,
    ) -> None:
        self._exchange = exchange
        self._ids_for_ever = ids_for_ever
        self._records = records
        self._now_ms = now_ms
        self._held: dict[str, dict[int, OrderRecord[Terms]]] = defaultdict(dict)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._anything_held = asyncio.Event()

    async def start(self) -> None:
        """Take up what was held, and find out what became of what was being sent when the process died."""
        lost: list[int] = []
        for record in await self._records.waiting():
            if record.phase is Phase.HELD:
                self._hold(record)
            elif (found := await self._exchange.find(record.account, record.exchange_client_id)) is not None:
                live = self._changed(record, phase=Phase.LIVE, order_id=found.order.order_id)
                await self._records.commit([live])
            elif record.trigger is not None or record.parent is not None:
                self._hold(self._changed(record, phase=Phase.HELD))
            else:
                lost.append(record.number)
        await self._records.forget(lost)

    async def keep_settling(self) -> None:
        """Settle every second while anything is held; until canceled."""
        while True:
            await self._anything_held.wait()
            await asyncio.sleep(_SETTLED_EVERY_S)
            for account in [account for account, held in self._held.items() if held]:
                # The exchange cannot write just now: it is tried again in a second.
                with suppress(VenueFailure):
                    await self.settle(account)
            if not any(self._held.values()):
                self._anything_held.clear()

    # Placing.

    async def place(
        self,
        account: str,
        drafts: Sequence[Draft[Terms]],
        *,
        paired: bool = False,
        facts: Iterable[Fact] = (),
        reusing: str | None = None,
    ) -> list[Outcome[Terms]]:
        """One outcome per draft, in order.

        ``paired``: they protect a position; the first to be triggered or filled cancels the others, all end with it.

        ``facts`` are recorded together with the orders, before the exchange hears of them. ``reusing`` is a client id
        that may be given again, being that of an order that these replace.
        """
        async with self._locks[account]:
            asked = [d.client_id for d in drafts if d.client_id is not None and d.client_id != reusing]
            used = await self._taken_ids(account, asked) if asked else set()
            drawn = self._drawn(account, drafts, used, paired=paired)
            await self._records.commit([r for r in drawn if isinstance(r, OrderRecord)], facts)
            outcomes = await self._sent(account, drawn, paired=paired)
            await self._settle(account)
            return outcomes

    async def _taken_ids(self, account: str, client_ids: Sequence[str]) -> set[str]:
        accepted = await self._records.accepted(account, client_ids)
        if self._ids_for_ever or not accepted:
            return {record.client_id for record in accepted if record.client_id is not None}
        standings = await self.standings(accepted)
        return {s.record.client_id for s in standings if s.is_open and s.record.client_id is not None}

    def _drawn(
        self, account: str, drafts: Sequence[Draft[Terms]], used: set[str], *, paired: bool
    ) -> list[OrderRecord[Terms] | Refusal[Terms]]:
        now_ms, numbers = self._now_ms(), [self._records.next_number() for _ in drafts]
        together = [n for n, draft in zip(numbers, drafts, strict=True) if paired or draft.is_child]
        drawn: list[OrderRecord[Terms] | Refusal[Terms]] = []
        for number, draft in zip(numbers, drafts, strict=True):
            if draft.client_id is not None and draft.client_id in used:
                drawn.append(
                    Refusal(VenueDuplicate(Reason.DUPLICATE_ORDER_ID, "Client order id was used before"), None)
                )
                continue
            if draft.client_id is not None:
                used.add(draft.client_id)
            drawn.append(
                OrderRecord(
                    number=number,
                    account=account,
                    client_id=draft.client_id,
                    intent=draft.intent,
                    terms=draft.terms,
                    phase=Phase.HELD if draft.is_held else Phase.SENDING,
                    created_at_ms=now_ms,
                    changed_at_ms=now_ms,
                    trigger=draft.trigger,
                    parent=numbers[0] if draft.is_child else None,
                    ends_with_position=number in together,
                    siblings=tuple(n for n in together if n != number) if number in together else (),
                )
            )
        return drawn

    async def _sent(
        self, account: str, drawn: Sequence[OrderRecord[Terms] | Refusal[Terms]], *, paired: bool
    ) -> list[Outcome[Terms]]:
        sending = [r for r in drawn if isinstance(r, OrderRecord) and r.phase is Phase.SENDING]
        answers = iter(await self._at_exchange(account, sending, paired=paired) if sending else ())
        outcomes: list[Outcome[Terms]] = []
        for record in drawn:
            if isinstance(record, Refusal):
                outcomes.append(record)
            elif record.phase is Phase.HELD:
                outcomes.append(await self._held_outcome(record, outcomes))
            else:
                outcomes.append(self._outcome(record, next(answers)))
        await self._record(outcomes)
        return outcomes

    async def _held_outcome(self, record: OrderRecord[Terms], before: Sequence[Outcome[Terms]]) -> Outcome[Terms]:
        parent = before[0] if record.parent is not None else None
        failure = parent.failure if isinstance(parent, Refusal) else None
        if record.parent is None and record.trigger is not None:
            mark = await self._exchange.read(lambda engine: engine.views.mark_price(record.intent.symbol).mark_price)
            if record.trigger.is_reached(mark):
                failure = VenueRejected(
                    Reason.TRIGGER_WOULD_FIRE, "The mark price has already reached the trigger price"
                )
        if failure is None:
            self._hold(record)
            return Standing(record, None)
        return self._refused(record, failure)

    async def _at_exchange(
        self, account: str, records: Sequence[OrderRecord[Terms]], *, paired: bool
    ) -> Sequence[LegResult]:
        orders = tuple(NewOrder(intent=r.intent, client_id=r.exchange_client_id) for r in records)
        try:
            return await self._exchange.execute(
                PlaceAtExchange(account=account, orders=orders, one_cancels_other=paired)
            )
        except VenueFailure as refusal:
            return [refusal] * len(records)

    def _outcome(self, record: OrderRecord[Terms], answer: LegResult) -> Outcome[Terms]:
        if isinstance(answer, VenueFailure):
            return self._refused(record, answer)
        live = self._changed(record, phase=Phase.LIVE, order_id=answer.order_id)
        return Standing(live, Found(answer, None, ""))

    def _refused(self, record: OrderRecord[Terms], failure: VenueFailure) -> Refusal[Terms]:
        return Refusal(failure, self._changed(record, phase=Phase.REFUSED, ended=failure.reason.value))

    # Canceling and replacing.

    async def cancel(self, account: str, number: int) -> None:
        """:raises VenueRejected: with ``ORDER_NOT_FOUND`` or ``ORDER_ALREADY_CLOSED``."""
        async with self._locks[account]:
            await self._settle(account)
            await self._cancel(account, number)

    async def _cancel(self, account: str, number: int) -> None:
        held = self._held[account].get(number)
        if held is not None:
            await self._end(held, CANCELED)
        else:
            record = (await self._records.by_number(account, [number])).get(number)
            if record is None or record.phase is Phase.REFUSED:
                raise VenueRejected(Reason.ORDER_NOT_FOUND, "Order was never placed")
            if record.order_id is None:
                raise VenueRejected(Reason.ORDER_ALREADY_CLOSED, "Order is canceled")
            await self._exchange.execute(CancelOrder(account=account, order_id=record.order_id))
        for child in [r for r in self._held[account].values() if r.parent == number]:
            await self._end(child, PARENT_CANCELED)

    async def replace(self, account: str, number: int, draft: Draft[Terms]) -> Standing[Terms]:
        """Cancel an open order and place ``draft`` under the same number.

        :raises VenueRejected: it is not open any more, or the new order is refused, in which case the old one is gone.
        """
        async with self._locks[account]:
            await self._settle(account)
            former = (await self._records.by_number(account, [number])).get(number)
            await self._cancel(account, number)
            assert former is not None  # noqa: S101
            record = self._changed(
                former,
                client_id=draft.client_id,
                intent=draft.intent,
                terms=draft.terms,
                trigger=draft.trigger,
                phase=Phase.HELD if draft.is_held else Phase.SENDING,
                order_id=None,
                ended="",
                generation=former.generation + 1,
            )
            await self._records.commit([record])
            outcome = (await self._sent(account, [record], paired=False))[0]
            if isinstance(outcome, Refusal):
                raise outcome.failure
            return outcome

    # Looking.

    async def standings(self, records: Sequence[OrderRecord[Terms]]) -> list[Standing[Terms]]:
        """Of records of one account."""
        at_exchange = [r.exchange_client_id for r in records if r.order_id is not None]
        found = await self._exchange.find_all(records[0].account, at_exchange) if at_exchange else {}
        return [Standing(record, found.get(record.exchange_client_id)) for record in records]

    async def standing(self, record: OrderRecord[Terms]) -> Standing[Terms]:
        return (await self.standings([record]))[0]

    async def open_orders(self, account: str) -> list[Standing[Terms]]:
        """Oldest first."""
        live = await self._exchange.read(
            lambda engine: {number_at(order): order for order in engine.views.open_orders(engine.account(account))}
        )
        records = await self._records.by_number(account, [number for number in live if number is not None])
        found = [Standing(record, Found(live[number], None, "")) for number, record in records.items()]
        found += [Standing(record, None) for record in self._held[account].values()]
        return sorted(found, key=lambda standing: standing.record.number)

    # What waits.

    async def settle(self, account: str) -> None:
        """Carry out what has become due among the held orders of one account."""
        if self._held.get(account):
            async with self._locks[account]:
                await self._settle(account)

    async def _settle(self, account: str) -> None:
        if not self._held[account]:
            return
        await self._release_children(account)
        await self._end_orphans(account)
        held = list(self._held[account].values())
        symbols = {r.intent.symbol for r in held}
        marks = await self._exchange.read(
            lambda engine: {symbol: engine.views.mark_price(symbol).mark_price for symbol in symbols}
        )
        for record in held:
            reached = record.trigger is not None and record.trigger.is_reached(marks[record.intent.symbol])
            if record.parent is None and reached and record.number in self._held[account]:
                await self._fire(record)

    async def _release_children(self, account: str) -> None:
        """Let go of what waited for an order that is filled; end what waited for one that never will be."""
        children: dict[int, list[OrderRecord[Terms]]] = defaultdict(list)
        for record in self._held[account].values():
            if record.parent is not None:
                children[record.parent].append(record)
        for parent, records in children.items():
            order = await self._parent_order(account, parent)
            if order is not None and order.status is OrderStatus.FILLED:
                await self._release(account, records)
            elif order is None or order.status.is_final:
                for record in records:
                    await self._end(record, PARENT_CANCELED)

    async def _parent_order(self, account: str, number: int) -> Order | None:
        record = (await self._records.by_number(account, [number])).get(number)
        return None if record is None else (await self.standing(record)).order

    async def _release(self, account: str, children: Sequence[OrderRecord[Terms]]) -> None:
        ready = [self._changed(r, parent=None, phase=Phase.SENDING) for r in children if r.trigger is None]
        waiting = [self._changed(r, parent=None) for r in children if r.trigger is not None]
        await self._records.commit([*ready, *waiting])
        for record in waiting:
            self._hold(record)
        for record in ready:
            del self._held[account][record.number]
        if not ready:
            return
        answers = await self._at_exchange(account, ready, paired=not waiting)
        await self._record([self._outcome(record, answer) for record, answer in zip(ready, answers, strict=True)])

    async def _end_orphans(self, account: str) -> None:
        """End held orders of a pair whose other order came first, or whose position is gone."""
        positions = await self._exchange.read(
            lambda engine: {p.symbol: p.side for p in engine.views.positions(engine.account(account))}
        )
        for record in [r for r in self._held[account].values() if r.ends_with_position and r.parent is None]:
            if positions.get(record.intent.symbol) is not _closed_by(record.intent):
                await self._end(record, POSITION_CLOSED)
                continue
            for sibling in (await self._records.by_number(account, record.siblings)).values():
                order = (await self.standing(sibling)).order
                if order is not None and order.filled_size > ZERO:
                    await self._end(record, SIBLING_CAME_FIRST)
                    break

    async def _fire(self, record: OrderRecord[Terms]) -> None:
        """A held order's trigger is reached: it becomes an order of the exchange, and its siblings go."""
        del self._held[record.account][record.number]
        record = self._changed(record, phase=Phase.SENDING, triggered_at_ms=self._now_ms())
        await self._records.commit([record])
        for number in record.siblings:
            try:
                await self._cancel(record.account, number)
            except VenueRejected:
                continue
        (answer,) = await self._at_exchange(record.account, [record], paired=False)
        await self._record([self._outcome(record, answer)])

    async def _end(self, record: OrderRecord[Terms], word: str) -> None:
        del self._held[record.account][record.number]
        await self._records.commit([self._changed(record, phase=Phase.ENDED, ended=word)])

    async def _record(self, outcomes: Sequence[Outcome[Terms]]) -> None:
        records = [outcome.record for outcome in outcomes if outcome.record is not None]
        if any(record.phase is Phase.REFUSED for record in records):
            await self._records.commit(records)
        else:
            # That the exchange has an order is also found out by asking it.
            self._records.commit_soon(records)

    def _hold(self, record: OrderRecord[Terms]) -> None:
        self._held[record.account][record.number] = record
        self._anything_held.set()

    def _changed(self, record: OrderRecord[Terms], **changes: object) -> OrderRecord[Terms]:
        return msgspec.structs.replace(record, changed_at_ms=self._now_ms(), **changes)


def number_at(order: Order) -> int | None:
    """The wire's number of an order that the exchange shows; None for one that it made itself, in a liquidation."""
    return None if order.client_id is None else int(order.client_id.partition(".")[0])


def _closed_by(intent: OrderIntent) -> PositionSide:
    return PositionSide.LONG if intent.side is PositionSide.LONG.closing_side else PositionSide.SHORT
