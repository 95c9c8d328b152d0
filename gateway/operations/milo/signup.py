"""``/me``, and signing up with a Solana wallet: the two operations that need no key, because they get one."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from adapters.base import Network
from adapters.milo.accounts import MessageAsked, Profile, Registered, Registration, Signed, SiwxData, ToSign
from adapters.milo.endpoints import GET_ME
from gateway.operations.milo.common import Address, MiloRequest, milo
from gateway.operations.wire import Call, Newcomer, PublicRequest, Reply

NetworkName = Annotated[
    Literal["mainnet", "paper"],
    Meta(description="mainnet is Milo itself, paper the local one; left out, the one that the key or gateway is for"),
]
Text = Annotated[str, Meta(max_length=4096)]


class GetMe(MiloRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> MeReply:
        return MeReply(data=(await milo(call).ask(GET_ME)))


class MeReply(Reply, frozen=True, kw_only=True):
    """The wallet of type ``milo`` trades: deposits go to its address."""

    data: Profile


class RequestSiwxMessage(PublicRequest, frozen=True, kw_only=True):
    account_address: Address
    chain_id: Annotated[
        str,
        Meta(
            pattern=r"^solana:[1-9A-HJ-NP-Za-km-z]{32}\Z",
            description="CAIP-2 chain id",
            examples=["solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"],
        ),
    ]
    invite_code: Annotated[str, Meta(min_length=1, max_length=200, description="Invite code")] | None = None
    network: NetworkName | None = None

    async def join(self, newcomer: Newcomer) -> MessageReply:
        asked = MessageAsked(
            account_address=self.account_address,
            chain_id=self.chain_id,
            invite_code=UNSET if self.invite_code is None else self.invite_code,
        )
        return MessageReply(data=await newcomer.message_to_sign(_network(self.network), asked))


class MessageReply(Reply, frozen=True, kw_only=True):
    """Sign ``message`` (its UTF-8 bytes) with the wallet's ed25519 key, and pass ``data`` on as it is."""

    data: ToSign


class SiwxFields(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """As miloRequestSiwxMessage returned it."""

    account_address: Text
    chain_id: Text
    domain: Text
    uri: Text
    version: Text
    nonce: Text
    issued_at: Text
    expiration_time: Text
    statement: Text


class Siwx(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``data`` and ``message`` exactly as they came; ``signature`` is the wallet's, in base58."""

    data: SiwxFields
    message: Text
    signature: Annotated[str, Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{64,88}\Z", description="Base58 signature")]


class Signup(PublicRequest, frozen=True, kw_only=True):
    signup_wallet: Address
    siwx: Siwx
    network: NetworkName | None = None

    async def join(self, newcomer: Newcomer) -> SignupReply:
        data = self.siwx.data
        registration = Registration(
            signup_wallet=self.signup_wallet,
            siwx=Signed(
                data=SiwxData(**{name: getattr(data, name) for name in data.__struct_fields__}),
                message=self.siwx.message,
                signature=self.siwx.signature,
            ),
        )
        joined = await newcomer.register(_network(self.network), registration)
        return SignupReply(
            data=joined.registered,
            account_id=joined.account_id,
            credential_id=joined.credential_id,
            api_key=joined.api_key or UNSET,
            hint=joined.hint or UNSET,
        )


class SignupReply(Reply, frozen=True, kw_only=True):
    """``data`` is Milo's answer, with Milo's own key; ``api_key`` is the gateway's, to send as X-API-Key from now on.

    Neither is shown again. ``api_key`` is left out where the request had a key: the credential is that account's.
    """

    data: Registered
    account_id: str | None
    credential_id: str | None
    api_key: str | UnsetType = UNSET
    hint: str | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"SignupReply({self.account_id}, keys hidden)"


def _network(name: str | None) -> Network | None:
    return None if name is None else Network(name)
