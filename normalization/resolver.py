"""One venue's instruments, and which of them a caller means.

A spelling is looked up as our symbol, in any case; then as the venue's own, exactly and then in any case; then read
(``symbols.readings``). What it leaves open is filled in by these rules:

- No quote: the venue's main perpetual of that base; its only spot market where it has no perpetual.
- No kind: spot where the venue has exactly that pair on spot, a perpetual otherwise.
- A dollar that the venue does not quote in (``BTC/USDT`` where there is ``BTC-USD-PERP``): the one perpetual of that
  base; where there are several, nobody can say which, and it is refused. Other quotes are never replaced.
- ``kPEPE``, ``KPEPE`` and ``1000PEPE`` are one market of a thousand; ``PEPE`` is another and never stands for it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from difflib import SequenceMatcher
from functools import cached_property
from typing import Final

from normalization.decimals import ONE
from normalization.errors import UnknownMarket
from normalization.instruments import Instrument, InstrumentKind
from normalization.symbols import (
    DOLLARS,
    Reading,
    Scaled,
    base_key,
    fold,
    is_address,
    is_name,
    readings,
    scale_read,
)

_SUGGESTIONS: Final = 3
_SHOWN: Final = 40
_REMEMBERED: Final = 2_048
_COMPARED: Final = 16
_ALIKE: Final = 0.6
_MULTIPLES: Final = (1, 1_000, 10_000, 100_000, 1_000_000)


class UnknownVenueSymbol(LookupError):
    """A venue spoke of a market that is not in its own list, or whose name two of its markets share."""

    def __init__(self, exchange: str, venue_symbol: str, *, shared: bool) -> None:
        problem = "two markets called" if shared else "no market called"
        super().__init__(f"{exchange} has {problem} {_shown(venue_symbol)!a}")
        self.exchange = exchange
        self.venue_symbol = venue_symbol


class Markets:
    """An index of one venue's instruments on one network: built once, never changed, shared by reference."""

    def __init__(self, exchange: str, instruments: Iterable[Instrument]) -> None:
        """:raises ValueError: two instruments share a symbol, or a kind and a venue symbol, or a name does not print.

        What a venue lists under names that cannot be shown (``symbols.is_name``) is for the adapter to leave out.
        """
        self.exchange = exchange
        self._by_symbol: dict[str, Instrument] = {}
        self._by_venue_symbol: dict[str, list[Instrument]] = {}
        self._by_base: dict[Scaled, list[Instrument]] = {}
        for instrument in instruments:
            self._add(instrument)
        self._quotes = DOLLARS | {fold(i.quote) for i in self}
        self._listings = Counter((i.quote, i.settle) for i in self if i.kind is InstrumentKind.PERP)
        self._ours = _unique((fold(i.symbol), i) for i in self)
        self._theirs = _unique((fold(i.venue_symbol), i) for i in self if self._is_spelling(i))
        self._seen: dict[str, Instrument] = {}

    def resolve(self, market: str) -> Instrument:
        """The one instrument that ``market`` means.

        :raises UnknownMarket: there is none or more than one, with at most three symbols that may have been meant.
        """
        found = self._by_symbol.get(market)
        if found is None:
            found = self._seen.get(market)
        if found is None:
            found = self._find(market)
            if found is None:
                raise UnknownMarket(_shown(market), self.exchange, self._suggestions(market))
            self._remember(market, found)
        return found

    def with_venue_symbol(self, venue_symbol: str, kind: InstrumentKind | None = None) -> Instrument:
        """The instrument of exactly that name on the venue; ``kind`` tells apart a spot and a perpetual of one name.

        :raises UnknownVenueSymbol: there is none or more than one.
        """
        named = self._by_venue_symbol.get(venue_symbol, ())
        fitting = [i for i in named if kind is None or i.kind is kind]
        if len(fitting) != 1:
            raise UnknownVenueSymbol(self.exchange, venue_symbol, shared=len(fitting) > 1)
        return fitting[0]

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_symbol.values())

    def __len__(self) -> int:
        return len(self._by_symbol)

    def __contains__(self, symbol: object) -> bool:
        """Whether ``symbol`` is a canonical symbol here."""
        return symbol in self._by_symbol

    def __repr__(self) -> str:
        return f"Markets({self.exchange}, {len(self)} instruments)"

    def _add(self, instrument: Instrument) -> None:
        symbol, venue_symbol = instrument.symbol, instrument.venue_symbol
        if not is_name(symbol) or not venue_symbol.isprintable():
            raise ValueError(f"{self.exchange}: not a name: {_shown(symbol)!a} or {_shown(venue_symbol)!a}")
        if symbol in self._by_symbol:
            raise ValueError(f"{self.exchange}: two instruments are called {symbol!a}")
        namesakes = self._by_venue_symbol.setdefault(venue_symbol, [])
        if any(i.kind is instrument.kind for i in namesakes):
            raise ValueError(f"{self.exchange}: two instruments have the venue symbol {venue_symbol!a}")
        namesakes.append(instrument)
        self._by_symbol[symbol] = instrument
        for key in _base_keys(instrument):
            self._by_base.setdefault(key, []).append(instrument)

    def _is_spelling(self, instrument: Instrument) -> bool:
        """Whether callers may use the venue's name for it, in any case.

        A number is an id, and may be another market's name (``4``). The bare name of a base means its perpetual, even
        where the venue uses it for spot. In an address case is meaningful.
        """
        name = instrument.venue_symbol
        if name.isdecimal() or is_address(name):
            return False
        return instrument.kind is InstrumentKind.PERP or not _perps(self._listed(base_key(name)))

    def _find(self, market: str) -> Instrument | None:
        folded = fold(market)
        if folded in self._ours:
            return self._ours[folded]
        named = self._by_venue_symbol.get(market, ())
        if len(named) == 1 and (is_address(market) or self._is_spelling(named[0])):
            return named[0]
        if folded in self._theirs:
            return self._theirs[folded]
        return self._read(market)

    def _read(self, market: str) -> Instrument | None:
        found: dict[str, Instrument] = {}
        for position, reading in enumerate(readings(market, self._quotes)):
            if listed := self._listed(reading.base):
                chosen = self._choose(reading, listed)
                if position == 0:
                    return chosen
                if chosen is not None:
                    found[chosen.symbol] = chosen
        return next(iter(found.values())) if len(found) == 1 else None

    def _listed(self, base: str) -> Sequence[Instrument]:
        """The instruments of a folded base: by its name as it is, else by what it is a thousand of."""
        return self._by_base.get(Scaled(ONE, base)) or self._by_base.get(scale_read(base)) or ()

    def _choose(self, reading: Reading, listed: Sequence[Instrument]) -> Instrument | None:
        perps = _perps(listed)
        spots = [i for i in listed if i.kind is InstrumentKind.SPOT]
        if reading.kind is None and reading.quote is not None:
            exact = [i for i in spots if fold(i.quote) == reading.quote]
            if len(exact) == 1:
                return exact[0]
        is_spot = reading.kind is InstrumentKind.SPOT or (reading.kind is None and not perps)
        candidates = spots if is_spot else perps
        return self._main(candidates) if reading.quote is None else _quoted(candidates, reading)

    def _main(self, candidates: Sequence[Instrument]) -> Instrument | None:
        """The one in the quote and settle asset that most of the venue's perpetuals have."""
        most = max((self._listings[i.quote, i.settle] for i in candidates), default=0)
        return _only([i for i in candidates if self._listings[i.quote, i.settle] == most])

    def _remember(self, market: str, instrument: Instrument) -> None:
        # Spellings come from callers: one who varies the case of a name for ever must not fill the memory.
        if len(self._seen) >= _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[market] = instrument

    def _suggestions(self, market: str) -> list[str]:
        bases = [reading.base for reading in readings(market, self._quotes)]
        near = list(self._by_venue_symbol.get(market, ()))
        for base in bases:
            near += self._ranked(self._listed(base))
            for name in {base: None, scale_read(base).underlying: None}:
                for multiple in _MULTIPLES:
                    near += self._ranked(self._by_base.get(Scaled(Decimal(multiple), name), ()))
        symbols = list(dict.fromkeys(i.symbol for i in near))
        if not symbols:
            symbols = self._alike(bases[-1] if bases else base_key(market[:_SHOWN]))
        return symbols[:_SUGGESTIONS]

    def _ranked(self, listed: Sequence[Instrument]) -> list[Instrument]:
        """Perpetuals first, the main one first of all."""
        return sorted(listed, key=lambda i: (i.kind is InstrumentKind.SPOT, -self._listings[i.quote, i.settle]))

    def _alike(self, base: str) -> list[str]:
        """Symbols whose base begins or ends nearly as ``base`` does, the most similar first.

        Comparing with every base would let a stream of misspellings hold up everybody else.
        """
        base = base[:_COMPARED]
        forwards, backwards = self._alphabet
        nearby = {*_around(forwards, base), *(name[::-1] for name in _around(backwards, base[::-1]))}
        scored = ((SequenceMatcher(None, base, name).ratio(), name) for name in nearby)
        best = sorted((-ratio, name) for ratio, name in scored if ratio >= _ALIKE)
        return [self._representatives[name] for _, name in best]

    @cached_property
    def _representatives(self) -> dict[str, str]:
        """For each base as the venue's list has it, the symbol to suggest."""
        return {base_key(i.base): i.symbol for i in reversed(self._ranked(list(self)))}

    @cached_property
    def _alphabet(self) -> tuple[list[str], list[str]]:
        names = self._representatives
        return sorted(names), sorted(name[::-1] for name in names)


