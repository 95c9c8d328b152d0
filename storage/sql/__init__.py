"""The stores in SQL, on SQLite. One schema and one set of statements, through SQLAlchemy Core."""

from __future__ import annotations

from storage.sql.stores import Stores, open_sqlite

__all__ = ["Stores", "open_sqlite"]
