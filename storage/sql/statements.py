"""Small tools that make one statement serve every SQL engine."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import CompilerElement


def insert_into(connection: Connection, table: Table) -> sqlite.Insert:
    """An INSERT with ``on_conflict_…``, in the engine's own dialect."""
    return insert_as(connection.dialect, table)


def insert_as(dialect: Dialect, table: Table) -> sqlite.Insert:
    """The same for a dialect. All spell these methods alike."""
    if dialect.name == "postgresql":
        return cast("sqlite.Insert", postgresql.insert(table))
    return sqlite.insert(table)


class Compiled:
    """A statement as a driver takes it. Every value is a named parameter or a literal in the SQL, and goes to the
    driver unconverted: only for columns whose values every driver takes as they are (str, int, bytes, None).
    """

    __slots__ = ("_names", "sql")

    def __init__(self, statement: CompilerElement, dialect: Dialect) -> None:
        compiled = cast("SQLCompiler", statement.compile(dialect=dialect))
        self.sql = str(compiled)
        self._names = compiled.positiontup or ()

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Of ``values``, those that the statement names, in its order."""
        return tuple([values[name] for name in self._names])


class Prepared(Compiled):
    """A statement compiled once and then given to the driver as it is, for those that every order runs.

    Through SQLAlchemy, each of them costs several times what the database needs for it. One instance belongs to one
    dialect.
    """

    __slots__ = ()

    def run(self, connection: Connection, values: Mapping[str, Any]) -> DBAPICursor:
        """Inside a transaction that has begun: unlike SQLAlchemy, this begins none.

        :raises IntegrityError: SQLAlchemy's, without the values. Other errors are the driver's own.
        """
        cursor = connection.connection.cursor()
        try:
            cursor.execute(self.sql, self.parameters(values))
        except connection.dialect.loaded_dbapi.IntegrityError as error:
            raise IntegrityError(self.sql, None, error) from error
        return cursor


class PreparedStatements:
    """Statements by name, each compiled at its first use. One instance belongs to one dialect."""

    def __init__(self) -> None:
        self._by_name: dict[Hashable, Prepared] = {}

    def get(self, connection: Connection, name: Hashable, build: Callable[[Connection], CompilerElement]) -> Prepared:
        """The names must be few: they are kept for ever."""
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name[name] = Prepared(build(connection), connection.dialect)
        return found
