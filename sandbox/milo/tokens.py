"""The tokens that this venue knows: mints and decimals as on Solana's mainnet, and the class Milo would put them in."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec
from solders.pubkey import Pubkey

from sandbox.milo.errors import ApiError, bad_request
from sandbox.milo.wire import plain


class AssetClass(StrEnum):
    TRENCHES = "trenches"
    MEMES = "memes"
    PROMISING_MEMES = "promising-memes"
    STAKING = "staking"
    NATIVE = "native"
    MAJORS = "majors"
    STABLES = "stables"
    X_STOCKS = "xStocks"
    CUSTOM = "custom"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """``address`` is its mint; of SOL, which has none, that of its wrapped form, as everywhere on Solana.

    An ``amount`` is in whole tokens, ``units`` are the token's smallest ones.
    """

    symbol: str
    address: str
    decimals: int
    asset_class: AssetClass

    @property
    def is_native(self) -> bool:
        return self.address == NATIVE_MINT

    @property
    def mint(self) -> Pubkey:
        return Pubkey.from_string(self.address)

    def amount(self, units: int) -> Decimal:
        return Decimal(units).scaleb(-self.decimals)

    def text(self, units: int) -> str:
        """Such as ``1.5 SOL``."""
        return f"{plain(self.amount(units))} {self.symbol}"

    def units(self, amount: Decimal) -> int:
        """Rounded down."""
        return int(amount.scaleb(self.decimals))


NATIVE_MINT: Final = "So11111111111111111111111111111111111111112"

_TABLE: Final = (
    ("SOL", NATIVE_MINT, 9, AssetClass.MAJORS),
    ("USDC", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 6, AssetClass.STABLES),
    ("USDT", "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB", 6, AssetClass.STABLES),
    ("wBTC", "3NZ9JMVBmGAqocybic2c7LQCJScmgsAZ6vQqTDzcqmJh", 8, AssetClass.MAJORS),
    ("wETH", "7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs", 8, AssetClass.MAJORS),
    ("JUP", "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN", 6, AssetClass.NATIVE),
    ("PYTH", "HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3", 6, AssetClass.NATIVE),
    ("RAY", "4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R", 6, AssetClass.NATIVE),
    ("ORCA", "orcaEKTdK7LKz57vaAYr9QeNsVEPfiu6QeMU1kektZE", 6, AssetClass.NATIVE),
    ("JTO", "jtojtomepa8beP8AuQc6eXt5FriJwfFMwQx2v2f9mCL", 9, AssetClass.NATIVE),
    ("mSOL", "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So", 9, AssetClass.STAKING),
    ("JitoSOL", "J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn", 9, AssetClass.STAKING),
    ("BONK", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", 5, AssetClass.MEMES),
    ("WIF", "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm", 6, AssetClass.MEMES),
    ("POPCAT", "7GCihgDB8fe6KNjn2MYtkzZcRjQy3t9GHdC8uHYmW2hr", 9, AssetClass.PROMISING_MEMES),
    ("PNUT", "2qEHjDLDLbuBgRYvsxhc5D6uDWAivNFZGan56P1tpump", 6, AssetClass.TRENCHES),
    ("TSLAx", "XsDoVfqeBukxuZHWhdvWHBhgEHjGNst4MLodqsJHzoB", 8, AssetClass.X_STOCKS),
)

TOKENS: Final = tuple(Token(symbol=s, address=a, decimals=d, asset_class=c) for s, a, d, c in _TABLE)
BY_ADDRESS: Final = {token.address: token for token in TOKENS}
BY_SYMBOL: Final = {token.symbol: token for token in TOKENS}
SOL: Final = BY_SYMBOL["SOL"]
USDC: Final = BY_SYMBOL["USDC"]


def known_token(address: str, field: str) -> Token:
    """:raises ApiError: 400; not the mint of a token that is known here."""
    token = BY_ADDRESS.get(address)
    if token is None:
        raise unknown_token(field)
    return token


def unknown_token(field: str) -> ApiError:
    known = ", ".join(f"{token.symbol} {token.address}" for token in TOKENS)
    return bad_request(f"`{field}` must be the mint address of a token that is traded here: {known}", field=field)
