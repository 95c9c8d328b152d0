"""The journal port in memory: for tests that need thousands of orders, and to hold the SQL one against."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from storage.ports import JournalChange, JournalEvent, JournalRow, OrderState, StorageUnavailable

_NEVER_MOVES = frozenset(
    {
        OrderState.FILLED,
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.REJECTED,
        OrderState.NOT_SENT,
        OrderState.LATE_EXECUTION,
    }
)


class MemoryJournal:
    """``broken`` makes every call fail, as a lost database does; ``change_fails`` only the recording of outcomes."""

    def __init__(self) -> None:
        self.rows: dict[str, JournalRow] = {}
        self.log: dict[str, list[JournalEvent]] = {}
        self.broken = False
        self.change_fails = False

    def _check(self, *, changing: bool = False) -> None:
        if self.broken or (changing and self.change_fails):
            raise StorageUnavailable("the database is gone", "Bring it back")

    async def insert(self, rows: Sequence[JournalRow]) -> Sequence[JournalRow | None]:
        self._check()
        earlier = [await self.find(r.account_id, r.credential_id, r.client_order_id) for r in rows]
        if not any(earlier):
            for row in rows:
                if await self.by_venue_client_id(row.credential_id, row.venue_client_id):
                    raise ValueError("the venue client id is another order's already")
            for row in rows:
                self.rows[row.order_key] = row
                self._event(row, row.created_at_ms, "")
        return earlier

    async def change(
        self,
        order_key: str,
        *,
        expected: Sequence[OrderState],
        fence: int,
        change: JournalChange,
        at_ms: int,
        durable: bool = True,
    ) -> JournalRow | None:
        self._check(changing=True)
        row = self.rows[order_key]
        if row.state not in expected or row.fence != fence or row.state in _NEVER_MOVES:
            return None
        fields = {
            name: value
            for name in change.__struct_fields__
            if name != "note" and (value := getattr(change, name)) is not msgspec.UNSET
        }
        row = self.rows[order_key] = msgspec.structs.replace(row, updated_at_ms=at_ms, **fields)
        if change.note or change.state is not msgspec.UNSET:
            self._event(row, at_ms, change.note)
        return row

    def _event(self, row: JournalRow, at_ms: int, note: str) -> None:
        events = self.log.setdefault(row.order_key, [])
        events.append(
            JournalEvent(
                order_key=row.order_key,
                number=len(events) + 1,
                at_ms=at_ms,
                state=row.state,
                fence=row.fence,
                note=note,
            )
        )

    async def find(self, account_id: str, credential_id: str, client_order_id: str) -> JournalRow | None:
        self._check()
        wanted = (account_id, credential_id, client_order_id)
        return next(
            (r for r in self.rows.values() if (r.account_id, r.credential_id, r.client_order_id) == wanted), None
        )

    async def by_venue_order_id(self, account_id: str, credential_id: str, venue_order_id: str) -> JournalRow | None:
        self._check()
        wanted = (account_id, credential_id, venue_order_id)
        return next(
            (r for r in self.rows.values() if (r.account_id, r.credential_id, r.venue_order_id) == wanted), None
        )

    async def by_venue_client_id(self, credential_id: str, venue_client_id: str) -> JournalRow | None:
        self._check()
        wanted = (credential_id, venue_client_id)
        return next((r for r in self.rows.values() if (r.credential_id, r.venue_client_id) == wanted), None)

    async def known_among(self, credential_id: str, venue_client_ids: Collection[str]) -> Collection[str]:
        self._check()
        known = {row.venue_client_id for row in self.rows.values() if row.credential_id == credential_id}
        return known.intersection(venue_client_ids)

    async def row(self, order_key: str) -> JournalRow | None:
        self._check()
        return self.rows.get(order_key)

    async def group(self, group_id: str) -> Sequence[JournalRow]:
        return sorted((r for r in self.rows.values() if r.group_id == group_id), key=lambda r: r.leg)

    async def events(self, order_key: str) -> Sequence[JournalEvent]:
        return self.log.get(order_key, [])

    async def claim(
        self, *, owner: str, now_ms: int, lease_ms: int, limit: int, except_at: Collection[str] = ()
    ) -> Sequence[JournalRow]:
        self._check()
        claimed: list[JournalRow] = []
        for key, row in list(self.rows.items()):
            due = _due_ms(row)
            if due is not None and due <= now_ms and len(claimed) < limit and row.exchange not in except_at:
                until_ms = now_ms + lease_ms
                self.rows[key] = msgspec.structs.replace(
                    row, owner=owner, fence=row.fence + 1, lease_until_ms=until_ms, next_check_ms=until_ms
                )
                claimed.append(self.rows[key])
        return claimed

    async def next_due_ms(self) -> int | None:
        self._check()
        return min((due for row in self.rows.values() if (due := _due_ms(row)) is not None), default=None)

    async def undecided(self, credential_id: str) -> Sequence[JournalRow]:
        return [r for r in self.rows.values() if r.credential_id == credential_id and r.state is OrderState.UNKNOWN]

    async def in_states(
        self, states: Sequence[OrderState], limit: int, *, newest_first: bool = False
    ) -> Sequence[JournalRow]:
        self._check()
        rows = [row for row in self.rows.values() if row.state in states and not row.is_tombstone]
        return (rows[::-1] if newest_first else rows)[:limit]

    async def shed(self, *, before_ms: int, limit: int) -> int:
        self._check()
        old = [r for r in self._before(before_ms) if _is_over(r) and not r.is_tombstone][:limit]
        for row in old:
            self.log.pop(row.order_key, None)
            self.rows[row.order_key] = msgspec.structs.replace(
                row,
                request=b"",
                venue_order=None,
                evidence=None,
                group_id=None,
                owner="",
                last_negative_ms=None,
                cancel_requested_at_ms=None,
            )
        return len(old)

    async def forget(self, *, before_ms: int, limit: int) -> int:
        self._check()
        old = [r for r in self._before(before_ms) if r.is_tombstone][:limit]
        for row in old:
            self.log.pop(row.order_key, None)
            del self.rows[row.order_key]
        return len(old)

    def _before(self, before_ms: int) -> list[JournalRow]:
        return [row for row in self.rows.values() if row.updated_at_ms < before_ms]


def _is_over(row: JournalRow) -> bool:
    return row.state in _NEVER_MOVES or (row.state is OrderState.NOT_PLACED and row.next_check_ms is None)


def _due_ms(row: JournalRow) -> int | None:
    if row.state is OrderState.SENDING:
        return row.lease_until_ms
    return row.next_check_ms
