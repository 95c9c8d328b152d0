"""One SQLite file with everything: users, wallets, the chain's accounts, orders, and what the agents keep.

One thread opens, uses and closes it, and every request is one transaction: all of it happens, or none. The file is
locked for as long as it is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from sandbox.sqlite_file import open_exclusively, transaction

_CACHE_KIB: Final = 16_384
# Pages beyond the cache are read where the kernel has them, without a call for each.
_MAPPED_BYTES: Final = 1 << 28

Row = tuple[Any, ...]


class Database:
    """``path`` None keeps everything in memory. Methods raise ``sqlite3.Error``."""

    def __init__(self, path: Path | None, schemas: Iterable[str]) -> None:
        self._db = open_exclusively(path, ";".join(schemas))
        self._db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._db.execute(f"PRAGMA mmap_size={_MAPPED_BYTES}")

    def transaction(self) -> AbstractContextManager[None]:
        """Durable, all or nothing, when the block ends."""
        return transaction(self._db)

    @contextmanager
    def undoable(self) -> Iterator[None]:
        """A part of a transaction that is undone alone when it fails. May be nested."""
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO part")
                self._db.execute("RELEASE part")
            raise
        self._db.execute("RELEASE part")

    @property
    def changes(self) -> int:
        """Rows changed since the file was opened."""
        return self._db.total_changes

    def execute(self, statement: str, *values: object) -> int:
        """The number of rows that it changed."""
        return self._db.execute(statement, values).rowcount

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        self._db.executemany(statement, rows)

    def insert(self, statement: str, *values: object) -> int:
        """The number of the row that it made, in a table whose key is a whole number."""
        return self._db.execute(statement, values).lastrowid or 0

    def rows(self, query: str, *values: object) -> list[Row]:
        return self._db.execute(query, values).fetchall()

    def row(self, query: str, *values: object) -> Row | None:
        found: Row | None = self._db.execute(query, values).fetchone()
        return found

    def value(self, query: str, *values: object) -> Any:
        """The first column of the first row, which must be there."""
        row = self.row(query, *values)
        if row is None:
            raise LookupError(query)
        return row[0]

    def close(self) -> None:
        self._db.close()
