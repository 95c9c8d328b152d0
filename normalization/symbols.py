"""How a market is spelled: one canonical symbol, and the readings of everything else that callers write.

Canonical is ``BASE-QUOTE-PERP`` for a perpetual and ``BASE-QUOTE`` for spot. A base holds no ``-``, ``_`` or ``/``:
inside a base they are written ``:`` (``xyz:TSLA``). Nothing here knows what a venue lists (``resolver`` does).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from typing import Final, NamedTuple

from normalization.decimals import ONE
from normalization.instruments import InstrumentKind

# Longer text is no market name; a mint address has at most 44 characters.
MAX_NAME: Final = 80

# Quotes that are worth a dollar: only these may stand in for one another. A limit price in BTC or EUR means something
# else entirely on a market that is quoted in USDC.
DOLLARS: Final = frozenset(
    """USD USDC USDT USDE USDH USDS USDB USDD USDF USDM USDP USD0 USD1 USDT0 USDT.E USDC.E USDBC DAI
    AUSD BUSD CRVUSD FDUSD FEUSD GUSD LUSD PYUSD RLUSD SUSD TUSD""".split()
)

_LOWER_TO_UPPER: Final = {ord(c): ord(c.upper()) for c in "abcdefghijklmnopqrstuvwxyz"}
_SCALES: Final = {"1000": 1_000, "10000": 10_000, "100000": 100_000, "1000000": 1_000_000, "1M": 1_000_000}
_COUNTED: Final = re.compile(r"(1000000|100000|10000|1000|1M)(\D.*)", re.DOTALL)
_ADDRESS_LENGTH: Final = 32


class Scaled(NamedTuple):
    """A base that stands for ``multiplier`` units of ``underlying``: ``kPEPE`` is 1,000 ``PEPE``."""

    multiplier: Decimal
    underlying: str


class Reading(NamedTuple):
    """One way to understand a spelling. ``base`` and the rest are folded; None is what the spelling leaves open."""

    base: str
    quote: str | None = None
    settle: str | None = None
    kind: InstrumentKind | None = None


def fold(text: str) -> str:
    """``text`` without the case of ASCII letters.

    Only those: Unicode's own rules also turn a long s into ``S`` and the Kelvin sign into ``k``: other names.
    """
    return text.upper() if text.isascii() else text.translate(_LOWER_TO_UPPER)


def is_name(text: str) -> bool:
    """Whether ``text`` can be a symbol: of sane length, with no space, control, bidi or otherwise unseen character."""
    return 0 < len(text) <= MAX_NAME and text.isprintable() and " " not in text


def is_address(text: str) -> bool:
    """Whether ``text`` looks like a token's address, in which case is meaningful."""
    return len(text) >= _ADDRESS_LENGTH and text.isalnum()


def canonical_base(base: str) -> str:
    """A venue's name of a base asset in our spelling: upper case, ``1000PEPE`` and ``kPEPE`` both as ``kPEPE``."""
    scaled = scale_of(base)
    if scaled.multiplier == _SCALES["1000"]:
        return "k" + base_key(scaled.underlying)
    return base_key(base)


def canonical_symbol(base: str, quote: str, kind: InstrumentKind = InstrumentKind.PERP) -> str:
    """Our symbol of a market from the names that a venue gives to its base and quote."""
    pair = f"{canonical_base(base)}-{base_key(quote)}"
    return f"{pair}-PERP" if kind is InstrumentKind.PERP else pair


def scale_of(base: str) -> Scaled:
    """What a perpetual's base stands for, as the venue spells it: ``kPEPE``, ``1000PEPE``, ``1MBABYDOGE``, ``BTC``.

    A small ``k`` before capitals is a thousand. Do not ask this of spot tokens: ``kHYPE`` is a token of its own there.
    """
    if counted := _COUNTED.fullmatch(base):
        return Scaled(Decimal(_SCALES[counted[1]]), counted[2])
    if len(base) > 2 and base[0] == "k" and base[1:] == fold(base[1:]):
        return Scaled(Decimal(1_000), base[1:])
    return Scaled(ONE, base)


def scale_read(base: str) -> Scaled:
    """What a folded base in a caller's spelling may stand for: as ``scale_of``, and ``KPEPE`` is ``kPEPE`` too."""
    if len(base) > 2 and base[0] == "K":
        return Scaled(Decimal(1_000), base[1:])
    return scale_of(base)


def base_key(base: str) -> str:
    """``base`` folded, with every separator in it written ``:``."""
    return re.sub(r"[-_/]", ":", fold(base))


def readings(text: str, quotes: Collection[str]) -> list[Reading]:
    """Every way to understand ``text``; empty when there is none.

    The first one takes all of it for a base (``BTC``, ``xyz:TSLA``) unless a ``/`` says where the base ends. Bases that
    run into their quote (``BTCUSDT``) are split before one of ``quotes``, the longest quote last.
    """
    if not is_name(text) or is_address(text):
        return []
    folded = fold(text)
    if "/" in folded:
        return _pair(folded)
    parts = re.split(r"[-_:]", folded)
    if "" in parts:
        return []
    parts, kind = _without_kind(parts)
    found = [Reading(":".join(parts), kind=kind)]
    if len(parts) > 1:
        found.append(Reading(":".join(parts[:-1]), parts[-1], kind=kind))
    elif parts[0] not in DOLLARS:
        word = parts[0]
        found.extend(Reading(word[:-n], word[-n:], kind=kind) for n in range(1, len(word)) if word[-n:] in quotes)
    return found


def _pair(folded: str) -> list[Reading]:
    """``BTC/USD``, ``BTC/USDT-P`` and ccxt's ``BTC/USDC:USDC``, but not its dated contracts."""
    base, _, rest = folded.partition("/")
    quote, *more = re.split(r"[-_/:]", rest)
    if not base or not quote or len(more) > 1:
        return []
    if not more:
        return [Reading(base_key(base), quote)]
    if ":" in rest:
        return [Reading(base_key(base), quote, more[0], InstrumentKind.PERP)] if more[0] else []
    kind = {"P": InstrumentKind.PERP, "PERP": InstrumentKind.PERP, "SPOT": InstrumentKind.SPOT}.get(more[0])
    return [Reading(base_key(base), quote, kind=kind)] if kind and "/" not in rest else []


def _without_kind(parts: list[str]) -> tuple[list[str], InstrumentKind | None]:
    """The parts without the word that says what kind of market it is. A token may be called PERP, SPOT or P."""
    if len(parts) > 1 and parts[-1] in ("PERP", "SPOT"):
        return parts[:-1], InstrumentKind(parts[-1])
    if len(parts) > 2 and parts[-1] == "P":
        return parts[:-1], InstrumentKind.PERP
    if len(parts) > 2 and parts[0] in ("PERP", "SPOT"):
        return parts[1:], InstrumentKind(parts[0])
    return parts, None
