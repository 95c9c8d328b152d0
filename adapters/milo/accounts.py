"""Users, wallets, and signing up with a Solana wallet."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from adapters.milo.wire import Body, IsoTime, Wire

TRADING_WALLET = "milo"


class User(Wire, frozen=True, kw_only=True):
    id: str
    signup_wallet_id: str
    provider: str
    created_at: IsoTime


class Wallet(Wire, frozen=True, kw_only=True):
    """``type`` is ``signup`` for the wallet that signs in, ``milo`` for the one that trades."""

    id: str
    address: str
    chain: str
    type: str


class Profile(Wire, frozen=True, kw_only=True):
    user: User
    wallets: list[Wallet]


class Registered(Profile, frozen=True, kw_only=True):
    """``api_key`` is shown this once."""

    api_key: str

    def __repr__(self) -> str:
        return f"Registered({self.user.id}, key hidden)"


class MessageAsked(Body, frozen=True, kw_only=True):
    account_address: str
    chain_id: str
    invite_code: str | UnsetType = UNSET


class SiwxData(Wire, frozen=True, kw_only=True):
    """What the message is made of. It goes back to Milo as it came."""

    account_address: str
    chain_id: str
    domain: str
    uri: str
    version: str
    nonce: str
    issued_at: str
    expiration_time: str
    statement: str


class ToSign(Wire, frozen=True, kw_only=True):
    """``message`` is what the wallet signs, as UTF-8."""

    data: SiwxData
    message: str


class Signed(Body, frozen=True, kw_only=True):
    data: SiwxData
    message: str
    signature: str


class Registration(Body, frozen=True, kw_only=True):
    signup_wallet: str
    siwx: Signed
