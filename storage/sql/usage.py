"""Requests per account and UTC day in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select

from storage.ports import UsageStore
from storage.sql.database import Database
from storage.sql.schema import usage_days
from storage.sql.statements import insert_into


class SqlUsageStore(UsageStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, day: str, counts: dict[str, int]) -> None:
        if counts:
            # In one order everywhere, so that two nodes never wait for each other.
            rows = [
                {"day": day, "account_id": account_id, "requests": count}
                for account_id, count in sorted(counts.items())
            ]
            await self._database.write(lambda connection: _add(connection, rows))

    async def day(self, day: str) -> dict[str, int]:
        query = select(usage_days.c.account_id, usage_days.c.requests).where(usage_days.c.day == day)
        return await self._database.read(
            lambda connection: {row.account_id: row.requests for row in connection.execute(query)}
        )

    async def counts(self, day: str, account_ids: Collection[str]) -> dict[str, int]:
        query = select(usage_days.c.account_id, usage_days.c.requests).where(
            usage_days.c.day == day, usage_days.c.account_id.in_(sorted(account_ids))
        )
        return await self._database.read(
            lambda connection: {row.account_id: row.requests for row in connection.execute(query)}
        )

    async def history(self, account_id: str, days: int) -> Sequence[tuple[str, int]]:
        query = (
            select(usage_days.c.day, usage_days.c.requests)
            .where(usage_days.c.account_id == account_id, usage_days.c.requests > 0)
            .order_by(usage_days.c.day.desc())
            .limit(days)
        )
        return await self._database.read(
            lambda connection: [(day, requests) for day, requests in connection.execute(query)]
        )


def _add(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    statement = insert_into(connection, usage_days)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[usage_days.c.day, usage_days.c.account_id],
            set_={"requests": usage_days.c.requests + statement.excluded.requests},
        ),
        rows,
    )
