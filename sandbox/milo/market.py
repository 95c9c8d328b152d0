"""What tokens are worth: prices in US dollars, a function of seed and time.

A token's price follows a ``MarketPath`` of its own: the range of every stretch of time is known without visiting it, so
that whether a trigger was reached while nobody looked costs the same for a second and for a month. USDC stays at 1;
staked SOL follows SOL, a little dearer every day.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, NamedTuple, Protocol

from normalization.instruments import Instrument
from sandbox.engine.listings import Listing
from sandbox.engine.path import SPANS, MarketPath, Node, first_second, reaches
from sandbox.milo.tokens import SOL, TOKENS, USDC, Token

CENTS: Final = Decimal("0.01")
_DAY_S: Final = SPANS[0]
# How far beyond what was asked it is worth looking, so that the next seconds need no search of their own.
_AHEAD_S: Final = 60


class Character(NamedTuple):
    """``depth_usd`` moves the price by one half-spread more; ``half_spread_bps`` is what a small trade pays."""

    price: float
    daily_volatility: float
    tick: Decimal
    half_spread_bps: Decimal
    depth_usd: Decimal


_CHARACTERS: Final = {
    "SOL": Character(160.0, 0.036, Decimal("0.0001"), Decimal(1), Decimal(2_000_000)),
    "wBTC": Character(94_000.0, 0.022, Decimal("0.01"), Decimal(2), Decimal(800_000)),
    "wETH": Character(4_100.0, 0.030, Decimal("0.001"), Decimal(2), Decimal(600_000)),
    "JUP": Character(0.52, 0.048, Decimal("0.0000001"), Decimal(4), Decimal(150_000)),
    "PYTH": Character(0.16, 0.050, Decimal("0.0000001"), Decimal(5), Decimal(80_000)),
    "RAY": Character(2.6, 0.046, Decimal("0.000001"), Decimal(5), Decimal(90_000)),
    "ORCA": Character(2.1, 0.048, Decimal("0.000001"), Decimal(6), Decimal(50_000)),
    "JTO": Character(1.9, 0.048, Decimal("0.000001"), Decimal(6), Decimal(60_000)),
    "BONK": Character(0.000022, 0.060, Decimal("1E-11"), Decimal(6), Decimal(90_000)),
    "WIF": Character(0.85, 0.062, Decimal("0.0000001"), Decimal(6), Decimal(80_000)),
    "POPCAT": Character(0.31, 0.068, Decimal("0.0000001"), Decimal(10), Decimal(30_000)),
    "PNUT": Character(0.19, 0.072, Decimal("0.0000001"), Decimal(12), Decimal(20_000)),
    "TSLAx": Character(330.0, 0.024, Decimal("0.0001"), Decimal(8), Decimal(60_000)),
    "USDT": Character(1.0, 0.0004, Decimal("0.0000001"), Decimal(1), Decimal(3_000_000)),
}
_STABLE: Final = Character(1.0, 0.0, Decimal("0.000001"), Decimal(1), Decimal(3_000_000))
# SOL per staked SOL on the first day, what it earns in a year, and that day.
_STAKED: Final = {"mSOL": (1.30, 0.065), "JitoSOL": (1.22, 0.068)}
_STAKED_CHARACTER: Final = Character(160.0, 0.036, Decimal("0.0001"), Decimal(3), Decimal(400_000))
_STAKED_SINCE_DAY: Final = 20_454  # 2026-01-01


class Path(Protocol):
    """Prices in ticks: at a second, and the range of every candle of the tree in ``sandbox.engine.path``."""

    def price(self, second: int) -> int: ...

    def node(self, level: int, index: int) -> Node: ...


class _Constant:
    def __init__(self, ticks: int) -> None:
        self._node = Node(ticks, ticks, ticks, ticks, 0)

    def price(self, second: int) -> int:
        return self._node.open

    def node(self, level: int, index: int) -> Node:
        return self._node


class _Staked:
    """SOL times a rate that changes with the day, which every candle lies within."""

    def __init__(self, sol: MarketPath, first: float, yearly: float) -> None:
        self._sol = sol
        self._first = first
        self._yearly = yearly

    def price(self, second: int) -> int:
        return int(self._sol.price(second) * self._rate(second // _DAY_S))

    def node(self, level: int, index: int) -> Node:
        node, rate = self._sol.node(level, index), self._rate(index * SPANS[level] // _DAY_S)
        opened, high, low, closed = (int(ticks * rate) for ticks in node[:4])
        return Node(opened, high, low, closed, node.volume)

    def _rate(self, day: int) -> float:
        return self._first * (1.0 + self._yearly * (day - _STAKED_SINCE_DAY) / 365.0)


class Levels(NamedTuple):
    """Prices, in ticks, at or below and at or above which something happens; None for nothing on that side."""

    below: int | None
    above: int | None


class TokenMarket:
    def __init__(self, seed: int) -> None:
        sol = MarketPath(seed, _listing(SOL, _CHARACTERS["SOL"]))
        self._paths: dict[str, Path] = {}
        self._characters: dict[str, Character] = {}
        for token in TOKENS:
            staked = _STAKED.get(token.symbol)
            character = _STAKED_CHARACTER if staked else _CHARACTERS.get(token.symbol, _STABLE)
            self._characters[token.symbol] = character
            if token is SOL:
                self._paths[token.symbol] = sol
            elif staked is not None:
                self._paths[token.symbol] = _Staked(sol, *staked)
            elif token is USDC:
                self._paths[token.symbol] = _Constant(int(1 / character.tick))
            else:
                self._paths[token.symbol] = MarketPath(seed, _listing(token, character))
        # Searches that came to nothing, to be taken up where they ended: pure memory.
        self._quiet: dict[str, tuple[Levels, int]] = {}

    def price(self, token: Token, second: int) -> Decimal:
        """US dollars for one whole token, the middle of the market."""
        return self._characters[token.symbol].tick * self.ticks(token, second)

    def ticks(self, token: Token, second: int) -> int:
        return self._paths[token.symbol].price(second)

    def character(self, token: Token) -> Character:
        return self._characters[token.symbol]

    def path(self, token: Token) -> Path:
        """For what looks at the past: the candles of ``sandbox.engine.path``, in ticks of ``character(token).tick``."""
        return self._paths[token.symbol]

    def ticks_of(self, token: Token, price: Decimal, *, rising: bool) -> int:
        """The first whole tick at which a price that rises (or falls) to ``price`` has reached it."""
        ticks = price / self._characters[token.symbol].tick
        return int(ticks.to_integral_value(ROUND_CEILING if rising else ROUND_FLOOR))

    def buy_price(self, token: Token, second: int, usd: Decimal) -> Decimal:
        """What one token costs in a purchase for ``usd``: dearer the larger it is."""
        return self.price(token, second) * (1 + self._slippage(token, usd))

    def sell_price(self, token: Token, second: int, usd: Decimal) -> Decimal:
        """What one token brings in a sale of tokens that are worth ``usd``; above 0, however large it is."""
        return self.price(token, second) / (1 + self._slippage(token, usd))

    def first_reached(self, token: Token, levels: Levels, after: int, until: int) -> int | None:
        """The first second in (``after``, ``until``] in which the price is at or beyond one of ``levels``."""
        if levels == (None, None):
            return None
        known, quiet_until = self._quiet.get(token.symbol, (levels, after))
        after = max(after, quiet_until) if known == levels else after
        if after >= until:
            return None
        found = first_second(after, until + _AHEAD_S, reaches(self._paths[token.symbol].node, *levels))
        self._quiet[token.symbol] = (levels, until + _AHEAD_S if found is None else found - 1)
        return found if found is not None and found <= until else None

    def _slippage(self, token: Token, usd: Decimal) -> Decimal:
        character = self._characters[token.symbol]
        return character.half_spread_bps / 10_000 * (1 + usd / character.depth_usd)


def _listing(token: Token, character: Character) -> Listing:
    return Listing(
        instrument=Instrument(
            exchange="milo",
            symbol=f"{token.symbol}-USD",
            venue_symbol=token.address,
            base=token.symbol,
            quote="USD",
            settle="USDC",
            tick_size=character.tick,
            lot_size=Decimal(1).scaleb(-token.decimals),
            min_notional=CENTS,
        ),
        base_price=character.price,
        daily_volatility=character.daily_volatility,
        depth_usd=float(character.depth_usd),
        daily_volume_usd=float(character.depth_usd) * 200,
        open_interest_usd=0.0,
        half_spread_ticks=1,
        level_gap_ticks=1,
    )
