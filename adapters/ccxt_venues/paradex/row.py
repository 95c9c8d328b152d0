"""What is true of Paradex, and what serves one of its networks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec

from adapters.base import (
    BOUNDED,
    NATIVE,
    Capabilities,
    Capability,
    CredentialField,
    Dedupe,
    Network,
    OpenCredential,
    TriggerSource,
    VenueSession,
)
from adapters.ccxt_venues.limits import Budget
from adapters.ccxt_venues.link import Link, judge_status, retry_after_s
from adapters.ccxt_venues.markets import MAX_LIST, Listings
from adapters.ccxt_venues.paradex.client import AccountBudgets, Client
from adapters.ccxt_venues.paradex.reads import Listed, parse_listed
from adapters.ccxt_venues.paradex.session import ParadexSession
from adapters.ccxt_venues.paradex.signing import Signer
from adapters.ccxt_venues.paradex.wire import Refusal
from adapters.ccxt_venues.refusals import Action, refusals_of
from adapters.ccxt_venues.secret_checks import starknet_address, starknet_key
from adapters.ccxt_venues.venue import Row, Site
from adapters.transport import Reply, Request
from normalization.orders import TimeInForce
from normalization.resolver import Markets
from normalization.venue_failures import Reason, VenueDeferred, VenueFailure

CAPABILITIES: Final = Capabilities(
    supports=NATIVE,
    emulated={Capability.MARKET_ORDER: BOUNDED},
    native_batch_size=10,
    times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    request_expiry=True,
    lookup_includes_finished=True,
    trigger_source=TriggerSource.MARK,
    client_id="32 hex digits",
    dedupe=Dedupe.OPEN_ORDERS,
    least_privilege="a subkey: trades, cannot withdraw",
)

CREDENTIAL_FIELDS: Final = (
    CredentialField(
        name="account_address",
        description="Starknet address of the account",
        secret=False,
        check=starknet_address,
    ),
    CredentialField(
        name="private_key",
        description="Private key of a subkey registered on the account: it can trade but not withdraw",
        check=starknet_key,
    ),
)

# https://docs.paradex.trade, "Rate limits": by address, and by account for orders and for private reads.
_ADDRESS_PER_MINUTE: Final = 1_500
_ORDERS_PER_MINUTE: Final = 17_250
_READS_PER_MINUTE: Final = 600
_MINUTE_S: Final = 60.0

_refusal: Final = msgspec.json.Decoder(Refusal)


class ParadexService:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._link = Link(
            exchange=site.exchange,
            base_url=site.base_url,
            transport=site.around.transport,
            judge=judge,
            budgets=site.budgets(_ADDRESS_PER_MINUTE, _MINUTE_S),
        )
        self._listings: Listings[Listed] = Listings(
            site.exchange,
            fetch=self._fetch_listed,
            parse=partial(parse_listed, mainnet=site.network is Network.MAINNET),
            store=site.store,
            monotonic=site.around.monotonic,
        )
        self._budgets: dict[int, AccountBudgets] = {}
        self._signing = asyncio.Lock()

    async def markets(self) -> Markets:
        return (await self._listings.get()).markets

    async def open(self, credential: OpenCredential) -> VenueSession:
        around = self._site.around
        account = credential.secrets["account_address"].lower()
        chain_id = (await self._listings.get()).config.starknet_chain_id
        signer = Signer(credential.secrets["private_key"], account, chain_id)
        client = Client(
            link=self._link,
            signer=signer,
            account=account,
            signing=self._signing,
            budgets=self._budgets_of(int(account, 16)),
            now_ms=around.now_ms,
            monotonic=around.monotonic,
        )
        return ParadexSession(
            client=client,
            listings=self._listings,
            signer=signer,
            account=account,
            nonces=self._site.nonces,
            refusals=refusals_of("paradex"),
            signing=self._signing,
            now_ms=around.now_ms,
            sleep=around.sleep,
        )

    async def close(self) -> None:
        await self._listings.close()

    def _budgets_of(self, account: int) -> AccountBudgets:
        """An account has one budget, however many sessions use it."""
        found = self._budgets.get(account)
        if found is None:
            orders: tuple[Budget, ...] = self._site.budgets(_ORDERS_PER_MINUTE, _MINUTE_S)
            reads = self._site.budgets(_READS_PER_MINUTE, _MINUTE_S)
            found = self._budgets[account] = AccountBudgets(orders=orders, reads=reads)
        return found

    async def _fetch_listed(self) -> bytes:
        config, markets = await asyncio.gather(self._document("/v1/system/config"), self._document("/v1/markets"))
        return b'{"config":' + config + b',"markets":' + markets + b"}"

    async def _document(self, path: str) -> bytes:
        request = Request(method="GET", url=path)
        return await self._link.ask(Action.READ, request, _whole, max_body=MAX_LIST)


def judge(action: Action, reply: Reply) -> VenueFailure | None:
    """A refusal has a code and a message; one from a server in trouble proves nothing, whatever it says."""
    if 200 <= reply.status < 300:
        return None
    if reply.status == 429 and "x-ratelimit-limit" in reply.headers:
        return VenueDeferred(Reason.VENUE_RATE_LIMITED, "too many requests", retry_after_s=retry_after_s(reply))
    if reply.status < 400 or reply.status >= 500:
        return judge_status(action, reply)
    try:
        refusal = _refusal.decode(reply.body)
    except msgspec.MsgspecError:
        return judge_status(action, reply)
    if not refusal.error and not refusal.message:
        return judge_status(action, reply)
    return refusals_of("paradex").judge(action, code=refusal.error, message=refusal.message or refusal.error)


def client_id(token: bytes) -> str:
    return token.hex()


def describe(secrets: Mapping[str, str]) -> str:
    return secrets.get("account_address", "")


def _whole(body: bytes) -> bytes:
    msgspec.json.decode(body)
    return body


PARADEX: Final = Row(
    exchange="paradex",
    hosts={
        Network.MAINNET: "https://api.prod.paradex.trade",
        Network.TESTNET: "https://api.testnet.paradex.trade",
    },
    capabilities=CAPABILITIES,
    credential_fields=CREDENTIAL_FIELDS,
    client_id=client_id,
    describe=describe,
    serve=ParadexService,
)
