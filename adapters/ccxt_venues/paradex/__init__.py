"""Paradex: REST with a bearer token, every order signed on the STARK curve by a subkey."""

from __future__ import annotations

from adapters.ccxt_venues.paradex.row import PARADEX

__all__ = ["PARADEX"]
