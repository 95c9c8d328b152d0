"""Hyperliquid: its own JSON on two endpoints, every action signed by an API wallet (an agent's key)."""

from __future__ import annotations

from adapters.ccxt_venues.hyperliquid.row import HYPERLIQUID

__all__ = ["HYPERLIQUID"]
