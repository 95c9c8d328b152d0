"""A database as a first start leaves it, without the quarter of a second that making its tables takes."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from storage.sql.engines import prepare_file, sqlite_engine
from storage.sql.upgrades import upgrade


def put_empty_database(path: Path) -> None:
    """At ``path``, whose directory is made where it is missing."""
    prepare_file(path)
    path.write_bytes(_empty_database())


@functools.cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "venuegate.db"
        prepare_file(path)
        engine = sqlite_engine(path)
        upgrade(engine)
        engine.dispose()
        return path.read_bytes()
