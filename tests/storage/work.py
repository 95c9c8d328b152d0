"""Units of work for a database, and a way to have several in one batch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

from storage.sql.database import SqliteDatabase


def add(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute(text("INSERT INTO notes VALUES (:number)"), {"number": number})
        return number

    return work


def add_and_fail(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        add(number)(connection)
        raise LookupError(number)

    return work


def numbers(connection: Connection) -> list[int]:
    return list(connection.scalars(text("SELECT number FROM notes ORDER BY number")))


def pragma(name: str) -> Callable[[Connection], Any]:
    return lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def query_only(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA query_only = ON")


class Gate:
    """Keeps the writer busy until it is opened, so that what is asked for meanwhile becomes one batch."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._entered = threading.Event()
        self._opened = threading.Event()

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._database.write(self._wait))
        await asyncio.to_thread(self._entered.wait, 5)

    async def __aexit__(self, *error: object) -> None:
        # Whoever was started inside gets to ask first.
        await asyncio.sleep(0)
        self._opened.set()
        await self._task

    def _wait(self, connection: Connection) -> None:
        self._entered.set()
        self._opened.wait(5)
