"""The local Milo is killed with -9 while a language model thinks. Started again, the question has its answer."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

WITHIN_S = 60.0


class Milo:
    """``venuegate sandbox milo`` as a process of its own, and the user that it gave."""

    def __init__(self, process: subprocess.Popen[bytes], told: dict[str, Any]) -> None:
        self.process = process
        self.api = f"{told['url']}/api/v1"
        self.key = told["account"]["api_key"]

    def call(self, method: str, path: str, key: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        response = requests.request(method, self.api + path, json=body, headers={"X-API-Key": key}, timeout=20)
        assert response.status_code in (200, 201), response.text
        found = response.json()
        assert isinstance(found, dict)
        return found


@contextmanager
def started(directory: Path, **settings: str) -> Iterator[Milo]:
    command = [sys.executable, "-m", "gateway.cli", "sandbox", "milo", "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {f"VENUEGATE_{name}": value for name, value in settings.items()},
    )
    assert process.stdout is not None
    try:
        yield Milo(process, _first_document(process))
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


def test_a_question_that_a_killed_process_left_is_answered_by_the_next(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # It takes connections and never answers.
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with started(tmp_path, MILO_MODEL_URL=url, MILO_MODEL_NAME="silent") as milo:
            key = milo.key
            user_id = milo.call("GET", "/me", key)["user"]["id"]
            talks = f"/users/{user_id}/conversations"
            asked = milo.call("POST", talks, key, {"message": "How is JUP?"})["data"]
            messages = f"{talks}/{asked['conversationId']}/messages"
            assert milo.call("GET", messages, key)["data"]["processing"] is True
            milo.process.kill()
    with started(tmp_path) as milo:
        deadline = time.monotonic() + WITHIN_S
        while (found := milo.call("GET", messages, key)["data"])["processing"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    question, answer = found["messages"]
    assert question["content"] == "How is JUP?"
    assert answer["content"].startswith("JUP trades at $")


def _first_document(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line.decode()
        try:
            found = json.loads(text)
        except ValueError:
            continue
        assert isinstance(found, dict)
        return found
    raise AssertionError(text)
