"""The tokens that are markets here: their mints on Solana, and the class that Milo puts them in.

Milo trades any mint. Only of those that stand here does the gateway know what a size and a price are; whatever else a
wallet holds is in Milo's own operations. Every one is quoted in US dollars and paid for in USDC.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from adapters.milo.api import EXCHANGE
from normalization.instruments import Instrument, InstrumentKind
from normalization.resolver import Markets

NATIVE_MINT: Final = "So11111111111111111111111111111111111111112"
STABLES: Final = "stables"


class Token(NamedTuple):
    symbol: str
    mint: str
    decimals: int
    asset_class: str
    tick: str


TOKENS: Final = (
    Token("SOL", NATIVE_MINT, 9, "majors", "0.0001"),
    Token("USDC", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 6, STABLES, "0.000001"),
    Token("USDT", "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB", 6, STABLES, "0.0000001"),
    Token("wBTC", "3NZ9JMVBmGAqocybic2c7LQCJScmgsAZ6vQqTDzcqmJh", 8, "majors", "0.01"),
    Token("wETH", "7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs", 8, "majors", "0.001"),
    Token("JUP", "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN", 6, "native", "0.0000001"),
    Token("PYTH", "HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3", 6, "native", "0.0000001"),
    Token("RAY", "4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R", 6, "native", "0.000001"),
    Token("ORCA", "orcaEKTdK7LKz57vaAYr9QeNsVEPfiu6QeMU1kektZE", 6, "native", "0.000001"),
    Token("JTO", "jtojtomepa8beP8AuQc6eXt5FriJwfFMwQx2v2f9mCL", 9, "native", "0.000001"),
    Token("mSOL", "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So", 9, "staking", "0.0001"),
    Token("JitoSOL", "J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn", 9, "staking", "0.0001"),
    Token("BONK", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", 5, "memes", "0.00000000001"),
    Token("WIF", "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm", 6, "memes", "0.0000001"),
    Token("POPCAT", "7GCihgDB8fe6KNjn2MYtkzZcRjQy3t9GHdC8uHYmW2hr", 9, "promising-memes", "0.0000001"),
    Token("PNUT", "2qEHjDLDLbuBgRYvsxhc5D6uDWAivNFZGan56P1tpump", 6, "trenches", "0.0000001"),
    Token("TSLAx", "XsDoVfqeBukxuZHWhdvWHBhgEHjGNst4MLodqsJHzoB", 8, "xStocks", "0.0001"),
)


def _instrument(token: Token) -> Instrument:
    return Instrument(
        exchange=EXCHANGE,
        symbol=f"{token.symbol}-USD",
        venue_symbol=token.mint,
        base=token.symbol,
        quote="USD",
        settle="USDC",
        kind=InstrumentKind.SPOT,
        tick_size=Decimal(token.tick),
        lot_size=Decimal(1).scaleb(-token.decimals),
        asset_class=token.asset_class,
    )


MARKETS: Final = Markets(EXCHANGE, [_instrument(token) for token in TOKENS])
BY_MINT: Final = {instrument.venue_symbol: instrument for instrument in MARKETS}
