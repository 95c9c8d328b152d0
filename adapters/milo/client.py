"""Asking Milo: one endpoint, once, as one API key or as nobody."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from adapters.ccxt_venues.link import Link
from adapters.milo.accounts import TRADING_WALLET, Profile
from adapters.milo.api import NOTHING, Paid, Query
from adapters.milo.endpoints import GET_ME, PREFIX, Endpoint
from adapters.milo.limits import Pace
from adapters.milo.refusals import judge
from adapters.milo.wire import Body, Settlement, decoded, encoded
from adapters.transport import Reply, Request, Transport
from normalization.venue_failures import Reason, VenueRejected, VenueUnclear

T = TypeVar("T")

MAX_BODY: Final = 4 << 20
_PLACE: Final = re.compile(r"\{(\w+)\}")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RECEIPTS: Final = ("payment-response", "x-payment-response")


def link_to(host: str, transport: Transport) -> Link:
    return Link(exchange="milo", base_url=host + PREFIX, transport=transport, judge=judge)


async def ask_once(
    link: Link,
    endpoint: Endpoint[T],
    pace: Pace,
    *,
    ids: Mapping[str, str] = NOTHING,
    query: Query = NOTHING,
    body: Body | None = None,
    headers: Mapping[str, str] = NOTHING,
) -> tuple[T, Reply]:
    """What it answers, read and as it came.

    :raises VenueFailure: and nothing else.
    """
    request = Request(
        method=endpoint.method,
        url=_path(endpoint.path, ids) + _query(query),
        headers={**headers, "Content-Type": "application/json"} if body is not None else headers,
        body=None if body is None else encoded(body),
    )
    return await link.ask_whole(
        endpoint.action,
        request,
        lambda reply: (decoded(reply.body, endpoint.reply), reply),
        budgets=pace.of(endpoint.group),
        max_body=MAX_BODY,
    )


class MiloClient:
    """``adapters.milo.api.PartnerApi``. Who the key belongs to is asked once, before the first path that needs it."""

    def __init__(self, link: Link, pace: Pace, key: str) -> None:
        self._link = link
        self._pace = pace
        self._headers = {"X-API-Key": key}
        self._own: dict[str, str] | None = None

    async def profile(self) -> Profile:
        """Asked anew, so that it also tells whether the key is still good."""
        profile = await self.ask(GET_ME)
        self._own = _ids_of(profile)
        return profile

    async def own_ids(self) -> Mapping[str, str]:
        if self._own is None:
            await self.profile()
        return self._own or {}

    async def ask(
        self,
        endpoint: Endpoint[T],
        *,
        ids: Mapping[str, str] = NOTHING,
        query: Query = NOTHING,
        body: Body | None = None,
    ) -> T:
        found, _ = await ask_once(
            self._link,
            endpoint,
            self._pace,
            ids=await self._all_ids(endpoint, ids),
            query=query,
            body=body,
            headers=self._headers,
        )
        return found

    async def ask_paid(
        self, endpoint: Endpoint[T], paid: Paid | None, *, ids: Mapping[str, str] = NOTHING, body: Body
    ) -> tuple[T, Settlement | None]:
        proof = {} if paid is None else {paid.header: encoded(paid.payment).decode()}
        found, reply = await ask_once(
            self._link,
            endpoint,
            self._pace,
            ids=await self._all_ids(endpoint, ids),
            body=body,
            headers={**self._headers, **proof},
        )
        return found, settlement_in(reply)

    async def _all_ids(self, endpoint: Endpoint[T], ids: Mapping[str, str]) -> Mapping[str, str]:
        needs_own = "{userId}" in endpoint.path or "{walletId}" in endpoint.path
        return {**await self.own_ids(), **ids} if needs_own else ids


def settlement_in(reply: Reply) -> Settlement | None:
    """What the receipt says; None where there is none, or none that can be read: what was paid for is done."""
    for name in _RECEIPTS:
        if told := reply.headers.get(name):
            try:
                return decoded(base64.b64decode(told), Settlement)
            except (ValueError, msgspec.MsgspecError):
                return None
    return None


def _ids_of(profile: Profile) -> dict[str, str]:
    for wallet in profile.wallets:
        if wallet.type == TRADING_WALLET:
            return {"userId": profile.user.id, "walletId": wallet.id}
    raise VenueUnclear(Reason.OTHER, "Milo names no wallet that trades for this key")


def _path(template: str, ids: Mapping[str, str]) -> str:
    """:raises VenueRejected: an id that cannot be one: it could lead elsewhere."""

    def filled(place: re.Match[str]) -> str:
        if not _ID.fullmatch(ids[place[1]]):
            raise VenueRejected(Reason.NOT_FOUND, f"{place[1]} is no id of Milo's. Nothing was sent")
        return ids[place[1]]

    return _PLACE.sub(filled, template)


def _query(query: Query) -> str:
    given = {name: _query_text(value) for name, value in query.items() if value is not None}
    return "?" + urlencode(given) if given else ""


def _query_text(value: str | int | bool | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
