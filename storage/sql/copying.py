"""Moving an embedded installation to a server: every row, proved to be there before anything is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, Select, Table, select

from storage.ports import StorageUnavailable
from storage.sql.engines import sqlite_engine
from storage.sql.failures import translated
from storage.sql.journal import storable
from storage.sql.postgresql.connecting import Connector
from storage.sql.postgresql.failures import in_words
from storage.sql.postgresql.journal_statements import DIALECT
from storage.sql.postgresql.place import OPEN_WITHIN_S, PostgresPlace
from storage.sql.schema import directory_revision, metadata
from storage.sql.upgrades import check_current

_AT_ONCE: Final = 1_000
_HASHES: Final = 2**256

_encode = msgspec.msgpack.Encoder().encode


class _Tally:
    """What rows a table has, whatever their order: how many, and a sum of their hashes."""

    def __init__(self) -> None:
        self.rows = 0
        self._hashes = 0

    def add(self, row: tuple[Any, ...]) -> None:
        self.rows += 1
        self._hashes = (self._hashes + int.from_bytes(hashlib.sha256(_encode(row)).digest(), "big")) % _HASHES

    def is_same_as(self, other: _Tally) -> bool:
        return (self.rows, self._hashes) == (other.rows, other._hashes)


async def copy_to_postgresql(source: Path, url: str) -> dict[str, int]:
    """Copy every table of the SQLite file ``source``, which nobody may be using, to the empty database at ``url``.

    The tables are made where they are missing. What was copied is read back and compared; unless all of it is the same,
    nothing stays. Returns how many rows each table has.

    :raises StorageUnavailable: the source is another version's, the target is not empty, or one cannot be used.
    """
    target = PostgresPlace(url)
    # Nobody may write to it meanwhile.
    engine = sqlite_engine(source)
    try:
        with engine.connect() as connection, connection.begin():
            check_current(connection)
            await target.make()
            return await _copy(connection, Connector(url, patience_s=OPEN_WITHIN_S, unhurried=True))
    except Exception as error:
        raise translated(error, source) from error
    finally:
        engine.dispose()


async def _copy(source: Connection, connector: Connector) -> dict[str, int]:
    target = await connector.open()
    try:
        with in_words(connector.name):
            async with target.transaction():
                # From here on nobody can make it anything but empty.
                names = ", ".join(table.name for table in metadata.sorted_tables)
                await target.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
                await _require_empty(target, connector.name)
                return {table.name: await _copy_table(source, target, table) for table in metadata.sorted_tables}
    finally:
        await target.close()


async def _require_empty(target: Any, name: str) -> None:
    for table in metadata.sorted_tables:
        rows = select(table).where(directory_revision.c.revision > 0) if table is directory_revision else select(table)
        if await target.fetchrow(_text(rows.limit(1))):
            raise StorageUnavailable(
                f"{name} is not empty: its table {table.name} has rows",
                "Copy to a new database (`createdb`); what is there already is never mixed with something else.",
            )


async def _copy_table(source: Connection, target: Any, table: Table) -> int:
    if table is directory_revision:
        await target.execute("DELETE FROM directory_revision")
    stored = [column for column in table.columns if column.computed is None]
    await target.copy_records_to_table(
        table.name, columns=[column.name for column in stored], records=_rows(source, stored)
    )
    # With what each engine makes of it: columns that are computed are compared, too.
    columns = list(table.columns)
    sent, arrived = _Tally(), _Tally()
    for row in _rows(source, columns):
        sent.add(row)
    async for row in target.cursor(_text(select(*columns)), prefetch=_AT_ONCE):
        arrived.add(tuple(row))
    if not arrived.is_same_as(sent):
        raise StorageUnavailable(
            f"The table {table.name} did not arrive as it was sent: {arrived.rows} rows of {sent.rows}",
            "Nothing was kept. Run it again; should it happen again, report it.",
        )
    return sent.rows


def _rows(source: Connection, columns: Sequence[Column[Any]]) -> Iterator[tuple[Any, ...]]:
    for row in source.execution_options(yield_per=_AT_ONCE).execute(select(*columns)):
        yield tuple(storable(value) if isinstance(value, str) else value for value in row)


def _text(query: Select[Any]) -> str:
    return str(query.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))
