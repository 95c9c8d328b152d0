from __future__ import annotations

import http.server
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from adapters.registry import VENUES, VenueContext
from gateway.doctor import Environment, Finding, Level, check_clock, check_data_dir, check_ports, check_python, examine
from gateway.keyring import Keyring, MasterKeyRing, create_master_key_file, generate_master_key
from gateway.settings import Settings
from storage.sql.places import SqlitePlace
from tests.support.empty_database import put_empty_database
from tests.support.manual_clock import ManualClock
from tests.support.redis_server import RedisProcess, address_of, free_port


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A machine on which all is well, before the first start."""
    data_dir = tmp_path / "var"
    data_dir.mkdir(mode=0o700)
    key = data_dir / "master.key"
    create_master_key_file(key)
    now_ms = data_dir.stat().st_mtime_ns // 1_000_000
    return Environment(
        settings=Settings.load({}, data_dir=data_dir, master_key_file=key, port=0, metrics_port=0),
        database=SqlitePlace(database_path(data_dir), busy_timeout_s=0.5),
        venues=VENUES,
        clock=ManualClock(now_ms),
    )


def database_path(data_dir: Path) -> Path:
    return data_dir / "venuegate.db"


async def start_once(environment: Environment) -> None:
    """What a first start leaves behind."""
    put_empty_database(database_path(environment.settings.data_dir))
    stores = await environment.database.open()
    await Keyring.open(stores.directory, MasterKeyRing.load(environment.settings.require_master_key()))
    await stores.close()


async def found(environment: Environment, check: str) -> Finding:
    return next(finding for finding in await examine(environment) if finding.check == check)


async def test_all_is_well_after_a_first_start(environment: Environment) -> None:
    await start_once(environment)
    findings = await examine(environment)
    assert {finding.level for finding in findings} == {Level.OK}
    assert {"python", "data dir", "disk", "database", "master key", "redis", "port", "clock"} | {
        f"venue {v}" for v in VENUES
    } == {finding.check for finding in findings}
    assert not any(finding.advice for finding in findings)


async def test_whatever_is_not_well_comes_with_what_to_do(environment: Environment, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(environment.settings, data_dir=tmp_path / "absent", master_key=None)
    nothing = msgspec.structs.replace(
        environment, settings=settings, database=SqlitePlace(tmp_path / "absent" / "venuegate.db")
    )
    bad = [finding for finding in await examine(nothing) if finding.level is not Level.OK]
    assert {finding.check for finding in bad} >= {"data dir", "database", "master key"}
    assert all(finding.advice for finding in bad)


async def test_a_database_that_is_not_there_yet_is_no_failure(environment: Environment) -> None:
    database = await found(environment, "database")
    assert database.level is Level.WARNING
    assert "does not exist yet" in database.message
    assert (await found(environment, "master key")).level is Level.OK
    assert not environment.database.exists()


async def test_a_locked_database_is_found(environment: Environment) -> None:
    await start_once(environment)
    holder = sqlite3.connect(database_path(environment.settings.data_dir), isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        database = await found(environment, "database")
    finally:
        holder.close()
    assert database.level is Level.FAILURE
    assert "locked by another process" in database.message


async def test_a_database_of_something_else_is_found(environment: Environment) -> None:
    database_path(environment.settings.data_dir).write_bytes(b"not a database" * 100)
    database = await found(environment, "database")
    assert database.level is Level.FAILURE
    assert "is not a database" in database.message


async def test_a_missing_master_key_is_found(environment: Environment) -> None:
    settings = msgspec.structs.replace(environment.settings, master_key=None)
    key = await found(msgspec.structs.replace(environment, settings=settings), "master key")
    assert key.level is Level.FAILURE
    assert "venuegate master-key generate" in key.advice


async def test_a_master_key_file_that_is_gone_is_found(environment: Environment) -> None:
    (environment.settings.data_dir / "master.key").unlink()
    key = await found(environment, "master key")
    assert key.level is Level.FAILURE
    assert "No such file" in key.message
    assert "venuegate master-key generate" in key.advice


async def test_a_wrong_master_key_is_found(environment: Environment) -> None:
    await start_once(environment)
    (environment.settings.data_dir / "master.key").write_text(generate_master_key())
    key = await found(environment, "master key")
    assert key.level is Level.FAILURE
    assert "does not match this database" in key.message


async def test_a_master_key_that_others_can_read_is_found(environment: Environment) -> None:
    path = environment.settings.data_dir / "master.key"
    path.chmod(0o640)
    key = await found(environment, "master key")
    assert key.level is Level.FAILURE
    assert f"chmod 600 {path}" in key.advice


async def test_a_rotation_that_was_not_finished_is_found(environment: Environment) -> None:
    await start_once(environment)
    path = environment.settings.data_dir / "master.key"
    path.write_text(f"{generate_master_key()}\n{path.read_text()}")
    key = await found(environment, "master key")
    assert key.level is Level.WARNING
    assert "venuegate master-key rotate" in key.advice


async def test_looking_changes_nothing(environment: Environment) -> None:
    stores = await environment.database.open()
    try:
        await examine(environment)
        assert await stores.directory.secrets() == []
    finally:
        await stores.close()


def test_a_data_dir_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    # Not by its mode: who runs as root may write anywhere but here.
    for path in (Path("/proc/self"), tmp_path / "file"):
        (tmp_path / "file").write_text("in the way")
        (finding,) = check_data_dir(path)
        assert finding.level is Level.FAILURE
        assert "cannot be written" in finding.message
        assert "--data-dir" in finding.advice


def test_a_data_dir_that_others_can_look_into_is_found(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    finding = next(iter(check_data_dir(tmp_path)))
    assert finding.level is Level.WARNING
    assert f"chmod 700 {tmp_path}" in finding.advice
    assert os.listdir(tmp_path) == []


def test_a_python_that_is_too_old_is_found() -> None:
    assert check_python((3, 10, 14)).level is Level.FAILURE
    assert check_python((3, 11, 0)).level is Level.OK


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def settings_at(port: int, metrics_port: int) -> Settings:
    return Settings.load({}, port=port, metrics_port=metrics_port)


def test_a_port_that_something_else_has_is_found(taken: socket.socket) -> None:
    taken.settimeout(5)
    answering = threading.Thread(target=lambda: taken.accept()[0].close())
    answering.start()
    (port,) = check_ports(settings_at(taken.getsockname()[1], 0))
    answering.join()
    assert port.level is Level.FAILURE
    assert "--port" in port.advice


def test_a_metrics_port_that_something_else_has_is_found(taken: socket.socket) -> None:
    _, metrics = check_ports(settings_at(0, taken.getsockname()[1]))
    assert metrics.level is Level.FAILURE
    assert "VENUEGATE_METRICS_PORT" in metrics.advice


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_port_that_a_gateway_answers_on_is_well() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Healthy) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        (port,) = check_ports(settings_at(server.server_port, 0))
        answering.join()
    assert port.level is Level.OK
    assert "A gateway answers" in port.message


async def _break(context: VenueContext) -> NoReturn:
    raise RuntimeError("CANARY")


async def test_a_venue_that_does_not_open_is_found_without_its_text(environment: Environment) -> None:
    broken = msgspec.structs.replace(VENUES["paper"], open=_break)
    venue = await found(msgspec.structs.replace(environment, venues={"paper": broken}), "venue paper")
    assert venue.level is Level.FAILURE
    assert venue.message == "It does not open: RuntimeError"


# Redis.


def with_redis(environment: Environment, url: str) -> Environment:
    settings = msgspec.structs.replace(environment.settings, redis=address_of(url))
    return msgspec.structs.replace(environment, settings=settings)


async def test_a_redis_that_is_well_is_told_of(environment: Environment, redis_process: RedisProcess) -> None:
    redis = await found(with_redis(environment, redis_process.url), "redis")
    assert redis.level is Level.OK
    assert f"at {redis_process.url} takes writes" in redis.message


async def test_no_redis_is_fine(environment: Environment) -> None:
    assert (await found(environment, "redis")).level is Level.OK


async def test_a_redis_that_is_not_there_is_found(environment: Environment) -> None:
    redis = await found(with_redis(environment, f"redis://127.0.0.1:{free_port()}"), "redis")
    assert redis.level is Level.FAILURE
    assert redis.message.endswith("cannot be reached")
    assert redis.advice.startswith("Start it, or correct VENUEGATE_REDIS_URL")


async def test_a_redis_that_forgets_when_full_or_goes_by_another_time_is_warned_about(
    environment: Environment, redis_process: RedisProcess
) -> None:
    redis_process.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        late = msgspec.structs.replace(environment, clock=ManualClock(1_700_000_000_000))
        findings = {one.check: one for one in await examine(with_redis(late, redis_process.url))}
    finally:
        redis_process.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert "allkeys-lru" in findings["redis memory"].message
    assert findings["redis clock"].level is Level.WARNING


class JumpingClock(ManualClock):
    """Somebody sets the wall clock as soon as it was looked at."""

    def now_ms(self) -> int:
        now_ms = super().now_ms()
        self.jump(90)
        return now_ms


async def test_a_clock_that_is_set_meanwhile_is_found(environment: Environment) -> None:
    now_ms = environment.clock.now_ms()
    jumping = msgspec.structs.replace(environment, clock=JumpingClock(now_ms))
    clock = await found(jumping, "clock")
    assert clock.level is Level.WARNING
    assert "It was set by" in clock.message


@pytest.mark.parametrize(
    ("now_ms", "level", "said"),
    [(86_400_000, Level.FAILURE, "the year 1970"), (4_000_000_000_000, Level.WARNING, "off this machine's clock")],
)
def test_a_clock_that_is_wrong_is_found(environment: Environment, now_ms: int, level: Level, said: str) -> None:
    clock = ManualClock(now_ms)
    began = now_ms / 1000 - clock.monotonic()
    (finding,) = check_clock(msgspec.structs.replace(environment, clock=clock), began)
    assert finding.level is level
    assert said in finding.message
