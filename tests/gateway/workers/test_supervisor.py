"""Processes that die, hang, refuse to start and are stopped, as their supervisor sees them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

# Each child writes a line when it starts, with its pid, and one when it ends in order.
PROGRAM = """
import os, select, signal, sys, time
from gateway.workers.supervisor import Supervisor

def say(text):
    os.write(1, f"{text}\\n".encode())

def child(name, how="serve"):
    def program(lifeline):
        say(f"{name} {os.getpid()} {'first' if lifeline.is_first else 'again'}")
        if how == "refuse":
            return 3
        stopping = []
        signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
        lifeline.is_ready()
        while not stopping:
            try:
                ready, _, _ = select.select([lifeline.watched], [], [], 0.05)
            except InterruptedError:
                continue
            if ready:
                word = lifeline.word()
                if not word:
                    break
                say(f"{name} hears {word.decode()}")
        if how == "hang":
            time.sleep(60)
        say(f"{name} ends")
        return 0
    return program

workers = [(f"worker {n}", child(f"worker-{n}", how)) for n, how in enumerate(sys.argv[2:])]
code = Supervisor(child("owner", sys.argv[1]), workers).run()
say(f"supervisor ends {code}")
sys.exit(code)
"""
WITHIN_S = 20.0


class Supervised:
    def __init__(self, *how: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, *how], stdout=subprocess.PIPE, text=True)
        self.said: list[str] = []

    @property
    def _out(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def until(self, line: str) -> str:
        """Read on until a line that begins so; it."""
        for found in iter(self._out.readline, ""):
            self.said.append(found.strip())
            if found.startswith(line):
                return found.strip()
        raise AssertionError(self.said)

    def pid_of(self, name: str) -> int:
        return int(self.until(f"{name} ").split()[1])

    def rest(self) -> list[str]:
        self.said += self._out.read().splitlines()
        self.process.wait(WITHIN_S)
        return self.said

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WITHIN_S)
        self._out.close()


@pytest.fixture
def supervised() -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def start(*how: str) -> Supervised:
        started.append(Supervised(*how))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_the_owner_starts_first_and_ends_last(supervised: Callable[..., Supervised]) -> None:
    run = supervised("serve", "serve", "serve")
    run.until("owner hears a")
    run.process.send_signal(signal.SIGTERM)
    said = run.rest()
    assert said[0].startswith("owner ")
    assert sorted(said[-4:-2]) == ["worker-0 ends", "worker-1 ends"]
    assert said[-2:] == ["owner ends", "supervisor ends 0"]
    assert run.process.returncode == 0


def test_what_dies_is_started_again_and_the_others_go_on(supervised: Callable[..., Supervised]) -> None:
    run = supervised("serve", "serve", "serve")
    owner = run.pid_of("owner")
    first = run.pid_of("worker-0")
    run.until("owner hears a")
    os.kill(first, signal.SIGKILL)
    assert run.until("worker-0 ").endswith("again")
    os.kill(owner, signal.SIGKILL)
    assert run.until("owner ").endswith("again")
    run.process.send_signal(signal.SIGTERM)
    said = run.rest()
    assert sum(line.startswith("worker-1 ") and line.endswith(("first", "again")) for line in said) == 1
    assert sum(line == "owner hears a" for line in said) == 1, "what is said at the start is said once"
    assert said[-1] == "supervisor ends 0"


def test_what_dies_again_and_again_is_started_less_and_less_often(supervised: Callable[..., Supervised]) -> None:
    run = supervised("serve", "serve")
    run.until("owner hears a")
    pid = int(next(line for line in run.said if line.startswith("worker-0")).split()[1])
    began = time.monotonic()
    for _ in range(4):
        os.kill(pid, signal.SIGKILL)
        pid = run.pid_of("worker-0")
    assert time.monotonic() - began >= 0.1 + 0.2 + 0.4 + 0.8


@pytest.mark.parametrize("how", [("refuse", "serve"), ("serve", "serve", "refuse")])
def test_a_start_that_fails_stops_everything_with_its_code(
    supervised: Callable[..., Supervised], how: tuple[str, ...]
) -> None:
    run = supervised(*how)
    said = run.rest()
    assert run.process.returncode == 3
    assert said[-1] == "supervisor ends 3"
    started = {line.split()[0] for line in said if line.endswith("first")}
    assert started == ({"owner"} if how[0] == "refuse" else {"owner", "worker-0", "worker-1"})


def test_a_second_signal_ends_what_does_not_end_by_itself(supervised: Callable[..., Supervised]) -> None:
    run = supervised("serve", "hang")
    run.until("owner hears a")
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert run.process.poll() is None, "it waits for orders under way"
    run.process.send_signal(signal.SIGINT)
    said = run.rest()
    assert "worker-0 ends" not in said
    assert run.process.returncode == 1


def test_when_the_supervisor_is_killed_its_processes_end_in_order(supervised: Callable[..., Supervised]) -> None:
    run = supervised("serve", "serve")
    run.until("owner hears a")
    run.process.kill()
    said = run.rest()
    assert {"worker-0 ends", "owner ends"} <= set(said)


def test_a_socket_directory_is_private_and_goes_with_its_gateway() -> None:
    from gateway.workers.seat import sockets_for

    with sockets_for(["hyperliquid"]) as sockets:
        assert sockets.directory.stat().st_mode & 0o077 == 0
        seats = sockets.seats(2)
        assert [seat.slot for seat in seats] == [0, 1]
        assert len({seat.metrics for seat in seats}) == 2
        assert seats[0].venue_urls["hyperliquid"].startswith("http://127.0.0.1:")
    assert not Path(sockets.directory).exists()
