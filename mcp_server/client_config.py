"""What to put into the configuration of an MCP client, and where that is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

SERVER_NAME: Final = "venuegate"
KEY_VARIABLE: Final = "VENUEGATE_API_KEY"
URL_VARIABLE: Final = "VENUEGATE_MCP_URL"


class Client(StrEnum):
    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CODEX = "codex"
    CURSOR = "cursor"


class Transport(StrEnum):
    HTTP = "http"
    STDIO = "stdio"


class Snippet(NamedTuple):
    """``text`` goes into ``file``."""

    file: str
    text: str


FILES: Final = {
    Client.CLAUDE_DESKTOP: "claude_desktop_config.json (Settings > Developer > Edit Config)",
    Client.CLAUDE_CODE: ".mcp.json in your project",
    Client.CODEX: "~/.codex/config.toml",
    Client.CURSOR: "~/.cursor/mcp.json, or .cursor/mcp.json in your project",
}
# Claude Desktop starts programs; servers behind an address are for its connectors, which take no header.
USUAL: Final = dict.fromkeys(Client, Transport.HTTP) | {Client.CLAUDE_DESKTOP: Transport.STDIO}


def snippet(client: Client, url: str, key: str, *, transport: Transport | None, command: Sequence[str]) -> Snippet:
    """``command`` starts this program; it is named where the client is to start the bridge itself."""
    by_stdio = (transport or USUAL[client]) is Transport.STDIO
    server = _bridge(url, key, command) if by_stdio else _address(client, url, key)
    if client is Client.CODEX:
        return Snippet(FILES[client], _toml(server))
    return Snippet(FILES[client], json.dumps({"mcpServers": {SERVER_NAME: server}}, indent=2))


def _address(client: Client, url: str, key: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    if client is Client.CODEX:
        return {"url": url, "http_headers": headers}
    kind = {"type": "http"} if client is Client.CLAUDE_CODE else {}
    return {**kind, "url": url, "headers": headers}


def _bridge(url: str, key: str, command: Sequence[str]) -> dict[str, Any]:
    program, *arguments = command
    return {
        "command": program,
        "args": [*arguments, "mcp", "stdio"],
        # Not as arguments: everybody on the machine can read those.
        "env": {URL_VARIABLE: url, KEY_VARIABLE: key},
    }


def _toml(server: dict[str, Any]) -> str:
    # A JSON string is a TOML string, and a list of them a list.
    lines = [f"[mcp_servers.{SERVER_NAME}]"]
    for name, value in server.items():
        if isinstance(value, dict):
            pairs = ", ".join(f"{inner} = {json.dumps(text)}" for inner, text in value.items())
            lines.append(f"{name} = {{ {pairs} }}")
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines)
