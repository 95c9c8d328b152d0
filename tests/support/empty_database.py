"""A database as a first start leaves it, without the quarter of a second that making its tables takes."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from storage.sql.engines import prepare_file
from storage.sql.stores import in_sqlite
from storage.sql.upgrades import upgrade_within


def put_empty_database(path: Path) -> None:
    """At ``path``, whose directory is made where it is missing."""
    prepare_file(path)
    path.write_bytes(_empty_database())


@functools.cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "venuegate.db"
        in_sqlite(path, upgrade_within)
        return path.read_bytes()
