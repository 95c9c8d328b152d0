from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import requests

from tests.support.redis_server import free_port

START_WITHIN_S = 60.0
SERVE = (sys.executable, "-m", "gateway.cli", "serve", "--demo")


class Demo:
    """``venuegate serve --demo`` as a process of its own, on a free port and a data directory of its own."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        self.data_dir = data_dir
        self.flags = flags
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Demo:
        before = self._written_at()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*SERVE, "--port", "0", "--metrics-port", "0", "--data-dir", str(self.data_dir), *self.flags],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_WITHIN_S
        while not (self._written_at() != before and self._answers()):
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        """The hard way: nothing of it runs any more afterwards."""
        assert self._process is not None
        children = self.children()
        self._process.kill()
        for child in children:
            child.kill()
        self._process.wait(10)

    def children(self) -> list[psutil.Process]:
        """Of a gateway with several workers: the owner and the workers, oldest first."""
        assert self._process is not None
        return sorted(psutil.Process(self._process.pid).children(), key=lambda child: float(child.create_time()))

    def stop(self) -> int:
        """The way an operator does; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def facts(self) -> dict[str, Any]:
        facts = json.loads((self.data_dir / "demo.json").read_text())
        assert isinstance(facts, dict)
        return facts

    @property
    def url(self) -> str:
        return str(self.facts["url"])

    def post(self, operation: str, *, tier: str = "pro", **fields: Any) -> requests.Response:
        body = {"operation": operation, "credentialId": self.facts["credentials"][tier]["paper"], **fields}
        return requests.post(f"{self.url}/v1", json=body, headers={"X-API-Key": self.facts["keys"][tier]}, timeout=20)

    def call(self, operation: str, **fields: Any) -> dict[str, Any]:
        response = self.post(operation, **fields)
        assert response.status_code == 200, response.text
        body = response.json()
        assert isinstance(body, dict)
        return body

    def _written_at(self) -> int:
        with contextlib.suppress(OSError):
            return (self.data_dir / "demo.json").stat().st_mtime_ns
        return 0

    def _answers(self) -> bool:
        with contextlib.suppress(requests.RequestException, ValueError, KeyError):
            return requests.get(f"{self.url}/healthz", timeout=2).status_code == 200
        return False


@pytest.fixture
def demo_of_two(tmp_path: Path) -> Iterator[Callable[[], Demo]]:
    """The same with two workers."""
    running = Demo(tmp_path / "var", "--workers", "2", "--metrics-port", str(free_port()))
    yield running.start
    running.close()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[[], Demo]]:
    """Start (or start again) the demo of this test."""
    running = Demo(tmp_path / "var")
    yield running.start
    running.close()
