"""The local venues with a real venue's protocol, as one list: what to serve, and how somebody gets a funded account."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

import coincurve
import fast_stark_crypto
from aiohttp import web

from sandbox import hyperliquid, paradex
from sandbox.hyperliquid.signing import keccak

SEED: Final = 20_260_101
# Below the orders of both curves, so that every number of so many bits is a key.
_KEY_BITS: Final = 248


class LocalVenue(NamedTuple):
    """``app`` keeps the venue's state in files of its own. ``enroll`` makes a funded account: a credential's fields."""

    exchange: str
    app: web.Application
    enroll: Callable[[], Awaitable[dict[str, str]]]


def open_hyperliquid(directory: Path, now_ms: Callable[[], int]) -> LocalVenue:
    venue = hyperliquid.HyperliquidVenue(seed=SEED, directory=directory, now_ms=now_ms)

    async def enroll() -> dict[str, str]:
        key = secrets.randbits(_KEY_BITS).to_bytes(32, "big")
        public = coincurve.PrivateKey(key).public_key.format(compressed=False)[1:]
        address = "0x" + keccak(public)[-20:].hex()
        await venue.fund(address)
        return {"account_address": address, "private_key": "0x" + key.hex()}

    return LocalVenue("hyperliquid", hyperliquid.make_app(venue), enroll)


def open_paradex(directory: Path, now_ms: Callable[[], int]) -> LocalVenue:
    venue = paradex.ParadexVenue(seed=SEED, directory=directory, now_ms=now_ms)

    async def enroll() -> dict[str, str]:
        key = secrets.randbits(_KEY_BITS)
        address = await venue.admit(fast_stark_crypto.get_public_key(key))
        return {"account_address": address, "private_key": hex(key)}

    return LocalVenue("paradex", paradex.make_app(venue), enroll)


OPENERS: Final = {"hyperliquid": open_hyperliquid, "paradex": open_paradex}
