from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.ports import Directory, Journal, UsageStore
from storage.sql import Stores, open_sqlite
from tests.storage.samples import database_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return database_path(tmp_path)


@pytest.fixture
async def stores(path: Path) -> AsyncIterator[Stores]:
    opened = await open_sqlite(path)
    yield opened
    await opened.close()


@pytest.fixture
def directory(stores: Stores) -> Directory:
    return stores.directory


@pytest.fixture
def journal(stores: Stores) -> Journal:
    return stores.journal


@pytest.fixture
def usage(stores: Stores) -> UsageStore:
    return stores.usage
