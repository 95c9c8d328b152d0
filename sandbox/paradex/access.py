"""Onboarding and authentication: who somebody is, proved by a Stark signature."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, Final

import msgspec

from sandbox.paradex.errors import ApiError, bad_parameter, invalid, unauthorized
from sandbox.paradex.felts import FIELD, account_address, auth_hash, onboarding_hash
from sandbox.paradex.members import Member, Members, Subkey, account_text
from sandbox.paradex.signatures import MalformedSignature, Signature, is_valid, number, parsed
from sandbox.paradex.system import ACCOUNT_HASH, CHAIN_ID, PROXY_HASH
from sandbox.paradex.tokens import BadToken, Claims, Tokens
from sandbox.wires.exchange import WireExchange
from sandbox.wires.records import Fact

FAUCET_USDC: Final = Decimal(100_000)
_SKEW_S: Final = 300
_LONGEST_S: Final = 7 * 86_400
_DEFAULT_S: Final = 1_800

Commit = Callable[[Sequence[Fact]], Any]


class Onboarding(msgspec.Struct, frozen=True):
    public_key: str


class SubkeyRequest(msgspec.Struct, frozen=True):
    name: str
    public_key: str


class Access:
    """``commit`` records facts. Signatures are verified on a thread of their own: each takes about two milliseconds."""

    def __init__(
        self,
        exchange: WireExchange,
        members: Members,
        tokens: Tokens,
        commit: Callable[[Sequence[Fact]], Any],
        now_ms: Callable[[], int],
    ) -> None:
        self._exchange = exchange
        self._members = members
        self._tokens = tokens
        self._commit = commit
        self._now_ms = now_ms
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stark-verify")

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    @property
    def key_set(self) -> dict[str, Any]:
        return self._tokens.key_set()

    async def onboard(self, headers: Mapping[str, str], body: bytes) -> None:
        """Make the account and fund it, unless it exists.

        :raises ApiError: the signature or the address is wrong.
        """
        request = msgspec.json.decode(body, type=Onboarding)
        public_key = _felt(request.public_key, "PUBLIC_KEY_INVALID")
        account = _felt(headers.get("PARADEX-STARKNET-ACCOUNT", ""), "INVALID_STARKNET_ADDRESS")
        if account != await self._address_of(public_key):
            raise ApiError(400, "PUBLIC_KEY_INVALID", "account does not belong to the public key")
        signature = _signature(headers)
        if not await self.is_signed([public_key], lambda: [onboarding_hash(CHAIN_ID, account)], signature):
            raise _unverified()
        await self.admit(public_key, headers.get("PARADEX-ETHEREUM-ACCOUNT", "").lower())

    async def admit(self, public_key: int, ethereum: str = "", usdc: Decimal = FAUCET_USDC) -> str:
        """Make and fund the account of a key, whoever asks. Its address."""
        account = account_text(await self._address_of(public_key))
        await self._exchange.open_account(account, usdc)
        if self._members.get(account) is None:
            member = Member(account=account, public_key=public_key, ethereum=ethereum, created_at_ms=self._now_ms())
            await self._commit([self._members.put(member)])
        return account

    async def authenticate(self, headers: Mapping[str, str], path_key: str | None) -> str:
        """A token for the account whose key, ``path_key`` or the main one, signed the request.

        :raises ApiError: it did not, or not for now.
        """
        address = _felt(headers.get("PARADEX-STARKNET-ACCOUNT", ""), "INVALID_STARKNET_ADDRESS")
        member = self._members.need(account_text(address))
        key = member.public_key if path_key is None else _felt(path_key, "PUBLIC_KEY_INVALID")
        if key not in member.live_keys:
            raise ApiError(400, "INVALID_SUBKEY", "public key is not registered")
        now_s = self._now_ms() // 1_000
        timestamp = _seconds(headers, "PARADEX-TIMESTAMP")
        expiration = _seconds(headers, "PARADEX-SIGNATURE-EXPIRATION", timestamp + _DEFAULT_S)
        if abs(now_s - timestamp) > _SKEW_S:
            raise ApiError(400, "INVALID_TIMESTAMP", "signature timestamp is too far from now")
        if not now_s < expiration <= timestamp + _LONGEST_S:
            raise ApiError(400, "INVALID_SIGNATURE_EXPIRATION", "signature is expired or valid for more than a week")
        signature = _signature(headers)
        if not await self.is_signed([key], lambda: [auth_hash(CHAIN_ID, address, timestamp, expiration)], signature):
            raise _unverified()
        return self._tokens.issue(member.account, hex(key), now_s)

    def claims(self, headers: Mapping[str, str]) -> Claims:
        """:raises ApiError: there is no bearer token, or it does not hold."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("invalid bearer jwt: missing value in request header")
        try:
            claims = self._tokens.read(token.strip(), self._now_ms() // 1_000)
        except BadToken as refusal:
            raise unauthorized(str(refusal)) from None
        member = self._members.get(claims.sub)
        if member is None or number(claims.key) not in member.live_keys:
            raise unauthorized("invalid bearer jwt: key was revoked")
        return claims

    def member(self, account: str) -> Member:
        return self._members.need(account)

    async def is_signed(self, keys: Sequence[int], hashes: Callable[[], Sequence[int]], signature: Signature) -> bool:
        """Whether one of the keys signed one of the messages."""

        def verify() -> bool:
            return any(is_valid(key, message, signature) for message in hashes() for key in keys)

        return await asyncio.get_running_loop().run_in_executor(self._thread, verify)

    # Subkeys.

    async def add_subkey(self, claims: Claims, body: bytes) -> None:
        request = msgspec.json.decode(body, type=SubkeyRequest)
        self._need_main(claims)
        if not 0 < len(request.name) <= 64:
            raise invalid("name must have 1 to 64 characters")
        key = _felt(request.public_key, "PUBLIC_KEY_INVALID")
        subkey = Subkey(name=request.name, public_key=key, created_at_ms=self._now_ms())
        await self._commit([self._members.add_subkey(claims.sub, subkey)])

    async def revoke_subkey(self, claims: Claims, public_key: str) -> None:
        self._need_main(claims)
        key = _felt(public_key, "PUBLIC_KEY_INVALID")
        await self._commit([self._members.revoke_subkey(claims.sub, key, self._now_ms())])

    def subkeys(self, claims: Claims, *, with_revoked: bool) -> list[dict[str, Any]]:
        return [
            {
                "id": hex(key.public_key),
                "account_id": claims.sub,
                "name": key.name,
                "public_key": hex(key.public_key),
                "state": "revoked" if key.revoked_at_ms else "active",
                "created_at": key.created_at_ms * 1_000_000,
                "updated_at": (key.revoked_at_ms or key.created_at_ms) * 1_000_000,
                "revoked_at": key.revoked_at_ms * 1_000_000,
                "allowed_cidrs": [],
            }
            for key in self._members.need(claims.sub).subkeys
            if with_revoked or not key.revoked_at_ms
        ]

    def _need_main(self, claims: Claims) -> None:
        if number(claims.key) != self._members.need(claims.sub).public_key:
            raise ApiError(403, "REQUEST_NOT_ALLOWED", "a subkey cannot manage keys")

    async def _address_of(self, public_key: int) -> int:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, account_address, public_key, ACCOUNT_HASH, PROXY_HASH)


def _felt(text: str, code: str) -> int:
    try:
        value = int(text, 16)
    except ValueError:
        value = 0
    if not 0 < value < FIELD:
        raise ApiError(400, code, f"not a field element: {text[:70]}")
    return value


def _seconds(headers: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = headers.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isdecimal() or len(text) > 12:
        raise bad_parameter(f"{name} must be a time in seconds")
    return int(text)


def _signature(headers: Mapping[str, str]) -> Signature:
    try:
        return parsed(headers.get("PARADEX-STARKNET-SIGNATURE", ""))
    except MalformedSignature:
        raise ApiError(400, "INVALID_STARKNET_SIGNATURE", "signature is not an array of two numbers") from None


def _unverified() -> ApiError:
    return ApiError(401, "STARKNET_SIGNATURE_VERIFICATION_FAILED", "signature verification failed")
