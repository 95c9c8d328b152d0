"""Who is at work, in SQL."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, select

from storage.ports import WorkerBeats
from storage.sql.database import Database
from storage.sql.schema import workers
from storage.sql.statements import insert_into


class SqlWorkerBeats(WorkerBeats):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, worker_id: str, at_ms: int) -> dict[str, int]:
        def beat(connection: Connection) -> dict[str, int]:
            statement = insert_into(connection, workers)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[workers.c.worker_id],
                    set_={"beats": workers.c.beats + 1, "beat_at_ms": statement.excluded.beat_at_ms},
                ),
                {"worker_id": worker_id, "beats": 0, "beat_at_ms": at_ms},
            )
            return {row.worker_id: row.beats for row in connection.execute(select(workers))}

        # A power cut that takes a beat takes the workers, too.
        return await self._database.write(beat, durable=False)

    async def remove(self, worker_ids: Collection[str]) -> None:
        if worker_ids:
            statement = delete(workers).where(workers.c.worker_id.in_(sorted(worker_ids)))
            await self._database.write(lambda connection: connection.execute(statement).close(), durable=False)
