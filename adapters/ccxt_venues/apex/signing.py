"""What ApeX has signed of an order: a zkLink contract, by a key of the account's.

The signature is made by the venue's own native library, which does not come with the gateway.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
from decimal import ROUND_UP, Decimal
from functools import cache
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from adapters.ccxt_venues.checks import refused
from normalization.decimals import product

INSTALL: Final = 'pip install --no-deps "apexomni==3.4.2"'
"""Without what it depends on: the library needs none of it, and some of it is older than what ccxt and we need."""

PACKAGE: Final = "apexomni"

_PLACES: Final = {
    ("linux", "x86_64"): "pc/linux_x86",
    ("darwin", "x86_64"): "x86",
    ("darwin", "arm64"): "arm",
    ("win32", "AMD64"): "pc",
}
"""Where in the package the library is, by operating system and processor: for others it has none that runs."""


_MAX_UINT32: Final = (1 << 32) - 1
_MAX_UINT64: Final = (1 << 64) - 1


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """``decimals`` are those of the asset that the market is settled in; fee rates are fractions."""

    account_id: int
    client_id: str
    pair_id: int
    size: Decimal
    price: Decimal
    buys: bool
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    decimals: int

    def fields(self) -> tuple[Any, ...]:
        """In the order in which the library takes them. Slot and nonce follow from the client order id."""
        number = int(sha256(self.client_id.encode()).hexdigest(), 16)
        return (
            self.account_id % _MAX_UINT32,
            0,
            # With the venue's own rounding: it reckons in floating point.
            int((number % _MAX_UINT64) / _MAX_UINT32),
            number % _MAX_UINT32,
            self.pair_id,
            self._whole(self.size),
            self._whole(self.price),
            self.buys,
            _whole_bps(self.taker_fee_rate),
            _whole_bps(self.maker_fee_rate),
            False,
        )

    def _whole(self, amount: Decimal) -> str:
        return f"{product(amount, Decimal(10**self.decimals)):.0f}"


def sign(contract: Contract, seeds: str) -> str:
    """Takes milliseconds of native code, and more the first time: call it in a thread.

    :raises VenueRejected: it cannot be signed here; nothing was sent.
    """
    library = load()
    try:
        signer = library.ZkLinkSigner().new_from_seed(bytes.fromhex(seeds.removeprefix("0x")))
        message = library.Contract(library.ContractBuilder(*contract.fields())).get_bytes()
        return str(signer.sign_musig(message).signature)
    except Exception as problem:
        raise refused(f"the order could not be signed: {type(problem).__name__}") from problem


def is_installed() -> bool:
    return _path() is not None


@cache
def load() -> Any:
    """The library, without the package around it, which would import half a web of things that are not needed.

    :raises VenueRejected: it is not installed, or does not run here; nothing was sent.
    """
    path = _path()
    if path is None:
        raise refused(f"orders of this venue are signed by a library that is not installed: {INSTALL}")
    module = ModuleType("venuegate_zklink_sdk")
    module.__file__ = str(path)
    try:
        SourceFileLoader(module.__name__, str(path)).exec_module(module)
    except (ImportError, OSError) as problem:
        raise refused("the library that signs orders of this venue does not run on this machine") from problem
    return module


def _path() -> Path | None:
    package = importlib.util.find_spec(PACKAGE)
    folder = _PLACES.get((sys.platform, platform.machine()))
    if package is None or folder is None:
        return None
    found = [Path(place) / folder / "zklink_sdk.py" for place in package.submodule_search_locations or ()]
    return next((path for path in found if path.exists()), None)


def _whole_bps(rate: Decimal) -> int:
    return int((rate * 10_000).quantize(Decimal(1), rounding=ROUND_UP))
