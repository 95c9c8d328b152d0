"""Sign-in with a Solana wallet (SIWX, CAIP-122): a message to sign, and registration with what was signed."""

from __future__ import annotations

import re
import secrets
from typing import Final

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from sandbox.milo import users
from sandbox.milo.calls import Call, Reply
from sandbox.milo.core import Core
from sandbox.milo.errors import ApiError, bad_request, conflict
from sandbox.milo.events import UserRegistered
from sandbox.milo.limits import Group
from sandbox.milo.users import User
from sandbox.milo.wallets import CHAIN, Wallet, WalletType
from sandbox.milo.wire import Asked, Data, Wire, iso

DOMAIN: Final = "andmilo.com"
URI: Final = "https://andmilo.com"
VERSION: Final = "v1"
STATEMENT: Final = (
    "By signing, you agree to andmilo Terms of Use and Privacy Policy. This is a sandbox: nothing on it is real money."
)
PROVIDER: Final = "siwx"
LIFE_MS: Final = 7 * 86_400_000
MAINNET: Final = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
# CAIP-2: the namespace and the first 32 characters of the cluster's genesis hash.
_CHAIN_ID: Final = re.compile(r"solana:[1-9A-HJ-NP-Za-km-z]{32}")

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS signin_nonces (
    nonce TEXT PRIMARY KEY, expires_at_ms INTEGER NOT NULL, data BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS signin_nonces_by_expiry ON signin_nonces (expires_at_ms)
"""


class MessageAsked(Asked, frozen=True, kw_only=True):
    account_address: str
    chain_id: str
    invite_code: str | None = None


class SiwxData(Asked, frozen=True, kw_only=True):
    account_address: str
    chain_id: str
    domain: str
    uri: str
    version: str
    nonce: str
    issued_at: str
    expiration_time: str
    statement: str


class Siwx(Asked, frozen=True, kw_only=True):
    data: SiwxData
    message: str
    signature: str


class RegistrationAsked(Asked, frozen=True, kw_only=True):
    signup_wallet: str
    siwx: Siwx


class ToSign(Wire, frozen=True, kw_only=True):
    data: SiwxData
    message: str


class UserShown(Wire, frozen=True, kw_only=True):
    id: str
    signup_wallet_id: str
    provider: str
    created_at: str


class WalletShown(Wire, frozen=True, kw_only=True):
    id: str
    address: str
    chain: str
    type: str


class Profile(Wire, frozen=True, kw_only=True):
    user: UserShown
    wallets: list[WalletShown]


class Registered(Profile, frozen=True, kw_only=True):
    api_key: str


def request_message(call: Call) -> Reply:
    """``POST /users/siwx/message``"""
    asked, core = call.asked(MessageAsked), call.core
    data = SiwxData(
        account_address=str(_wallet_address(asked.account_address, "accountAddress")),
        chain_id=_chain_id(asked.chain_id),
        domain=DOMAIN,
        uri=URI,
        version=VERSION,
        nonce=secrets.token_hex(16),
        issued_at=iso(core.now_ms),
        expiration_time=iso(core.now_ms + LIFE_MS),
        statement=STATEMENT,
    )
    core.db.execute("DELETE FROM signin_nonces WHERE expires_at_ms <= ?", core.now_ms)
    core.db.execute(
        "INSERT INTO signin_nonces VALUES (?, ?, ?)", data.nonce, core.now_ms + LIFE_MS, msgspec.json.encode(data)
    )
    return Reply(Data(ToSign(data=data, message=message_of(data))))


def register(call: Call) -> Reply:
    """``POST /users``"""
    asked, core = call.asked(RegistrationAsked), call.core
    address = str(_wallet_address(asked.signup_wallet, "signupWallet"))
    _check(core, asked, address)
    # Only whoever has the wallet's key can use up what it is allowed.
    allowed = core.limiter.take(Group.SIGNUP_WALLET, address, core.now_ms)
    if not allowed.is_allowed:
        raise allowed.refusal(core.now_ms)
    if core.wallets.at(address) is not None:
        raise conflict("This wallet already belongs to a user")
    core.db.execute("DELETE FROM signin_nonces WHERE nonce = ?", asked.siwx.data.nonce)
    user, api_key = open_account(core, address)
    shown = profile(core, user)
    return Reply(Data(Registered(user=shown.user, wallets=shown.wallets, api_key=api_key)))


def me(call: Call) -> Reply:
    """``GET /me``"""
    return Reply(profile(call.core, call.caller.user))


def open_account(core: Core, address: str) -> tuple[User, str]:
    """A user with a signup wallet at ``address``, a trading wallet held here, and an API key, which is shown once."""
    user = User(
        user_id=core.new_id(),
        username=address[:8],
        signup_wallet_id=core.new_id(),
        provider=PROVIDER,
        created_at_ms=core.now_ms,
    )
    users.create(core.db, user)
    core.wallets.add_signup(user.signup_wallet_id, user.user_id, address, core.now_ms)
    core.wallets.open(core.new_id(), user.user_id, WalletType.MILO, core.now_ms)
    core.events.publish(UserRegistered(user_id=user.user_id, at_ms=core.now_ms))
    return user, users.mint_key(core.db, user.user_id, core.new_id(), core.now_ms)


def profile(core: Core, user: User) -> Profile:
    return Profile(
        user=UserShown(
            id=user.user_id,
            signup_wallet_id=user.signup_wallet_id,
            provider=user.provider,
            created_at=iso(user.created_at_ms),
        ),
        wallets=[_wallet_shown(wallet) for wallet in core.wallets.of(user.user_id)],
    )


def message_of(data: SiwxData) -> str:
    """What the wallet signs, as UTF-8."""
    return (
        f"{data.domain} wants you to sign in with your Solana account:\n"
        f"{data.account_address}\n\n"
        f"{data.statement}\n\n"
        f"URI: {data.uri}\n"
        f"Version: {data.version}\n"
        f"Chain ID: {data.chain_id}\n"
        f"Nonce: {data.nonce}\n"
        f"Issued At: {data.issued_at}\n"
        f"Expiration Time: {data.expiration_time}"
    )


def _check(core: Core, asked: RegistrationAsked, address: str) -> None:
    """:raises ApiError: 400; not what was issued to this wallet, no longer good, or not signed by it."""
    siwx = asked.siwx
    row = core.db.row("SELECT data, expires_at_ms FROM signin_nonces WHERE nonce = ?", siwx.data.nonce)
    if row is None or row[1] <= core.now_ms:
        raise _refused("siwx.data.nonce", "the nonce is unknown, expired or was used before: ask for a new message")
    if msgspec.json.decode(row[0], type=SiwxData) != siwx.data:
        raise _refused("siwx.data", "it is not as it was issued: pass `data` exactly as step 1 returned it")
    if siwx.message != message_of(siwx.data):
        raise _refused("siwx.message", "it is not as it was issued: pass `message` exactly as step 1 returned it")
    if siwx.data.account_address != address:
        raise _refused("signupWallet", "the message was issued to another wallet")
    if not _signature(siwx.signature).verify(Pubkey.from_string(address), siwx.message.encode()):
        raise _refused("siwx.signature", "it is not this wallet's ed25519 signature of the message's UTF-8 bytes")


def _refused(field: str, why: str) -> ApiError:
    return bad_request(f"`{field}`: {why}", field=field)


def _signature(text: str) -> Signature:
    try:
        return Signature.from_string(text)
    except ValueError:
        raise _refused("siwx.signature", "expected 64 bytes in base58") from None


def _wallet_address(text: str, field: str) -> Pubkey:
    """:raises ApiError: 400; nothing that can sign."""
    try:
        address = Pubkey.from_string(text)
    except ValueError:
        raise _refused(field, "expected a Solana wallet address: 32 bytes in base58") from None
    if not address.is_on_curve():
        raise _refused(field, "expected the address of a key: this one is a program's, which cannot sign")
    return address


def _chain_id(text: str) -> str:
    if _CHAIN_ID.fullmatch(text) is None:
        raise _refused("chainId", f"expected a CAIP-2 chain id of Solana, such as {MAINNET}")
    return text


def _wallet_shown(wallet: Wallet) -> WalletShown:
    return WalletShown(id=wallet.wallet_id, address=wallet.address, chain=CHAIN, type=wallet.type.value)
