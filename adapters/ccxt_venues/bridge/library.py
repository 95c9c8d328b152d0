"""ccxt, tamed: imported when a venue needs it, never on the event loop, and never allowed to send by itself."""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from Crypto.Hash import keccak

from adapters.ccxt_venues.bridge.quirks import Quirks, Requirement
from adapters.ccxt_venues.numbers import exact
from normalization.errors import UnsupportedOperation

Send = Callable[[str, str, Mapping[str, str], bytes | None], Awaitable[Any]]
"""Method, address, headers and body; what comes back is the decoded document."""

_importing: Final = threading.Lock()
_guarded: Final[dict[tuple[str, Any], Any]] = {}


def exchange_class(quirks: Quirks) -> Any:
    """ccxt's class for the venue, guarded. Importing it takes a second the first time: call it in a thread.

    :raises UnsupportedOperation: the gateway was installed without ccxt.
    """
    key = (quirks.ccxt_id, quirks.tame)
    with _importing:
        if key not in _guarded:
            try:
                library = importlib.import_module("ccxt.async_support")
            except ImportError as missing:
                raise UnsupportedOperation(f"{quirks.ccxt_id} needs ccxt, which is not installed here") from missing
            _hash_in_c()
            _guarded[key] = quirks.tame(_guard(getattr(library, quirks.ccxt_id)))
        return _guarded[key]


def require(exchange: str, needs: Requirement | None) -> None:
    """:raises UnsupportedOperation: what signing for that venue takes is not installed; it says how to install it."""
    if needs is None:
        return
    try:
        found = importlib.util.find_spec(needs.module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise lacking(exchange, needs.install)


def lacking(exchange: str, install: str) -> UnsupportedOperation:
    """What is raised where a venue cannot be signed for: it says what to install."""
    return UnsupportedOperation(
        f"{exchange} needs more than the gateway installs by default. Run: {install}",
        details={"exchange": exchange, "install": install},
    )


def _hash_in_c() -> None:
    """ccxt brings a Keccak in pure Python along: half a millisecond a block, and an EIP-712 signature needs eight."""
    for module in ("keccak", "ethabi.typed_data", "ethabi.abi"):
        found = importlib.import_module(f"ccxt.static_dependencies.{module}")
        setattr(found, "SHA3" if module == "keccak" else "keccak", keccak256)


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def _guard(base: Any) -> Any:
    """``base`` with our own sending, clock and numbers, and without whatever it would do on its own account."""

    class Guarded(base):  # type: ignore[misc]  # its base is only known at run time
        def __init__(self, config: Mapping[str, Any], send: Send, now_ms: Callable[[], int]) -> None:
            super().__init__({**config, "enableRateLimit": False, "aiohttp_trust_env": False})
            self.number = str
            self._send = send
            self._now_ms = now_ms
            # Nothing is sent but through ``send``; without a session of its own there is nothing to close either.
            self.own_session = False

        def milliseconds(self) -> int:
            """Also its nonce: ours never repeats."""
            return self._now_ms()

        def seconds(self) -> int:
            return self._now_ms() // 1000

        def microseconds(self) -> int:
            return self._now_ms() * 1000

        async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            sent = dict(headers or {})
            if isinstance(body, dict):
                # ccxt leaves the fields of a form to its own sending.
                sent["Content-Type"] = "application/x-www-form-urlencoded"
                body = urlencode(body)
            return await self._send(method, url, sent, body.encode() if isinstance(body, str) else body)

        async def throttle(self, cost: Any = None) -> None:
            """Our own budgets keep the pace."""

        async def sign_in(self, params: Any = None) -> None:
            """Where this means to approve a fee for somebody, nobody asked for it."""

        async def initialize_client(self, params: Any = None) -> bool:
            """Likewise."""
            return True

        async def load_markets(self, reload: bool = False, params: Any = None) -> Any:
            """They are shared, and renewed elsewhere."""
            return self.markets

        async def load_markets_and_sign_in(self) -> None:
            """Neither is for ccxt to do."""

        def parse_order_book_bid_ask(
            self, bidask: Any, priceKey: Any = 0, amountKey: Any = 1, countOrIdKey: Any = 2
        ) -> list[Decimal]:
            return [exact(self.safe_string(bidask, priceKey)), exact(self.safe_string(bidask, amountKey))]

    return Guarded
