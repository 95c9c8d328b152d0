"""Who is onboarded, with which keys."""

from __future__ import annotations

from typing import Final

import msgspec

from sandbox.paradex.errors import ApiError
from sandbox.wires.records import Fact

MEMBER: Final = "member"


class Subkey(msgspec.Struct, frozen=True, kw_only=True):
    """``revoked_at_ms`` zero is live."""

    name: str
    public_key: int
    created_at_ms: int
    revoked_at_ms: int = 0


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """``account`` is the address as text, not padded; ``ethereum`` the address it was onboarded with, if any."""

    account: str
    public_key: int
    ethereum: str
    created_at_ms: int
    subkeys: tuple[Subkey, ...] = ()

    @property
    def live_keys(self) -> tuple[int, ...]:
        """The main key first."""
        return (self.public_key, *(key.public_key for key in self.subkeys if not key.revoked_at_ms))


class _Stored(msgspec.Struct, frozen=True):
    """Keys as text: they are too large for integers of the format."""

    account: str
    public_key: str
    ethereum: str
    created_at_ms: int
    subkeys: tuple[tuple[str, str, int, int], ...]


class Members:
    """Changes come back as facts to be recorded."""

    def __init__(self, facts: dict[str, bytes]) -> None:
        read = (_read(value) for value in facts.values())
        self._members = {member.account: member for member in read}

    def get(self, account: str) -> Member | None:
        return self._members.get(account)

    def need(self, account: str) -> Member:
        """:raises ApiError: it was never onboarded."""
        member = self._members.get(account)
        if member is None:
            raise ApiError(400, "NOT_ONBOARDED", f"account {account} is not onboarded")
        return member

    def put(self, member: Member) -> Fact:
        self._members[member.account] = member
        return Fact(MEMBER, member.account, _written(member))

    def add_subkey(self, account: str, subkey: Subkey) -> Fact:
        """:raises ApiError: the key is known already."""
        member = self.need(account)
        if any(subkey.public_key in (m.public_key, *(k.public_key for k in m.subkeys)) for m in self._members.values()):
            raise ApiError(400, "INVALID_SUBKEY", "public key is in use already")
        return self.put(msgspec.structs.replace(member, subkeys=(*member.subkeys, subkey)))

    def revoke_subkey(self, account: str, public_key: int, now_ms: int) -> Fact:
        """:raises ApiError: there is no such live key."""
        member = self.need(account)
        if public_key not in member.live_keys[1:]:
            raise ApiError(400, "INVALID_SUBKEY", "no such subkey")
        changed = tuple(
            msgspec.structs.replace(key, revoked_at_ms=now_ms) if key.public_key == public_key else key
            for key in member.subkeys
        )
        return self.put(msgspec.structs.replace(member, subkeys=changed))


def account_text(address: int) -> str:
    return hex(address)


def _written(member: Member) -> bytes:
    subkeys = tuple((key.name, hex(key.public_key), key.created_at_ms, key.revoked_at_ms) for key in member.subkeys)
    stored = _Stored(member.account, hex(member.public_key), member.ethereum, member.created_at_ms, subkeys)
    return msgspec.msgpack.encode(stored)


def _read(value: bytes) -> Member:
    stored = msgspec.msgpack.decode(value, type=_Stored)
    return Member(
        account=stored.account,
        public_key=int(stored.public_key, 16),
        ethereum=stored.ethereum,
        created_at_ms=stored.created_at_ms,
        subkeys=tuple(
            Subkey(name=name, public_key=int(key, 16), created_at_ms=created, revoked_at_ms=revoked)
            for name, key, created, revoked in stored.subkeys
        ),
    )
