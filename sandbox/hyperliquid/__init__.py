"""A local venue that speaks Hyperliquid's HTTP protocol and checks its signatures.

    spelling      numbers as the venue writes them; its price and size steps
    actions       the bodies of /exchange, and their canonical packing
    signing       who signed: EIP-712, agents
    nonces        the replay rule
    identity      agents, builder approvals, nonces in use
    universe      the markets under the venue's names
    orders        the venue's orders in the exchange's words, and back
    trading       /exchange
    info          /info, with market_info, account_info and candles
    venue, app    put together, and served

Where it differs from the real venue: no spot, no sub-accounts or vaults, no isolated margin, no TWAP, no scheduled
cancels, no transfers, no websocket; builder fees are recorded but not charged; recent public trades are empty; no
request weights are counted. A bracket whose order was filled only in part is canceled with the rest of that order.
"""

from sandbox.hyperliquid.app import make_app
from sandbox.hyperliquid.signing import Chain
from sandbox.hyperliquid.venue import HyperliquidVenue

__all__ = ["Chain", "HyperliquidVenue", "make_app"]
