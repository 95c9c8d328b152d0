"""Whether a machine is fit to share a database with others."""

from __future__ import annotations

import re
import time

import pytest

from gateway.clock import SystemClock
from gateway.database import concerns
from storage.ports import StorageUnavailable
from storage.sql.places import ServerFacts, SqlitePlace
from storage.sql.postgresql.place import PostgresPlace
from tests.support.manual_clock import ManualClock


class ClockAhead(SystemClock):
    def __init__(self, by_s: float) -> None:
        self._by_ms = int(by_s * 1000)

    def now_ms(self) -> int:
        return super().now_ms() + self._by_ms


async def test_a_clock_that_is_a_little_off_the_servers_is_warned_about(postgres_url: str) -> None:
    warnings = await concerns(PostgresPlace(postgres_url), ClockAhead(2.5))
    assert re.match(r"This machine's clock is [23]\.\d s ahead of that of PostgreSQL at 127\.0\.0\.1", warnings[0])
    assert "NTP" in warnings[0]
    warnings = await concerns(PostgresPlace(postgres_url), ClockAhead(-2.5))
    assert re.search(r"[23]\.\d s behind", warnings[0])


async def test_a_clock_that_is_far_off_the_servers_is_refused(postgres_url: str) -> None:
    with pytest.raises(StorageUnavailable, match=r"6\d\.\d s ahead of.*nodes decide by it.*NTP"):
        await concerns(PostgresPlace(postgres_url), ClockAhead(60))


async def test_a_server_that_does_not_flush_is_warned_about(postgres_url: str) -> None:
    (warning,) = await concerns(PostgresPlace(postgres_url), SystemClock())
    assert "fsync = off" in warning


async def test_a_server_that_is_in_order_is_no_concern() -> None:
    class WellKept(PostgresPlace):
        async def server(self) -> ServerFacts:
            return ServerFacts(version="17.2", now_ms=int(time.time() * 1000), flushes=True)

    assert await concerns(WellKept("postgresql://h/db"), SystemClock()) == []


async def test_a_file_has_no_server_that_could_be_a_concern(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert await concerns(SqlitePlace(tmp_path_factory.mktemp("d") / "venuegate.db"), ManualClock()) == []
