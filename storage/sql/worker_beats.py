"""Who is at work, in SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import IntegrityError

from storage.ports import Beat, StorageUnavailable, WorkerBeats
from storage.sql.database import Database
from storage.sql.schema import workers
from storage.sql.statements import insert_into


class SqlWorkerBeats(WorkerBeats):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, worker_id: str, at_ms: int, *, slots: int) -> Beat:
        for _ in range(slots):
            # Two that come at the same time may want the same slot: one of them looks again.
            with contextlib.suppress(IntegrityError):
                # A power cut that takes a beat takes the worker, too.
                return await self._database.write(
                    lambda connection: _beat(connection, worker_id, at_ms, slots), durable=False
                )
        raise StorageUnavailable("Workers come and go too fast to be told apart", "Start fewer at a time.")

    async def remove(self, worker_ids: Collection[str]) -> None:
        if worker_ids:
            statement = delete(workers).where(workers.c.worker_id.in_(sorted(worker_ids)))
            await self._database.write(lambda connection: connection.execute(statement).close(), durable=False)


def _beat(connection: Connection, worker_id: str, at_ms: int, slots: int) -> Beat:
    """:raises IntegrityError: somebody else took the slot at the same time."""
    found = connection.execute(select(workers)).all()
    taken = {row.slot for row in found}
    slot = next((row.slot for row in found if row.worker_id == worker_id), None)
    if slot is None:
        slot = next((number for number in range(slots) if number not in taken), None)
    statement = insert_into(connection, workers)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[workers.c.worker_id],
            set_={"beats": workers.c.beats + 1, "beat_at_ms": at_ms, "slot": statement.excluded.slot},
        ),
        {"worker_id": worker_id, "beats": 0, "beat_at_ms": at_ms, "slot": slot},
    )
    numbers = {row.worker_id: row.beats for row in found}
    return Beat({**numbers, worker_id: numbers.get(worker_id, -1) + 1}, slot)
