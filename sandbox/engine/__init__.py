"""A perp exchange as a pure state machine. Time is an argument, randomness a hash of seed and time; no I/O.

    listings   instruments and the character of their markets
    noise      hashes as numbers
    path       the price at any second; candles; the first second at which something can happen
    market     one instrument: its path, background liquidity, users' orders, triggers, funding rate
    book       users' resting orders and waiting triggers
    matching   who would trade with whom, at which price
    orders     the order records and their indexes
    ledger     cash and positions, conserved; maintenance margin
    margin     whether an account can bear an order
    floor      accepting, filling and canceling orders, and what follows from a fill
    timeline   what happens by itself as time passes: fills, triggers, funding, liquidation
    views      every query
    commands   every change
    engine     the facade over all of it; state in and out

The same commands at the same times give the same fills, however often anybody looked in between.
"""

from sandbox.engine.commands import (
    CancelAll,
    CancelByClientId,
    CancelOrder,
    Command,
    NewOrder,
    OpenAccount,
    PlaceOrders,
    SetLeverage,
)
from sandbox.engine.engine import Engine, LegResult
from sandbox.engine.listings import Listing, listings
from sandbox.engine.state import EngineState, IncompatibleState, decoded, encoded

__all__ = [
    "CancelAll",
    "CancelByClientId",
    "CancelOrder",
    "Command",
    "Engine",
    "EngineState",
    "IncompatibleState",
    "LegResult",
    "Listing",
    "NewOrder",
    "OpenAccount",
    "PlaceOrders",
    "SetLeverage",
    "decoded",
    "encoded",
    "listings",
]
