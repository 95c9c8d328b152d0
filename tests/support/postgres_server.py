"""A real PostgreSQL server for one test run: the system's, or the one in the ``pgserver`` wheel. No containers.

``PostgresServer`` is one that its test may stop, kill and freeze. ``shared_server`` gives the one that all processes of
a test run share; as a program, this module keeps that one alive for as long as somebody uses it, and takes it away when
nobody does, however they ended.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

LEAST_VERSION: Final = 14
START_WITHIN_S: Final = 30.0
LOCKED_USER, PASSWORD = "locked", "open sesame: 100%/@#?"
_UNPRIVILEGED: Final = "nobody"
_USERS, _READY = "users.lock", "ready"
_FAST: Final = ("fsync=off", "full_page_writes=off")


class PostgresServer:
    """One server on the loopback, with its files in a directory of its own. Made, not started."""

    def __init__(self, *, options: Sequence[str] = ()) -> None:
        # Not among pytest's own directories: they are closed to the user that the server runs as.
        self.directory = Path(tempfile.mkdtemp(prefix="venuegate-postgres-"))
        self.port = _free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        if (user := _as_somebody()) is not None:
            os.chown(self.directory, user, -1)
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")
        access = self._data / "pg_hba.conf"
        access.write_text(f"host all {LOCKED_USER} 127.0.0.1/32 scram-sha-256\n{access.read_text()}")

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def url(self, database: str = "postgres", *, user: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> PostgresServer:
        settings = [
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "unix_socket_directories=",
            "shared_buffers=32MB",
            "max_connections=200",
            "dynamic_shared_memory_type=mmap",
            *self._options,
        ]
        flags = [part for setting in settings for part in ("-c", setting)]
        command = [str(binaries() / "postgres"), "-D", str(self._data), *flags]
        with (self.directory / "log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, cwd=self.directory, user=_as_somebody()
            )
        self._process = process
        deadline = time.monotonic() + START_WITHIN_S
        while subprocess.run([binaries() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode:
            assert process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)
        return self

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def stop(self) -> None:
        """As an operator would: connections are ended, everything is stored."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """All of its processes at once, as a power cut would."""
        self._signal_all(signal.SIGKILL)
        self._ended()

    def freeze(self) -> None:
        """Nothing is refused, and nothing is answered."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None:
            self._signal_all(signal.SIGCONT)
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def processes(self) -> Sequence[psutil.Process]:
        """Itself, and one for each connection and each of its chores."""
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        return [server, *server.children()]

    def _signal_all(self, number: int) -> None:
        # Each of its processes leads a session of its own.
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._ended()

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait(START_WITHIN_S)
        self._process = None

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [binaries() / program, *arguments], capture_output=True, cwd=self.directory, user=_as_somebody()
        )
        assert done.returncode == 0, done.stderr.decode()


@contextlib.contextmanager
def shared_server(directory: Path) -> Iterator[int]:
    """The port of the server that all share who name this ``directory``. The first starts it, the last ends it."""
    directory.mkdir(exist_ok=True)
    with (directory / "start.lock").open("w") as start, (directory / _USERS).open("w") as users:
        fcntl.flock(start, fcntl.LOCK_EX)
        # While the keeper of an earlier server takes it away, this waits.
        fcntl.flock(users, fcntl.LOCK_SH)
        ready = directory / _READY
        if not ready.exists():
            keeper = [sys.executable, __file__, str(directory)]
            with (directory / "keeper.log").open("wb") as log:
                subprocess.run(keeper, stdout=log, stderr=log, start_new_session=True, check=True)
            deadline = time.monotonic() + START_WITHIN_S
            while not ready.exists():
                assert time.monotonic() < deadline, (directory / "keeper.log").read_text()
                time.sleep(0.02)
        port = int(ready.read_text())
        fcntl.flock(start, fcntl.LOCK_UN)
        yield port


def keep(directory: Path) -> None:
    """Run the shared server of ``directory`` until all who use it are gone."""
    server = PostgresServer(options=_FAST).start()
    ready = directory / _READY
    draft = directory / f"{_READY}.draft"
    draft.write_text(str(server.port))
    draft.rename(ready)
    with (directory / _USERS).open("w") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        ready.unlink()
        server.close()


@functools.cache
def binaries() -> Path:
    """Where the server's programs are: a system's own is preferred, being what a user would have."""
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and _version(folder) >= LEAST_VERSION:
            return folder
    wheel = importlib.util.find_spec("pgserver")
    assert wheel is not None, "there is no PostgreSQL: install one, or the pgserver wheel"
    assert wheel.origin is not None
    installed = Path(wheel.origin).parent / "pginstall"
    if os.geteuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in installed.parents):
        # The user that the server runs as cannot get there.
        copy = Path(tempfile.mkdtemp(prefix="venuegate-postgres-"))
        atexit.register(shutil.rmtree, copy)
        copy.chmod(0o755)
        installed = Path(shutil.copytree(installed, copy / "pginstall"))
    return installed / "bin"


def _version(folder: Path) -> int:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    return int(said.split()[2].partition(".")[0]) if said else 0


def _as_somebody() -> int | None:
    """The user to run as, where it cannot be this one: PostgreSQL refuses to be root."""
    return pwd.getpwnam(_UNPRIVILEGED).pw_uid if os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    # On its own from here on: it outlives whoever asked for it first.
    if os.fork() == 0:
        keep(Path(sys.argv[1]))
