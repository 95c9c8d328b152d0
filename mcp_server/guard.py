"""Which ``Host`` and ``Origin`` are served: no page of the web may reach a gateway by pointing its own name at it."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs
from multidict import CIMultiDictProxy

from mcp_server.protocol import INVALID_REQUEST, RpcError

_LOCAL_NAME: Final = "localhost"
_KNOWN: Final = 256


class Guard:
    """Loopback names and the gateway's own name are served; other addresses too where it listens beyond loopback.

    An address is safe where a name is not: no name server has a say in it. ``host`` is what the gateway listens on,
    ``public_url`` how clients reach it where that differs.
    """

    def __init__(self, host: str, public_url: str | None) -> None:
        names = {_LOCAL_NAME, host.lower()}
        if public_url is not None:
            names.add(_host_of(public_url) or "")
        self._names = frozenset(names - {""})
        self._only_loopback = host.lower() == _LOCAL_NAME or _is_loopback(host)
        self._good_hosts: set[str] = set()

    def check(self, headers: CIMultiDictProxy[str]) -> None:
        """:raises RpcError: one of them is not allowed; with HTTP status 403."""
        host = headers.get(hdrs.HOST, "")
        if host not in self._good_hosts:
            if not self._is_ours(_host_of(f"//{host}")):
                raise _forbidden("Host", "set VENUEGATE_PUBLIC_URL to the address that clients use")
            if len(self._good_hosts) < _KNOWN:
                self._good_hosts.add(host)
        origin = headers.get(hdrs.ORIGIN)
        if origin is not None and not self._is_our_origin(origin):
            raise _forbidden("Origin", "pages of other sites may not use this gateway")

    def _is_our_origin(self, origin: str) -> bool:
        scheme, separator, _ = origin.partition("://")
        return bool(separator) and scheme in ("http", "https") and self._is_ours(_host_of(origin))

    def _is_ours(self, name: str | None) -> bool:
        if not name:
            return False
        if name in self._names or _is_loopback(name):
            return True
        return not self._only_loopback and _is_address(name)


def _host_of(url: str) -> str | None:
    """The host of an address in lower case, without its port; None where it has none or more than that."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        return None
    return parts.hostname


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def _forbidden(header: str, advice: str) -> RpcError:
    return RpcError(INVALID_REQUEST, f"Forbidden: this {header} is not allowed; {advice}", status=403)
