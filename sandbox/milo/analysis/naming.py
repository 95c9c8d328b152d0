"""Which tokens a text is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sandbox.milo.tokens import Token

# What people call them, in lower case, other than by their symbols.
_NAMES: Final = {
    "SOL": ("solana",),
    "USDC": ("usd coin",),
    "USDT": ("tether",),
    "wBTC": ("btc", "bitcoin"),
    "wETH": ("eth", "ether", "ethereum"),
    "JUP": ("jupiter",),
    "RAY": ("raydium",),
    "JTO": ("jito governance",),
    "mSOL": ("marinade",),
    "JitoSOL": ("jito staked sol",),
    "WIF": ("dogwifhat",),
    "PNUT": ("peanut",),
    "TSLAx": ("tsla", "tesla"),
}
# "Tokens on Solana" and "the SOL ecosystem" are about all tokens, not about one.
_THE_CHAIN: Final = re.compile(
    r"\b(?:sol|solana)[\s-]+(?:ecosystem|chain|network|blockchain|tokens?|memes?)\b"
    r"|(?<=\btokens )on solana\b|(?<=\bcoins )on solana\b|(?<=\bmemes )on solana\b|(?<=\btrending )on solana\b",
    re.IGNORECASE,
)


def tokens_named(text: str, tokens: Sequence[Token]) -> tuple[Token, ...]:
    """In the order in which they are named: by symbol, by what people call it, or by mint."""
    searched = _THE_CHAIN.sub(" ", text)
    lowered = searched.lower()
    places: list[tuple[int, Token]] = []
    for token in tokens:
        words = (token.symbol.lower(), *_NAMES.get(token.symbol, ()))
        found = [_place(lowered, word) for word in words] + [searched.find(token.address)]
        there = [place for place in found if place >= 0]
        if there:
            places.append((min(there), token))
    return tuple(token for _, token in sorted(places, key=lambda found: found[0]))


def _place(lowered: str, word: str) -> int:
    found = re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", lowered)
    return -1 if found is None else found.start()
