"""What ApeX has signed of an order: a zkLink contract, by a key of the account's.

The signature is made by the venue's own native library, which does not come with the gateway.
"""

from __future__ import annotations

import importlib.util
import sys
from decimal import ROUND_UP, Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.ccxt_venues.checks import refused
from normalization.decimals import product

INSTALL: Final = 'pip install "venuegate[apex]"'

PACKAGE: Final = "apexpro"

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
    """Takes milliseconds of native code: call it in a thread.

    :raises VenueRejected: the library is not installed; nothing was sent.
    """
    library = load()
    signer = library.ZkLinkSigner().new_from_seed(bytes.fromhex(seeds.removeprefix("0x")))
    message = library.Contract(library.ContractBuilder(*contract.fields())).get_bytes()
    signature: str = signer.sign_musig(message).signature
    return signature


def is_installed() -> bool:
    return _path() is not None


@cache
def load() -> Any:
    """The library, without the package around it, which would import half a web of things that are not needed.

    :raises VenueRejected: it is not installed; nothing was sent.
    """
    path = _path()
    if path is None:
        raise refused(f"orders of this venue are signed by a library that is not installed: {INSTALL}")
    spec = importlib.util.spec_from_file_location("apexpro_zklink_sdk", path)
    if spec is None or spec.loader is None:
        raise refused(f"the library that signs orders of this venue cannot be loaded: {INSTALL}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _path() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    found = [Path(place) / "zklink_sdk.py" for place in places or ()]
    return next((path for path in found if path.exists()), None)


def _whole_bps(rate: Decimal) -> int:
    return int((rate * 10_000).quantize(Decimal(1), rounding=ROUND_UP))
