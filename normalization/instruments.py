"""The full specification of one tradable thing on one venue."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from functools import cached_property

import msgspec

from normalization.decimals import (
    ONE,
    ZERO,
    ceil_to,
    floor_to,
    is_multiple,
    is_sane,
    least_multiple,
    nearest_to,
    padded,
    plain,
    product,
    trimmed,
)
from normalization.errors import InvalidParameter
from normalization.orders import Side


class InstrumentKind(StrEnum):
    PERP = "PERP"
    SPOT = "SPOT"


class Instrument(msgspec.Struct, frozen=True, kw_only=True, dict=True, eq=True):
    """``symbol`` is ours (``BTC-USD-PERP``), ``venue_symbol`` the venue's.

    ``tick_size`` and ``lot_size`` are the price and size steps; ``min_notional`` is in quote units; one contract is
    ``contract_multiplier`` base units (1,000 for a ``kPEPE`` listed as ``PEPE``), and ``size`` is in what the venue
    trades: contracts. A step that is not a positive number of sane size is a ValueError: nothing could be checked.
    Where ``max_price_digits`` is set, a price that is not whole has at most that many significant digits.
    ``asset_class`` is the venue's word for what kind of asset the base is, where it has any.
    """

    exchange: str
    symbol: str
    venue_symbol: str
    base: str
    quote: str
    settle: str
    kind: InstrumentKind = InstrumentKind.PERP
    tick_size: Decimal
    lot_size: Decimal
    min_notional: Decimal = ZERO
    contract_multiplier: Decimal = ONE
    max_leverage: int = 1
    max_price_digits: int | None = None
    asset_class: str = ""

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size", "contract_multiplier"):
            step: Decimal = getattr(self, name)
            if not is_sane(step) or step <= 0:
                raise ValueError(f"{self.exchange} {self.symbol!a}: {name} is {step}")
        if not is_sane(self.min_notional) or self.min_notional < 0:
            raise ValueError(f"{self.exchange} {self.symbol!a}: min_notional is {self.min_notional}")

    @cached_property
    def price_exponent(self) -> Decimal:
        """A one in the last decimal place of a price: what ``Decimal.quantize`` takes."""
        exponent = self.tick_size.normalize().as_tuple().exponent
        return Decimal(1).scaleb(min(int(exponent), 0))

    def price_text(self, price: Decimal) -> str:
        """A price as the wire shows it: every decimal place of the tick, more only where the price has more."""
        return plain(padded(price, self.price_exponent)) if self.on_tick(price) else trimmed(price)

    def tick_at(self, price: Decimal) -> Decimal:
        """The price step around ``price``: the tick, coarser where the venue counts significant digits."""
        if self.max_price_digits is None:
            return self.tick_size
        step = ONE.scaleb(min(price.adjusted() + 1 - self.max_price_digits, 0))
        return max(self.tick_size, step)

    def round_down(self, price: Decimal) -> Decimal:
        """The highest valid price that is at most ``price``; zero where there is none."""
        return floor_to(price, self.tick_at(price))

    def round_up(self, price: Decimal) -> Decimal:
        """The lowest valid price that is at least ``price``."""
        return ceil_to(price, self.tick_at(price))

    def on_tick(self, price: Decimal) -> bool:
        return is_multiple(price, self.tick_size if self.max_price_digits is None else self.tick_at(price))

    def check_price(self, price: Decimal, field: str = "price") -> None:
        """:raises InvalidParameter: off the tick, with the nearest valid price."""
        if not self.on_tick(price):
            tick = self.tick_at(price)
            nearest = self.price_text(max(nearest_to(price, tick), self.tick_size))
            raise InvalidParameter(
                field, f"a multiple of the tick size {trimmed(tick)}, such as {nearest}", nearest=nearest
            )

    def check_size(self, size: Decimal, field: str = "size") -> None:
        """:raises InvalidParameter: off the lot, with the nearest valid size."""
        if not is_multiple(size, self.lot_size):
            nearest = trimmed(max(nearest_to(size, self.lot_size), self.lot_size))
            raise InvalidParameter(
                field, f"a multiple of the lot size {trimmed(self.lot_size)}, such as {nearest}", nearest=nearest
            )

    def check_notional(self, size: Decimal, price: Decimal, field: str = "size") -> None:
        """:raises InvalidParameter: below the venue's least order value, with the least valid size at that price."""
        if product(size, price) < self.min_notional:
            least = trimmed(least_multiple(self.min_notional, price, self.lot_size))
            raise InvalidParameter(
                field,
                f"an order worth at least {trimmed(self.min_notional)} {self.quote}, which is {least} at that price",
                nearest=least,
            )

    def worst_price(self, side: Side, price: Decimal) -> Decimal:
        """``price`` as a limit on the tick that never allows a worse execution than ``price`` itself.

        Zero for a buy below one tick: no limit that the venue knows is low enough.
        """
        return self.round_down(price) if side is Side.BUY else self.round_up(price)
