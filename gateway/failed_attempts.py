"""How often an address may fail to authenticate before it is told to wait."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from typing import Final

from gateway.clock import Clock
from normalization.errors import RateLimited

FAILURES_PER_WINDOW: Final = 20
WINDOW_S: Final = 60.0

_IPV6_SITE_BITS: Final = 64


class _Window:
    __slots__ = ("ends_at", "failures")

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.failures = 0


class FailedAttempts:
    """Failures per address, in a window of a minute from the first; the oldest of too many addresses are forgotten."""

    def __init__(self, clock: Clock, *, addresses: int = 10_000) -> None:
        self._clock = clock
        self._addresses = addresses
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def refusal(self, peer: str) -> RateLimited | None:
        """What to answer an address that has failed too often; None when it has not."""
        window = self._windows.get(site_of(peer))
        now = self._clock.monotonic()
        if window is None or now >= window.ends_at or window.failures < FAILURES_PER_WINDOW:
            return None
        wait_s = max(1, math.ceil(window.ends_at - now))
        return RateLimited(
            f"Too many failed authentications from this address. Retry after {wait_s}s.", retry_after_s=wait_s
        )

    def count(self, peer: str) -> None:
        """One more failure."""
        site = site_of(peer)
        now = self._clock.monotonic()
        window = self._windows.get(site)
        if window is None or now >= window.ends_at:
            self._windows.pop(site, None)
            window = self._windows[site] = _Window(now + WINDOW_S)
            if len(self._windows) > self._addresses:
                self._windows.popitem(last=False)
        window.failures += 1


def site_of(peer: str) -> str:
    """The address, or its network where one host has billions of them to choose from."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if not isinstance(address, ipaddress.IPv6Address):
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(int(address) >> _IPV6_SITE_BITS)
