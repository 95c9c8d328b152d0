"""What is true of Hyperliquid, and what serves one of its networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adapters.base import (
    BOUNDED,
    NATIVE,
    Capabilities,
    Capability,
    CredentialField,
    Network,
    OpenCredential,
    TriggerSource,
    VenueSession,
)
from adapters.ccxt_venues.hyperliquid.reads import Listed, parse_listed
from adapters.ccxt_venues.hyperliquid.session import HyperliquidSession
from adapters.ccxt_venues.hyperliquid.signing import Signer
from adapters.ccxt_venues.link import Link, judge_status
from adapters.ccxt_venues.markets import MAX_LIST, Listings
from adapters.ccxt_venues.refusals import Action, refusals_of
from adapters.ccxt_venues.secret_checks import ethereum_address, ethereum_key
from adapters.ccxt_venues.venue import Row, Site
from adapters.transport import Reply, Request
from normalization.orders import TimeInForce
from normalization.resolver import Markets
from normalization.venue_failures import Reason, VenueDeferred, VenueFailure

CAPABILITIES: Final = Capabilities(
    supports=NATIVE,
    emulated={
        Capability.MARKET_ORDER: BOUNDED,
        Capability.CANCEL_ALL: "what is listed is canceled in one request",
    },
    native_batch_size=40,
    times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    request_expiry=True,
    lookup_includes_finished=True,
    trigger_source=TriggerSource.MARK,
    client_id="0x and 32 hex digits",
    least_privilege="an API wallet: trades, cannot withdraw",
)

CREDENTIAL_FIELDS: Final = (
    CredentialField(
        name="account_address",
        description="Address of the account that trades, not of its API wallet",
        secret=False,
        check=ethereum_address,
    ),
    CredentialField(
        name="private_key",
        description="Private key of an API wallet approved for the account: it can trade but not withdraw",
        check=ethereum_key,
    ),
    CredentialField(
        name="vault_address",
        description="Address of the sub-account or vault to trade for, where it is not the account itself",
        secret=False,
        required=False,
        check=ethereum_address,
    ),
)

# The venue counts by address: https://hyperliquid.gitbook.io, "Rate limits and user limits".
_WEIGHT_PER_MINUTE: Final = 1_200
_MINUTE_S: Final = 60.0


class HyperliquidService:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._link = Link(
            exchange=site.exchange,
            base_url=site.base_url,
            transport=site.around.transport,
            judge=judge,
            budgets=site.budgets(_WEIGHT_PER_MINUTE, _MINUTE_S),
        )
        self._listings: Listings[Listed] = Listings(
            site.exchange,
            fetch=self._fetch_listed,
            parse=parse_listed,
            store=site.store,
            monotonic=site.around.monotonic,
        )

    async def markets(self) -> Markets:
        return (await self._listings.get()).markets

    async def open(self, credential: OpenCredential) -> VenueSession:
        secrets = credential.secrets
        vault = secrets.get("vault_address", "").lower() or None
        return HyperliquidSession(
            link=self._link,
            listings=self._listings,
            signer=Signer(secrets["private_key"], mainnet=self._site.network is Network.MAINNET),
            account=vault or secrets["account_address"].lower(),
            master=secrets["account_address"].lower(),
            vault=vault,
            nonces=self._site.nonces,
            refusals=refusals_of("hyperliquid"),
            now_ms=self._site.around.now_ms,
        )

    async def close(self) -> None:
        await self._listings.close()

    async def _fetch_listed(self) -> bytes:
        request = Request(
            method="POST", url="/info", headers={"Content-Type": "application/json"}, body=b'{"type":"meta"}'
        )
        return await self._link.ask(Action.READ, request, _well_formed, weight=20, max_body=MAX_LIST)


def judge(action: Action, reply: Reply) -> VenueFailure | None:
    """Refusals arrive with status 200 and are judged by the parsers; others say what they are in their text."""
    if reply.status == 429 and reply.body.strip() == b"null":
        return VenueDeferred(Reason.VENUE_RATE_LIMITED, "too many requests from this address", retry_after_s=2)
    if reply.status == 422:
        return refusals_of("hyperliquid").judge(action, message=reply.body[:1000].decode("utf-8", "replace"))
    return judge_status(action, reply)


def client_id(token: bytes) -> str:
    return f"0x{token.hex()}"


def describe(secrets: Mapping[str, str]) -> str:
    return secrets.get("vault_address") or secrets.get("account_address", "")


def _well_formed(body: bytes) -> bytes:
    parse_listed(body)
    return body


HYPERLIQUID: Final = Row(
    exchange="hyperliquid",
    hosts={
        Network.MAINNET: "https://api.hyperliquid.xyz",
        Network.TESTNET: "https://api.hyperliquid-testnet.xyz",
    },
    capabilities=CAPABILITIES,
    credential_fields=CREDENTIAL_FIELDS,
    client_id=client_id,
    describe=describe,
    serve=HyperliquidService,
)
