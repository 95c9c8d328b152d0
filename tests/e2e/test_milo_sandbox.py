"""``venuegate sandbox milo``: the quick start, with nothing but HTTP and a wallet, and kill -9 in between."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

SOL = "So11111111111111111111111111111111111111112"
SERVE = (sys.executable, "-m", "gateway.cli", "sandbox", "milo", "--port", "0", "--json")


class Sandbox:
    """The command as a process of its own, on a free port."""

    def __init__(self, data_dir: Path) -> None:
        self._command = [*SERVE, "--data-dir", str(data_dir)]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.account: dict[str, str] = {}

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        told = _first_document(self._process)
        self.url, self.account = told["url"], told["account"]

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._end()

    def stop(self) -> tuple[int, str]:
        """The exit code, and what it said to its operator."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> tuple[int, str]:
        assert self._process is not None
        _, said = self._process.communicate(timeout=20)
        return self._process.returncode, said

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def call(self, method: str, path: str, key: str | None = None, body: Any = None) -> requests.Response:
        headers = {} if key is None else {"X-API-Key": key}
        return requests.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=20)

    def rpc(self, method: str, *params: Any) -> Any:
        asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer = requests.post(f"{self.url}/sandbox/milo/rpc", data=asked, timeout=20).json()
        assert "error" not in answer, answer
        return answer["result"]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    running = Sandbox(tmp_path / "var")
    running.start()
    yield running
    running.close()


def test_the_quick_start_works_from_end_to_end_and_survives_kill_9(sandbox: Sandbox) -> None:
    wallet = Keypair()
    step1 = sandbox.call(
        "POST",
        "/users/siwx/message",
        body={"accountAddress": str(wallet.pubkey()), "chainId": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"},
    ).json()["data"]
    siwx = step1 | {"signature": str(wallet.sign_message(step1["message"].encode()))}
    registered = sandbox.call("POST", "/users", body={"signupWallet": str(wallet.pubkey()), "siwx": siwx}).json()[
        "data"
    ]
    key, user = registered["apiKey"], f"/users/{registered['user']['id']}"
    trading = next(found for found in registered["wallets"] if found["type"] == "milo")

    refused = sandbox.call("PATCH", f"{user}/auto-trade-settings", key, {"isActive": True})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_request")
    _deposit(sandbox, wallet, trading["address"], 3)
    assert sandbox.call("PATCH", f"{user}/auto-trade-settings", key, {"isActive": True}).status_code == 200
    done = sandbox.call("GET", f"{user}/quests?unclaimed=true", key).json()["data"]
    assert done, "switching auto-trading on completes a quest"
    assert sandbox.call("POST", f"{user}/quests/{done[0]['questId']}/claim", key).json() == {"data": None}
    bones = sandbox.call("GET", f"{user}/quests/bones", key).json()["data"]["balance"]
    assert bones >= done[0]["award"]

    order = {
        "tokenAddress": "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN",
        "type": "buy",
        "payload": {
            "type": "buy",
            "amount": {"type": "absolute_usd", "amount": 50},
            "trigger": {"type": "absolute", "trigger": "price", "operator": "gte", "value": 0},
        },
        "stopLosses": [{"percentage": 100, "lossPercentage": 50}],
    }
    placed = sandbox.call("POST", f"/wallets/{trading['id']}/orders", key, order)
    assert placed.status_code == 201, placed.text
    sandbox.kill()

    sandbox.start()
    assert sandbox.call("GET", "/me", key).json()["wallets"] == registered["wallets"]
    found = sandbox.call("GET", f"{user}/orders/{placed.json()['data']['data']['id']}", key).json()["data"]
    assert found["status"] == "fulfilled"
    assert found["dependants"][0]["order"]["status"] == "active"
    on_chain = sandbox.rpc("getTransaction", found["fill"]["signature"], {"encoding": "json"})
    assert on_chain["transaction"]["signatures"][0] == found["fill"]["signature"]
    assert sandbox.call("GET", f"{user}/quests/bones", key).json()["data"]["balance"] == bones
    assert sandbox.call("POST", f"{user}/positions/{found['thesisId']}/close", key).status_code == 200
    assert sandbox.call("GET", "/me", sandbox.account["api_key"]).status_code == 200
    code, said = sandbox.stop()
    assert code == 0
    assert "not a custodian" in said


def test_what_the_document_shows_works(sandbox: Sandbox) -> None:
    document = (Path(__file__).parents[2] / "docs" / "milo.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet.replace("http://127.0.0.1:8093", sandbox.url), names)  # noqa: S102
    path = f"/wallets/{names['trading']['id']}/holdings"
    held = sandbox.call("GET", path, names["account"]["apiKey"]).json()["data"]
    assert sorted(item["totalHoldings"] for item in held) == ["500000000", "5000000000"]


def _deposit(sandbox: Sandbox, wallet: Keypair, address: str, sol: int) -> None:
    sandbox.rpc("requestAirdrop", str(wallet.pubkey()), (sol + 1) * 10**9)
    latest = Hash.from_string(sandbox.rpc("getLatestBlockhash")["value"]["blockhash"])
    step = transfer(
        TransferParams(from_pubkey=wallet.pubkey(), to_pubkey=Pubkey.from_string(address), lamports=sol * 10**9)
    )
    message = Message.new_with_blockhash([step], wallet.pubkey(), latest)
    sent = bytes(Transaction([wallet], message, latest))
    signature = sandbox.rpc("sendTransaction", b64encode(sent).decode(), {"encoding": "base64"})
    assert sandbox.rpc("getSignatureStatuses", [signature])["value"][0]["confirmationStatus"] == "finalized"
    assert sandbox.rpc("getBalance", address)["value"] == sol * 10**9


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["--rpc-url", "https://api.mainnet-beta.solana.com"], {}),
        ([], {"VENUEGATE_MILO_RPC_URL": "https://api.mainnet-beta.solana.com"}),
    ],
)
def test_it_does_not_run_with_a_public_chain(tmp_path: Path, arguments: list[str], variables: dict[str, str]) -> None:
    command = [*SERVE, "--data-dir", str(tmp_path), *arguments]
    ended = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "nothing here speaks to a public chain" in ended.stderr
    assert "mainnet-beta" not in ended.stderr


def _first_document(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        try:
            found = json.loads(text)
        except ValueError:
            continue
        assert isinstance(found, dict)
        return found
    raise AssertionError(text)
