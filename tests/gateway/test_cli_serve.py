from __future__ import annotations

import asyncio
import errno
import os
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.cli.serve import cannot_listen
from gateway.demo import Demo
from gateway.doctor import check_ports
from gateway.keyring import create_master_key_file
from gateway.settings import Settings
from tests.support.command_line import venuegate

VENUEGATE = "from gateway.cli import main; main()"
TWO_SIGNALS = """
import asyncio
from gateway.cli.serve import stop_signal

async def main():
    stop = stop_signal()
    print("ready", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("VENUEGATE_")}


async def spawn(*args: str, program: str = VENUEGATE, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *args,
        env={**ENVIRONMENT, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def manage(data_dir: Path, *args: str, code: int = 0) -> str:
    """What a management command prints, run beside the gateway."""
    said = await asyncio.to_thread(venuegate, *args, env={"VENUEGATE_DATA_DIR": str(data_dir)})
    assert said.exit_code == code, said
    return said.stdout or said.stderr


@asynccontextmanager
async def serving(*args: str, until: str, **variables: str) -> AsyncIterator[str]:
    """A gateway in a process of its own; what it said up to the line with ``until``. It is stopped as an operator
    would stop it, and must end well.
    """
    process = await spawn("serve", "--port", "0", "--metrics-port", "0", *args, **variables)
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(30):
            while until not in said:
                line = await process.stdout.readline()
                assert line, (await process.communicate())[1].decode()
                said += line.decode()
        yield said
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        assert "Traceback" not in errors.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def pasted(welcome: str) -> tuple[str, dict[str, str], Any]:
    """Address, headers and body of the curl in the welcome, as a shell would read it."""
    words = shlex.split(welcome[welcome.index("curl") : welcome.index("Ctrl-C")].replace("\\\n", " "))
    headers = dict(words[at + 1].split(": ") for at, word in enumerate(words) if word == "-H")
    return words[2], headers, msgspec.json.decode(words[words.index("-d") + 1])


async def post(url: str, headers: Mapping[str, str], body: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as client, client.post(url, headers=headers, json=body) as answer:
        return answer.status, await answer.json()


async def test_the_demos_order_is_accepted_and_all_of_it_is_there_after_a_restart(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    async with serving("--demo", "--data-dir", str(data_dir), until="Ctrl-C") as welcome:
        first = msgspec.json.decode((data_dir / "demo.json").read_bytes(), type=Demo)
        url, headers, body = pasted(welcome)
        assert url == f"{first.url}/v1"
        assert headers["X-API-Key"] == first.keys["builder"]

        status, placed = await post(url, headers, body)

        assert (status, placed["success"], placed["status"]) == (200, True, "OPEN")
        listed = msgspec.json.decode(await manage(data_dir, "orders", "list", "--json"))
        assert [order["orderId"] for order in listed] == [placed["orderId"]]
        assert placed["clientOrderId"] in await manage(data_dir, "orders", "list")
        assert placed["orderId"] in await manage(data_dir, "orders", "show", placed["clientOrderId"])
        shown = msgspec.json.decode(await manage(data_dir, "orders", "show", listed[0]["orderKey"], "--json"))
        assert shown["order"] == listed[0]
        assert shown["events"]

    async with serving("--demo", "--data-dir", str(data_dir), until="Ctrl-C") as welcome:
        second = msgspec.json.decode((data_dir / "demo.json").read_bytes(), type=Demo)
        assert (second.keys, second.credentials) == (first.keys, first.credentials)
        url, headers, _ = pasted(welcome)
        asked = {"operation": "getOrder", "credentialId": body["credentialId"], "orderId": placed["orderId"]}
        status, order = await post(url, headers, asked)
        assert (status, order["orderId"]) == (200, placed["orderId"])
    used = msgspec.json.decode(await manage(data_dir, "usage", "demo-builder", "--json"))
    assert sum(day["requests"] for day in used) == 2


async def test_a_running_gateway_follows_the_command_line_and_keeps_its_data_dir(tmp_path: Path) -> None:
    async with serving("--demo", "--data-dir", str(tmp_path), until="Ctrl-C") as welcome:
        url, _, _ = pasted(welcome)
        asked = {"operation": "listCredentials"}
        made = msgspec.json.decode(await manage(tmp_path, "keys", "create", "demo-pro", "--env", "test", "--json"))
        rotated = msgspec.json.decode(await manage(tmp_path, "keys", "rotate", made["prefix"], "--json"))

        assert (await post(url, {"X-API-Key": rotated["key"]}, asked))[0] == 200
        assert (await post(url, {"X-API-Key": made["key"]}, asked))[1]["code"] == "KEY_REVOKED"

        refused = await manage(tmp_path, "db", "upgrade", code=1)
        assert "Another gateway is running" in refused
        settings = Settings.load({}, port=int(url.split(":")[2].partition("/")[0]), metrics_port=0)
        (port,) = await asyncio.to_thread(lambda: list(check_ports(settings)))
        assert "A gateway answers" in port.message


async def test_production_starts_with_a_master_key_and_says_where_it_listens(tmp_path: Path) -> None:
    create_master_key_file(tmp_path / "key")
    variables = {"VENUEGATE_MASTER_KEY_FILE": str(tmp_path / "key"), "VENUEGATE_DATA_DIR": str(tmp_path / "var")}
    async with serving(until="\n", **variables) as said:
        url = said.split()[-1]
        async with aiohttp.ClientSession() as client, client.get(f"{url}/healthz") as answer:
            assert answer.status == 200
    assert not (tmp_path / "var" / "demo.json").exists()


@pytest.mark.parametrize(
    ("workers", "flag", "said"),
    [
        ("1", "--port", "The gateway cannot listen on 127.0.0.1:{port}: another program has that address"),
        ("2", "--port", "The gateway cannot listen on 127.0.0.1:{port}: another program has that address"),
        ("2", "--metrics-port", "Metrics cannot be served on 127.0.0.1:{port}: another program has that address"),
    ],
)
async def test_an_address_that_is_taken_is_told(tmp_path: Path, workers: str, flag: str, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {"--port": "0", "--metrics-port": "0", flag: port}
        flags = [part for pair in ports.items() for part in pair]
        process = await spawn("serve", "--demo", "--data-dir", str(tmp_path), "--workers", workers, *flags)
        async with asyncio.timeout(30):
            _, errors = await process.communicate()
    assert process.returncode == 1
    assert said.format(port=port) in errors.decode()
    assert "Traceback" not in errors.decode()


def test_the_address_of_the_metrics_is_told_from_the_gateways() -> None:
    settings = Settings.load({}, port=8080, metrics_port=9464)
    taken = OSError(errno.EADDRINUSE, "error while attempting to bind on address ('127.0.0.1', 9464): in use")
    assert cannot_listen(settings, taken).startswith("Metrics cannot be served on 127.0.0.1:9464: another program")


async def test_a_second_signal_stops_it_at_once() -> None:
    process = await spawn(program=TWO_SIGNALS)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert await process.stdout.readline() == b"stopping\n"
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"looked up at the next start" in errors


async def test_help_needs_nothing_heavy() -> None:
    program = (
        "import sys; from gateway.cli.root import app\n"
        "sys.exit(str([name for name in ('aiohttp', 'sqlalchemy', 'alembic', 'cryptography', 'rich.table')"
        " if name in sys.modules]))"
    )
    process = await spawn(program=program)
    async with asyncio.timeout(30):
        _, errors = await process.communicate()
    assert errors == b"[]\n"
