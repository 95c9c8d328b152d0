"""The exchange between two instants as one value: what a snapshot holds."""

from __future__ import annotations

from typing import Final

import msgspec

from sandbox.engine.ledger import Account, Books
from sandbox.engine.market import Taken
from sandbox.engine.orders import OrderRecord

STATE_VERSION: Final = 1


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a later command can depend on. Ended orders and fills are not in it: they are archived apart.

    ``number`` is the last one given to an order or fill. ``orders`` are the open ones, oldest first.
    """

    version: int = STATE_VERSION
    seed: int
    instance: str
    now_ms: int
    number: int
    accounts: list[Account]
    books: Books
    orders: list[OrderRecord]
    taken: dict[str, Taken]


class IncompatibleState(Exception):
    """The state was written by another version of the exchange, or for other instruments."""


class _Versioned(msgspec.Struct):
    version: int


def encoded(state: EngineState) -> bytes:
    return msgspec.msgpack.encode(state)


def decoded(data: bytes) -> EngineState:
    """:raises IncompatibleState: it is of another version, or no state at all."""
    try:
        version = msgspec.msgpack.decode(data, type=_Versioned).version
        if version == STATE_VERSION:
            return msgspec.msgpack.decode(data, type=EngineState)
    except msgspec.DecodeError as error:
        raise IncompatibleState(f"not a state: {error}") from None
    raise IncompatibleState(f"state of version {version}, not {STATE_VERSION}")
