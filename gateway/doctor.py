"""Is this machine fit to run the gateway, and is what it has in order? Each check is one finding; none raises."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from adapters.base import Network
from adapters.registry import Venue, VenueContext
from adapters.transport import Transport
from gateway.clock import Clock
from gateway.database import concerns
from gateway.keyring import MAKE_MASTER_KEY, Keyring, MasterKeyError, MasterKeyFile, MasterKeyRing
from gateway.settings import Settings
from normalization.errors import GatewayError
from normalization.venue_failures import VenueFailure
from storage.ports import Directory, StorageUnavailable
from storage.redis_store.address import RedisAddress
from storage.sql import Place

if TYPE_CHECKING:
    from storage.redis_store.checks import RedisState

LEAST_PYTHON: Final = (3, 11)
LEAST_FREE_MIB: Final = 100
LOW_FREE_MIB: Final = 1_024
LEAST_YEAR: Final = 2025
MOST_CLOCK_SKEW_S: Final = 5.0
ANSWER_WITHIN_S: Final = 2.0
VENUE_ANSWERS_WITHIN_S: Final = 5.0

_MIB: Final = 1024 * 1024


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """``advice`` is what to do, empty where nothing has to be done."""

    check: str
    level: Level
    message: str
    advice: str = ""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What the doctor looks at."""

    settings: Settings
    database: Place
    venues: Mapping[str, Venue]
    clock: Clock
    python: tuple[int, ...] = sys.version_info[:3]


async def examine(environment: Environment) -> list[Finding]:
    """Every finding, in the order in which a person would look."""
    began = environment.clock.now_ms() / 1000 - environment.clock.monotonic()
    findings = [check_python(environment.python), *check_data_dir(environment.settings.data_dir)]
    findings.append(await check_database(environment))
    findings.append(await check_master_key(environment))
    findings += [finding async for finding in check_redis(environment)]
    findings += [finding async for finding in check_venues(environment)]
    findings += await asyncio.to_thread(lambda: list(check_ports(environment.settings)))
    return [*findings, *check_clock(environment, began)]


def check_python(running: tuple[int, ...]) -> Finding:
    text = ".".join(map(str, running))
    if running < LEAST_PYTHON:
        return _failure("python", f"Python {text} is too old", "Use Python 3.11 or newer")
    return _ok("python", f"Venuegate {version('venuegate')} on Python {text}")


def check_data_dir(path: Path) -> Iterator[Finding]:
    """Whether it is there, private, writable, and on a disk with space."""
    if not path.exists():
        yield _warning("data dir", f"{path} does not exist yet", "`venuegate serve` or `accounts create` makes it")
        return
    problem = _write_problem(path)
    if problem is not None:
        yield _failure(
            "data dir",
            f"{path} cannot be written: {problem}",
            "Name another with --data-dir or VENUEGATE_DATA_DIR, or make this user its owner",
        )
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield _warning(
            "data dir", f"{path} is open to other users (mode {mode:04o})", f"Run: chmod 700 {path.absolute()}"
        )
    else:
        yield _ok("data dir", f"{path.absolute()} is there, private and writable")
    yield _check_space(path)


def _check_space(path: Path) -> Finding:
    free = shutil.disk_usage(path).free // _MIB
    said = f"{free:,} MiB are free"
    if free < LEAST_FREE_MIB:
        return _failure("disk", said, "Free some space: orders are refused when none is left")
    if free < LOW_FREE_MIB:
        return _warning("disk", said, "Free some space soon: orders are refused when none is left")
    return _ok("disk", said)


async def check_database(environment: Environment) -> Finding:
    place = environment.database
    if not place.exists():
        return _warning(
            "database", f"{place.name} does not exist yet", "`venuegate serve` or `accounts create` makes it"
        )
    try:
        await place.check()
        warnings = await concerns(place, environment.clock)
    except StorageUnavailable as error:
        return _failure("database", error.problem, error.advice)
    if warnings:
        return _warning("database", " ".join(warnings), "It serves as it is, but what it promises depends on this")
    return _ok("database", f"{place.name} opens, has this version's tables and takes writes")


