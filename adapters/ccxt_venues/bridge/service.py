"""One network of one venue, spoken to through ccxt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import orjson

from adapters.base import (
    BOUNDED,
    Capabilities,
    Capability,
    CredentialField,
    Network,
    OpenCredential,
    VenueSession,
)
from adapters.ccxt_venues.bridge.handing import HandedOver
from adapters.ccxt_venues.bridge.library import exchange_class, require
from adapters.ccxt_venues.bridge.quirks import Quirks, Urls
from adapters.ccxt_venues.bridge.session import BridgedSession, Tools, UnderWay, under_way
from adapters.ccxt_venues.bridge.unified import Listed, names_of
from adapters.ccxt_venues.link import Link, judge_status
from adapters.ccxt_venues.markets import MAX_LIST, Listings
from adapters.ccxt_venues.refusals import Action, refusals_of
from adapters.ccxt_venues.venue import Row, Site
from adapters.transport import Reply, Request
from normalization.resolver import Markets
from normalization.venue_failures import Reason, VenueFailure, VenueUnclear

_MINUTE_S: Final = 60.0


def bridged(
    exchange: str,
    *,
    quirks: Quirks,
    capabilities: Capabilities,
    credential_fields: Sequence[CredentialField],
    client_id: Callable[[bytes], str],
    describe: Callable[[Mapping[str, str]], str],
    session: type[BridgedSession] = BridgedSession,
) -> Row:
    """The row of a venue that ccxt speaks to: ``session`` where it has to be asked in ways of its own.

    Of the capabilities, the times in force and whether a cancel needs the market are what ``quirks`` says.
    """
    capabilities = msgspec.structs.replace(
        capabilities,
        times_in_force=frozenset(quirks.limit),
        needs_market_to_cancel=quirks.needs_market,
        emulated={Capability.MARKET_ORDER: BOUNDED, **capabilities.emulated},
    )
    return Row(
        exchange=exchange,
        hosts={network: _origin(next(iter(urls.values()))) for network, urls in quirks.urls.items()},
        capabilities=capabilities,
        credential_fields=credential_fields,
        client_id=client_id,
        describe=describe,
        serve=lambda site: BridgedService(site, quirks, credential_fields, session),
    )


class BridgedService:
    def __init__(
        self, site: Site, quirks: Quirks, fields: Sequence[CredentialField], session: type[BridgedSession]
    ) -> None:
        self._site = site
        self._quirks = quirks
        self._fields = fields
        self._session = session
        self._urls = urls_at(site, quirks.urls)
        self._hosts = {urlsplit(url).netloc for url in self._urls.values()}
        self._link = Link(
            exchange=site.exchange,
            base_url="",
            transport=site.around.transport,
            judge=self._judge,
            budgets=site.budgets(quirks.weight_per_minute, _MINUTE_S),
        )
        self._listings: Listings[Listed] = Listings(
            site.exchange,
            fetch=self._fetch_listed,
            parse=self._parse_listed,
            store=site.store,
            monotonic=site.around.monotonic,
        )

    async def markets(self) -> Markets:
        return (await self._listings.get()).names.markets

    async def open(self, credential: OpenCredential) -> VenueSession:
        require(self._site.exchange, self._quirks.needs)
        secrets = credential.secrets
        for field in self._fields:
            if field.name in secrets and field.check(secrets[field.name]) is not None:
                raise ValueError(f"{field.name} is malformed")
        listed = await self._listings.get()
        exchange = await asyncio.to_thread(self._exchange_of, credential)
        around = self._site.around
        tools = Tools(
            link=self._link,
            urls=self._urls,
            listings=self._listings,
            now_ms=around.now_ms,
            sleep=around.sleep,
            hidden=tuple(secrets[field.name] for field in self._fields if field.secret and secrets.get(field.name)),
        )
        return self._session(exchange, self._quirks, secrets, tools, listed)

    async def close(self) -> None:
        await self._listings.close()

    def _exchange_of(self, credential: OpenCredential) -> Any:
        """Takes a millisecond or two, and more where a venue's own library has to be loaded."""
        return self._exchange(self._quirks.config(credential.secrets, self._site.network))

    def _exchange(self, config: Mapping[str, Any]) -> Any:
        guarded = exchange_class(self._quirks)
        # One row of nonces for all signers of the venue: it has plenty, and two credentials may share a signer.
        exchange = guarded(config, self._send, lambda: self._site.nonces.next(self._site.exchange))
        if self._site.network is Network.TESTNET:
            exchange.set_sandbox_mode(True)
        exchange.urls["api"] = exchange.urls["test"] = self._urls
        return exchange

    async def _fetch_listed(self) -> bytes:
        """:raises VenueFailure: the venue did not answer, or not with a list of markets."""
        exchange = await asyncio.to_thread(self._exchange, {})
        token = under_way.set(UnderWay(Action.READ, max_body=MAX_LIST))
        try:
            listed = await exchange.fetch_markets()
        except VenueFailure:
            raise
        except Exception as problem:
            text = f"the list of markets could not be read: {type(problem).__name__}"
            raise VenueUnclear(Reason.OTHER, text) from problem
        finally:
            under_way.reset(token)
        return orjson.dumps(listed, default=str)

    def _parse_listed(self, raw: bytes) -> Listed:
        """:raises ValueError: there is no market in it, which is how ccxt reads nearly any reply of another shape."""
        listed = orjson.loads(raw)
        names = names_of(self._site.exchange, listed, self._quirks.quote)
        if not names.ours:
            raise ValueError("a list without a market")
        template = self._exchange({})
        template.set_markets(listed)
        return Listed(names=names, template=template)

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Any:
        """:raises VenueFailure: the request or its reply failed."""
        if urlsplit(url).netloc not in self._hosts:
            raise ValueError("an address that is not the venue's")
        call = under_way.get()
        request = Request(method=method, url=url, headers=headers, body=body)
        if call.in_threads:
            return await HandedOver(lambda: self._ask(call, request))
        return await self._ask(call, request)

    async def _ask(self, call: UnderWay, request: Request) -> Any:
        path = urlsplit(request.url).path

        def parse(raw: bytes) -> Any:
            document = decoded(raw)
            if not self._quirks.is_shaped(path, document):
                raise ValueError("a reply of another shape")
            return document

        call.has_sent = True
        return await self._link.ask(
            call.action, request, parse, weight=self._quirks.weight(path), max_body=call.max_body
        )

    def _judge(self, action: Action, reply: Reply) -> VenueFailure | None:
        if reply.status >= 500 or 300 <= reply.status < 400:
            return judge_status(action, reply)
        try:
            refused = self._quirks.refusal(reply.status, decoded(reply.body))
        except msgspec.MsgspecError:
            return judge_status(action, reply)
        if refused is None:
            return judge_status(action, reply)
        code, message = refused
        return refusals_of(self._site.exchange).judge(action, code=code, message=message)


def urls_at(site: Site, urls: Urls) -> dict[str, str]:
    """ccxt's addresses on that network, moved to where the site is served. Several hosts become folders there."""
    theirs = urls[Network.MAINNET if site.network is Network.PAPER else site.network]
    origins = {_origin(url) for url in theirs.values()}
    if site.base_url in origins:
        return dict(theirs)
    if len(origins) == 1:
        return {name: site.base_url + url.removeprefix(_origin(url)) for name, url in theirs.items()}
    return {name: f"{site.base_url}/{url.removeprefix('https://')}" for name, url in theirs.items()}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


_decoder: Final = msgspec.json.Decoder(float_hook=str)


def decoded(raw: bytes) -> Any:
    """A venue's document, its decimals as they were written."""
    return _decoder.decode(raw)
