from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from mcp_server.client_config import Client
from tests.support.command_line import venuegate

ROOT = Path(__file__).resolve().parents[2]
KEY = "mt_test_" + "k" * 43


def config(tmp_path: Path, client: str, *more: str, **env: str) -> tuple[str, str]:
    said = venuegate("mcp", "config", "--client", client, *more, env={"VENUEGATE_DATA_DIR": str(tmp_path), **env})
    assert said.exit_code == 0, said.stderr
    return said.stdout, said.stderr


@pytest.mark.parametrize("client", ["claude-code", "cursor"])
def test_a_client_of_addresses_gets_the_address_and_the_key(tmp_path: Path, client: str) -> None:
    text, hint = config(tmp_path, client, VENUEGATE_API_KEY=KEY, VENUEGATE_PUBLIC_URL="https://gateway.example.com")
    server = json.loads(text)["mcpServers"]["venuegate"]
    assert server["url"] == "https://gateway.example.com/mcp"
    assert server["headers"] == {"Authorization": f"Bearer {KEY}"}
    assert "mcp.json" in hint


def test_codex_gets_toml(tmp_path: Path) -> None:
    text, _ = config(tmp_path, "codex", "--url", "http://10.0.0.1:9000/", VENUEGATE_API_KEY=KEY)
    server = tomllib.loads(text)["mcp_servers"]["venuegate"]
    assert server == {"url": "http://10.0.0.1:9000/mcp", "http_headers": {"Authorization": f"Bearer {KEY}"}}
    text, _ = config(tmp_path, "codex", "--transport", "stdio", VENUEGATE_API_KEY=KEY)
    server = tomllib.loads(text)["mcp_servers"]["venuegate"]
    assert server["args"][-2:] == ["mcp", "stdio"]


def test_claude_desktop_starts_the_bridge_with_the_key_where_nobody_else_sees_it(tmp_path: Path) -> None:
    text, _ = config(tmp_path, "claude-desktop", VENUEGATE_API_KEY=KEY)
    server = json.loads(text)["mcpServers"]["venuegate"]
    assert Path(server["command"]).is_absolute()
    assert server["env"] == {"VENUEGATE_MCP_URL": "http://127.0.0.1:8080/mcp", "VENUEGATE_API_KEY": KEY}
    assert KEY not in server["args"]
    text, _ = config(tmp_path, "claude-desktop", "--transport", "http", VENUEGATE_API_KEY=KEY)
    assert json.loads(text)["mcpServers"]["venuegate"]["headers"] == {"Authorization": f"Bearer {KEY}"}


def test_the_demos_key_and_address_are_used_where_there_is_a_demo(tmp_path: Path) -> None:
    demo = {"url": "http://127.0.0.1:8123", "keys": {"free": "f", "builder": KEY, "pro": "p"}, "credentials": {}}
    (tmp_path / "demo.json").write_text(json.dumps(demo))
    text, _ = config(tmp_path, "cursor")
    server = json.loads(text)["mcpServers"]["venuegate"]
    assert (server["url"], server["headers"]["Authorization"]) == ("http://127.0.0.1:8123/mcp", f"Bearer {KEY}")


def test_without_a_key_there_is_a_place_for_it_and_a_word_on_how_to_make_one(tmp_path: Path) -> None:
    text, hint = config(tmp_path, "cursor")
    assert "mt_live_YOUR_KEY" in text
    assert "venuegate keys create" in hint


def test_there_is_a_page_for_every_client() -> None:
    page = (ROOT / "docs" / "mcp.md").read_text()
    for name in Client:
        assert name in page


def test_an_unknown_client_is_wrong_usage(tmp_path: Path) -> None:
    said = venuegate("mcp", "config", "--client", "emacs", env={"VENUEGATE_DATA_DIR": str(tmp_path)})
    assert said.exit_code == 2
