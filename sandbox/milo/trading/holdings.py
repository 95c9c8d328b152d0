"""What wallets hold, at the market's prices of now."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import field

from sandbox.milo.core import Core
from sandbox.milo.tokens import BY_ADDRESS, SOL, AssetClass, Token
from sandbox.milo.wallets import CHAIN
from sandbox.milo.wire import Wire, iso, plain

_USD: Final = Decimal("0.01")
_SOL: Final = Decimal("1E-9")
_NAMESPACE: Final = uuid.UUID("7f0c8cde-6f0b-4c44-9c1f-5b1f1a0f7c1d")


class HoldingShown(Wire, frozen=True, kw_only=True):
    """``total_holdings`` in the token's smallest units; everything but ``decimals`` is text, as in the reference."""

    id: str
    token_address: str
    chain: str
    decimals: int
    asset_class: AssetClass
    total_holdings: str
    token_usd_price: str = field(name="tokenUSDPrice")
    token_sol_price: str
    total_usd_value: str = field(name="totalUSDval")
    total_sol_value: str = field(name="totalSolval")
    updated_at: str


class _Rates(NamedTuple):
    """Of one whole token."""

    usd: Decimal
    usd_text: str
    sol_text: str


class Holdings:
    """For one answer: every price is looked up once, however many wallets are shown."""

    def __init__(self, core: Core) -> None:
        self._market = core.market
        self._second = core.now_ms // 1_000
        self._updated_at = iso(core.now_ms)
        self._sol = core.market.price(SOL, self._second)
        self._rates: dict[str, _Rates] = {}

    def of(self, wallet_id: str, held: Mapping[str, int]) -> list[HoldingShown]:
        """``held`` are units by the token's address. Those of which there is something, the dearest first."""
        valued = [self._shown(wallet_id, BY_ADDRESS[address], units) for address, units in held.items() if units]
        valued.sort(key=lambda one: one[0], reverse=True)
        return [shown for _, shown in valued]

    def _shown(self, wallet_id: str, token: Token, units: int) -> tuple[Decimal, HoldingShown]:
        rates = self._rates.get(token.address) or self._looked_up(token)
        value = token.amount(units) * rates.usd
        return value, HoldingShown(
            id=_id(wallet_id, token.address),
            token_address=token.address,
            chain=CHAIN,
            decimals=token.decimals,
            asset_class=token.asset_class,
            total_holdings=str(units),
            token_usd_price=rates.usd_text,
            token_sol_price=rates.sol_text,
            total_usd_value=str(value.quantize(_USD, ROUND_DOWN)),
            total_sol_value=plain((value / self._sol).quantize(_SOL, ROUND_DOWN)),
            updated_at=self._updated_at,
        )

    def _looked_up(self, token: Token) -> _Rates:
        usd = self._market.price(token, self._second)
        rates = _Rates(usd, plain(usd), plain((usd / self._sol).quantize(_SOL)))
        self._rates[token.address] = rates
        return rates


@lru_cache(maxsize=16_384)
def _id(wallet_id: str, token_address: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{wallet_id}/{token_address}"))