def _base_keys(instrument: Instrument) -> list[Scaled]:
    """What its base may be called. A contract of many units is not to be had under the name of one."""
    name, multiplier = base_key(instrument.base), instrument.contract_multiplier
    scaled = scale_read(name)
    # A K alone proves nothing (KAVA): it is a thousand where the venue's contract is one.
    if scaled.multiplier != ONE and (multiplier == scaled.multiplier or not name.startswith("K")):
        return [Scaled(ONE, name), scaled]
    return [Scaled(multiplier, name)]


def _quoted(candidates: Sequence[Instrument], reading: Reading) -> Instrument | None:
    """The candidate in the quote (and settle asset) of ``reading``, or the only one in another dollar."""
    exact = [i for i in candidates if fold(i.quote) == reading.quote and reading.settle in (None, fold(i.settle))]
    if exact:
        return _only(exact)
    if reading.quote not in DOLLARS or not (reading.settle is None or reading.settle in DOLLARS):
        return None
    dollars = [i for i in candidates if fold(i.quote) in DOLLARS]
    return _only([i for i in dollars if fold(i.settle) == reading.settle]) or _only(dollars)


def _perps(listed: Sequence[Instrument]) -> list[Instrument]:
    return [i for i in listed if i.kind is InstrumentKind.PERP]


def _only(candidates: Sequence[Instrument]) -> Instrument | None:
    return candidates[0] if len(candidates) == 1 else None


def _unique(named: Iterable[tuple[str, Instrument]]) -> dict[str, Instrument | None]:
    """By name; None for a name that two have."""
    found: dict[str, Instrument | None] = {}
    for name, instrument in named:
        found[name] = None if name in found else instrument
    return found


def _around(ordered: Sequence[str], text: str) -> Sequence[str]:
    place = bisect_left(ordered, text)
    return ordered[max(0, place - _COMPARED) : place + _COMPARED]


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
