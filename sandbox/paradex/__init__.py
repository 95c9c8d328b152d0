"""A local venue that speaks Paradex's HTTP protocol and checks its signatures.

    felts         typed data and its Pedersen hashes; addresses of accounts
    signatures    whether a Stark signature is right
    members       who is onboarded, with which keys
    tokens        bearer tokens
    access        onboarding, authentication, subkeys
    orders        the venue's orders, in the exchange's words and as shown
    trading       placing, changing, canceling
    account_api   what can be asked of one's account, with account_views and pages
    market_views  what is told of markets
    venue, app    put together, and served

Where it differs from the real venue: no websocket, no spot or options, no isolated margin, no TWAP, no EVM accounts, no
transfers; ``stp`` is always EXPIRE_MAKER; a modification that is refused leaves the order closed; a take profit and a
stop loss of part of a position do not cancel each other until the position is closed; no request limits.
"""

from sandbox.paradex.app import make_app
from sandbox.paradex.venue import ParadexVenue

__all__ = ["ParadexVenue", "make_app"]
