"""One network of one venue, spoken to through ccxt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import orjson

from adapters.base import OpenCredential, VenueSession
from adapters.ccxt_venues.bridge import unified
from adapters.ccxt_venues.bridge.library import exchange_class
from adapters.ccxt_venues.bridge.quirks import Quirks
from adapters.ccxt_venues.bridge.session import BridgedSession, UnderWay, under_way
from adapters.ccxt_venues.link import Link, judge_status
from adapters.ccxt_venues.markets import MAX_LIST, Listings
from adapters.ccxt_venues.refusals import Action, refusals_of
from adapters.ccxt_venues.venue import Site
from adapters.transport import Reply, Request
from normalization.resolver import Markets
from normalization.venue_failures import VenueFailure

_MINUTE_S: Final = 60.0


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """``template`` holds ccxt's own tables of the markets: every session uses the same ones."""

    names: unified.Names
    template: Any


class BridgedService:
    def __init__(self, site: Site, quirks: Quirks) -> None:
        self._site = site
        self._quirks = quirks
        self._urls = dict(quirks.urls(site.base_url))
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
        listed = await self._listings.get()
        config = self._quirks.config(credential.secrets, self._site.network)
        exchange = self._exchange(config)
        exchange.set_markets_from_exchange(listed.template)
        return BridgedSession(
            exchange=exchange, names=listed.names, quirks=self._quirks, now_ms=self._site.around.now_ms
        )

    async def close(self) -> None:
        await self._listings.close()

    def _exchange(self, config: Mapping[str, Any]) -> Any:
        guarded = exchange_class(self._quirks.ccxt_id)
        # One row of nonces for all signers of the venue: it has plenty, and two credentials may share a signer.
        exchange = guarded(config, self._send, lambda: self._site.nonces.next(self._site.exchange))
        exchange.urls["api"] = self._urls
        return exchange

    async def _fetch_listed(self) -> bytes:
        await asyncio.to_thread(exchange_class, self._quirks.ccxt_id)
        exchange = self._exchange({})
        token = under_way.set(UnderWay(Action.READ))
        try:
            listed = await exchange.fetch_markets()
        finally:
            under_way.reset(token)
        return orjson.dumps(listed, default=str)

    def _parse_listed(self, raw: bytes) -> Listed:
        listed = orjson.loads(raw)
        template = self._exchange({})
        template.set_markets(listed)
        return Listed(names=unified.names_of(self._site.exchange, listed), template=template)

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Any:
        """:raises VenueFailure: the request or its reply failed."""
        if urlsplit(url).netloc not in self._hosts:
            raise ValueError("an address that is not the venue's")
        call = under_way.get()
        request = Request(method=method, url=url, headers=headers, body=body)
        path = urlsplit(url).path

        def parse(raw: bytes) -> Any:
            document = decoded(raw)
            if not self._quirks.is_shaped(path, document):
                raise ValueError("a reply of another shape")
            return document

        call.has_sent = True
        return await self._link.ask(
            call.action, request, parse, max_body=MAX_LIST if "xchangeInfo" in path else 1 << 20
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


_decoder: Final = msgspec.json.Decoder(float_hook=str)


def decoded(raw: bytes) -> Any:
    """A venue's document, its decimals as they were written."""
    return _decoder.decode(raw)