async def check_master_key(environment: Environment) -> Finding:
    """Whether there is one, only its owner can read it, and it opens this database."""
    source = environment.settings.master_key
    if source is None:
        return _failure("master key", "There is none", f"{MAKE_MASTER_KEY}; `serve --demo` makes its own")
    try:
        ring = MasterKeyRing.load(source)
        if not environment.database.exists():
            return _ok("master key", "It can be read; there is no database yet that it has to open")
        async with _directory_of(environment.database) as directory:
            stored = await directory.secrets()
            if not stored:
                return _ok("master key", "It can be read; the database has nothing yet that it has to open")
            await Keyring.open(directory, ring)
    except MasterKeyError as error:
        return _failure("master key", error.problem, error.advice)
    except StorageUnavailable:
        return _warning("master key", "It can be read; whether it opens the database is not known", "See database")
    if not all(ring.is_current(secret.wrapped) for secret in stored):
        return _warning("master key", "The database is still under an older key", "Run: venuegate master-key rotate")
    where = f"{source.path}" if isinstance(source, MasterKeyFile) else "The one in the environment"
    return _ok("master key", f"{where} opens this database")


async def check_redis(environment: Environment) -> AsyncIterator[Finding]:
    """Whether the one that is configured can be used, and goes by the same time."""
    address = environment.settings.redis
    if address is None:
        if environment.database.is_shared:
            yield _warning(
                "redis",
                "None is configured: every node that uses this database counts limits for itself",
                "Set VENUEGATE_REDIS_URL before a second node is started",
            )
        else:
            yield _ok("redis", "None is configured: limits are counted inside the one process")
        return
    try:
        state = await _asked(address)
    except StorageUnavailable as error:
        yield _failure("redis", error.problem, error.advice)
        return
    servers = "" if state.servers == 1 else f" ({state.servers} nodes that take writes)"
    yield _ok("redis", f"Redis {state.version} at {address}{servers} takes writes")
    if state.eviction is not None:
        yield _warning(
            "redis memory",
            f"When it is full it forgets what is counted (maxmemory-policy {state.eviction})",
            "Set maxmemory-policy noeviction, or give the gateway a Redis of its own",
        )
    skew_s = (state.now_ms - environment.clock.now_ms()) / 1000
    if abs(skew_s) > MOST_CLOCK_SKEW_S:
        yield _warning(
            "redis clock",
            f"It is {skew_s:+.1f} s off this machine's clock; minutes and days are counted by it",
            "Keep the clocks of both right with NTP",
        )


async def _asked(address: RedisAddress) -> RedisState:
    """:raises StorageUnavailable: it cannot be used."""
    # Only those who use it pay for its library.
    from storage.redis_store.checks import check
    from storage.redis_store.servers import server_at

    server = server_at(address)
    try:
        return await check(server)
    finally:
        await server.close()


async def check_venues(environment: Environment) -> AsyncIterator[Finding]:
    """Whether each that is in use opens and has markets.

    What venues keep in the data directory may be a running gateway's: they are opened in another one.
    """
    in_use = await _networks_in_use(environment)
    for exchange, venue in environment.venues.items():
        networks = in_use.get(exchange, set())
        if not networks:
            yield _ok(f"venue {exchange}", "No credential uses it")
            continue
        transport = Transport()
        try:
            with tempfile.TemporaryDirectory(prefix="venuegate-") as empty:
                context = VenueContext(data_dir=Path(empty), clock=environment.clock, transport=transport)
                found, silent = await _count_markets(venue, context, networks)
        except Exception as error:
            # A venue's library may say anything, secrets included: only the kind of error is told.
            problem = error.problem if isinstance(error, StorageUnavailable) else type(error).__name__
            yield _failure(
                f"venue {exchange}", f"It does not open: {problem}", "Check the network and the space in the temp dir"
            )
        else:
            counts = f"Markets: {', '.join(found)}" if found or silent else "Served by the demo itself"
            if silent:
                advice = "Check the network and any firewall, if you trade there"
                yield _warning(f"venue {exchange}", f"{counts}; no answer from {' and '.join(silent)}", advice)
            else:
                yield _ok(f"venue {exchange}", counts)
        finally:
            await transport.close()


@contextlib.asynccontextmanager
async def _directory_of(place: Place) -> AsyncIterator[Directory]:
    stores = await place.open()
    try:
        yield stores.directory
    finally:
        await stores.close()


async def _networks_in_use(environment: Environment) -> dict[str, set[str]]:
    """The networks of each exchange that some credential is for; the paper venue is always looked at."""
    found = {"paper": {Network.PAPER.value}}
    if environment.database.exists():
        with contextlib.suppress(StorageUnavailable):
            async with _directory_of(environment.database) as directory:
                for credential in await directory.credentials():
                    found.setdefault(credential.exchange, set()).add(credential.network)
    return found


