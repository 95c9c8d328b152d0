"""The directory that a gateway keeps its state in: private to its owner, and one gateway's at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from storage.ports import StorageUnavailable

_LOCK: Final = "gateway.lock"


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold ``path`` until the block ends; the system lets go of it when the process dies, however it dies.

    Two gateways on one embedded database would each count limits for themselves and reconcile each other's orders.

    :raises StorageUnavailable: it cannot be made or written, or another gateway holds it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageUnavailable(
            f"The data directory {path} cannot be used: {error.strerror}",
            "Give its owner the right to write there, or name another one with --data-dir",
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageUnavailable(
                f"Another gateway is running on the data directory {path}",
                "Stop that one first, or name another directory with --data-dir",
            ) from error
        yield
    finally:
        os.close(lock)
