"""What is particular about a venue that ccxt speaks to for us."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from adapters.base import Network
from normalization.accounts import Balance
from normalization.orders import Stop, TakeProfit

Document = Any
"""A venue's reply, decoded: its decimals are strings."""


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """``urls`` are ccxt's ``urls.api`` on a host. ``config`` is what ccxt is constructed with for a credential.

    ``post_only`` and ``reduce_only`` are parameters of an order, ``market_params`` of a question about all markets.
    ``refusal`` finds the venue's code and message in a reply that refuses, None in any other. ``is_shaped`` says
    whether a reply to that path is one at all: ccxt makes an empty list of nearly anything.
    """

    ccxt_id: str
    urls: Callable[[str], Mapping[str, str]]
    config: Callable[[Mapping[str, str], Network], Mapping[str, Any]]
    refusal: Callable[[int, Document], tuple[str, str] | None]
    is_shaped: Callable[[str, Document], bool]
    trigger: Callable[[Stop | TakeProfit], Mapping[str, Any]]
    balance: Callable[[Document], Balance]
    post_only: Mapping[str, Any]
    reduce_only: Mapping[str, Any]
    market_params: Mapping[str, Any] = {}
    weight_per_minute: float