async def _count_markets(venue: Venue, context: VenueContext, networks: Collection[str]) -> tuple[list[str], list[str]]:
    """How many markets each of ``networks`` has, and which do not answer. A local one is the running gateway's own."""
    adapter = await venue.open(context)
    found, silent = [], []
    try:
        for network in sorted(adapter.networks.intersection(networks)):
            try:
                async with asyncio.timeout(VENUE_ANSWERS_WITHIN_S):
                    found.append(f"{len(await adapter.markets(network))} on {network}")
            except (GatewayError, VenueFailure, TimeoutError):
                silent.append(network.value)
    finally:
        await adapter.close()
    return found, silent


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Whether the gateway's ports can be had, or a gateway has them."""
    if settings.port == 0:
        yield _ok("port", "Any free port will be taken")
    elif (problem := _bind_problem(settings.host, settings.port)) is None:
        yield _ok("port", f"{settings.host}:{settings.port} is free")
    elif _answers_as_gateway(settings.host, settings.port):
        yield _ok("port", f"A gateway answers on {settings.host}:{settings.port}")
        return
    else:
        yield _failure(
            "port",
            f"{settings.host}:{settings.port} cannot be had: {problem}",
            "End the program that has it, or choose another with VENUEGATE_PORT or serve --port",
        )
    if settings.metrics_port is None:
        return
    problem = _bind_problem(settings.metrics_host, settings.metrics_port)
    at = f"{settings.metrics_host}:{settings.metrics_port}"
    if problem is None:
        yield _ok("metrics port", f"{at} is free")
    else:
        yield _failure(
            "metrics port",
            f"{at} cannot be had: {problem}",
            "End the program that has it, or choose another with VENUEGATE_METRICS_PORT (0 for no metrics)",
        )


def check_clock(environment: Environment, began: float) -> Iterator[Finding]:
    """``began`` is by how much the wall clock was ahead of the monotonic one when the examination began."""
    now_s = environment.clock.now_ms() / 1000
    moved = abs(now_s - environment.clock.monotonic() - began)
    year = datetime.fromtimestamp(now_s, UTC).year
    skew = _file_skew(environment.settings.data_dir, now_s)
    advice = "Keep it right with NTP (`timedatectl set-ntp true`): venues refuse requests that are signed out of time"
    if year < LEAST_YEAR:
        yield _failure("clock", f"It says that this is the year {year}", advice)
    elif moved > 1.0:
        yield _warning("clock", f"It was set by {moved:.1f} s while this ran", advice)
    elif skew is not None and abs(skew) > MOST_CLOCK_SKEW_S:
        yield _warning("clock", f"The data dir's file system is {skew:+.1f} s off this machine's clock", advice)
    else:
        yield _ok("clock", f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%d %H:%M:%S} UTC, and steady")


def _write_problem(path: Path) -> str | None:
    """What keeps a file from being made in ``path``; None when nothing does."""
    try:
        with _probe_file(path):
            return None
    except OSError as error:
        return error.strerror or type(error).__name__


def _file_skew(path: Path, now_s: float) -> float | None:
    try:
        with _probe_file(path) as descriptor:
            return os.fstat(descriptor).st_mtime - now_s
    except OSError:
        return None


@contextlib.contextmanager
def _probe_file(path: Path) -> Iterator[int]:
    probe = path / f".doctor-{os.getpid()}"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, b"probe")
        os.fsync(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)
        probe.unlink()


def _bind_problem(host: str, port: int) -> str | None:
    """What keeps us from listening there; None when nothing does."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the gateway itself does: a port that was in use a moment ago may be had.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def _answers_as_gateway(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(reachable(host), port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status == 200 and b'"ok"' in answer.read(1024)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def reachable(host: str) -> str:
    """Where to reach a server that listens on ``host``: a wildcard is no address to connect to."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _ok(check: str, message: str) -> Finding:
    return Finding(check=check, level=Level.OK, message=message)


def _warning(check: str, message: str, advice: str) -> Finding:
    return Finding(check=check, level=Level.WARNING, message=message, advice=advice)


def _failure(check: str, message: str, advice: str) -> Finding:
    return Finding(check=check, level=Level.FAILURE, message=message, advice=advice)
