"""The stores in SQL, on SQLite or PostgreSQL. One schema and one set of statements, through SQLAlchemy Core."""

from __future__ import annotations

from storage.sql.places import Place, place_of
from storage.sql.stores import Stores, open_sqlite

__all__ = ["Place", "Stores", "open_sqlite", "place_of"]
