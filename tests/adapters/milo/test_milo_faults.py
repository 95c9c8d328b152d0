"""What becomes of a request when the connection or the server fails: unclear, and sent once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from aiohttp import web

from adapters.base import Network, OpenCredential, Submission
from adapters.milo.adapter import MiloAdapter
from adapters.milo.endpoints import GET_HOLDINGS, PREFIX, SEND_TOKENS
from adapters.milo.session import MiloSession
from adapters.milo.tokens import MARKETS
from adapters.milo.trading import Sent
from adapters.transport import Transport
from gateway.clock import SystemClock
from gateway.local_venues import served
from normalization.orders import Limit, OrderIntent, Side
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueFailure,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)

KEY = "mk_test_canary0123456789"
SOL = MARKETS.resolve("SOL")
PROFILE = {
    "user": {"id": "u", "signupWalletId": "s", "provider": "siwx", "createdAt": "2025-01-01T00:00:00.000Z"},
    "wallets": [{"id": "w", "address": "A", "chain": "solana", "type": "milo"}],
}
BUY = Submission(
    intent=OrderIntent(symbol=SOL.symbol, side=Side.BUY, size=Decimal(1), execution=Limit(price=Decimal(90))),
    instrument=SOL,
    client_id="c",
    valid_until_ms=1,
)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Knows one key. ``answer`` is what comes of everything but ``GET /me``; ``asked`` counts that."""

    def __init__(self) -> None:
        self.answer: Answer = ok
        self.asked = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get(PREFIX + "/me", self._me)
        app.router.add_route("*", "/{path:.*}", self._anything)
        return app

    async def _me(self, request: web.Request) -> web.Response:
        return web.json_response(PROFILE)

    async def _anything(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        assert request.headers["X-API-Key"] == KEY
        return await self.answer(request)


async def ok(request: web.Request) -> web.StreamResponse:
    return web.json_response({"data": []})


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def cut_in_the_middle(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"data":{"data":{"id":"o"')
    assert request.transport is not None
    request.transport.close()
    return response


def with_body(status: int, body: bytes, content_type: str = "application/json", **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, content_type=content_type, headers=headers)

    return answer


@asynccontextmanager
async def opened(server: Server, elsewhere: str | None = None) -> AsyncIterator[MiloSession]:
    transport, clock = Transport(), SystemClock()
    async with served(server.app()) as url:
        adapter = MiloAdapter(
            transport=transport, monotonic=clock.monotonic, sleep=clock.sleep, paper_url=elsewhere or url
        )
        credential = OpenCredential(
            credential_id="c", account_id="a", exchange="milo", network=Network.PAPER, secrets={"api_key": KEY}
        )
        try:
            yield await adapter.open(credential)
        finally:
            await transport.close()


FAULTS = {
    "the connection is cut": cut,
    "the answer is cut": cut_in_the_middle,
    "a page": with_body(200, b"<html>Gateway</html>", "text/html"),
    "nothing": with_body(201, b""),
    "half a document": with_body(201, b'{"data":{"data":{"id":"o","status":"act'),
    "another document": with_body(201, b'{"data":{"ok":true}}'),
    "a name twice": with_body(201, b'{"data":{"data":{"id":"o","id":"p","type":"buy","status":"active"}}}'),
    "a status nobody knows": with_body(201, b'{"data":{"data":{"id":"o","type":"buy","status":"frozen"}}}'),
    "a refusal without an envelope": with_body(400, b"Bad Request", "text/plain"),
    "an internal error": with_body(500, b'{"error":{"code":"internal_error","message":"oops"}}'),
    "a bad gateway": with_body(502, b"<html></html>", "text/html"),
    "a redirect": with_body(307, b"", Location="/api/v1/elsewhere"),
    "more than anybody reads": with_body(201, b"[" + b" " * (5 << 20) + b"]"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_write_that_was_not_answered_properly_is_unclear_and_was_sent_once(fault: str) -> None:
    server = Server()
    server.answer = FAULTS[fault]
    async with opened(server) as session:
        with pytest.raises(VenueUnclear):
            await session.place_order(BUY)
        assert server.asked == 1
        with pytest.raises(VenueUnclear):
            await session.partner_api.ask(SEND_TOKENS, body=Sent(recipient="r", token="t", amount=Decimal(1)))
        assert server.asked == 2


async def test_a_caller_who_gives_up_on_a_silent_milo_has_asked_once() -> None:
    server, arrived, silence = Server(), asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await silence.wait()
        return web.Response()

    server.answer = hang
    async with opened(server) as session:
        placing = asyncio.create_task(session.place_order(BUY))
        async with asyncio.timeout(5):
            await arrived.wait()
        placing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await placing
        silence.set()
    assert server.asked == 1


async def test_a_milo_that_is_not_there_was_sent_nothing() -> None:
    async with opened(Server(), "http://127.0.0.1:1") as session:
        with pytest.raises(VenueNotReached):
            await session.place_order(BUY)


@pytest.mark.parametrize("reading", ["positions", "me"])
async def test_what_goes_wrong_before_an_order_is_sent_is_not_sent(reading: str) -> None:
    server = Server()
    server.answer = with_body(500, b"oops")
    selling = Submission(
        intent=OrderIntent(
            symbol=SOL.symbol, side=Side.SELL, size=Decimal(1), execution=Limit(price=Decimal(9)), reduce_only=True
        ),
        instrument=SOL,
        client_id="c",
        valid_until_ms=1,
    )
    async with opened(server) as session:
        if reading == "positions":
            with pytest.raises(VenueNotReached):
                await session.place_order(selling)
        else:
            with pytest.raises(VenueFailure) as failed:
                await session.get_balance()
            assert not isinstance(failed.value, VenueRejected)


async def test_too_many_requests_hold_back_the_next_ones_for_as_long_as_milo_says() -> None:
    server = Server()
    server.answer = with_body(
        429, b'{"error":{"code":"rate_limit_exceeded","message":"slow down"}}', **{"Retry-After": "40"}
    )
    async with opened(server) as session:
        for _ in range(3):
            with pytest.raises(VenueDeferred) as refused:
                await session.partner_api.ask(GET_HOLDINGS)
            assert refused.value.reason is Reason.VENUE_RATE_LIMITED
            assert refused.value.retry_after_s in (39, 40)
    assert server.asked == 1


async def test_a_refusal_that_repeats_our_key_does_not_show_it() -> None:
    server = Server()
    server.answer = with_body(400, b'{"error":{"code":"bad_request","message":"' + KEY.encode() + b' is bad"}}')
    async with opened(server) as session:
        with pytest.raises(VenueRejected) as refused:
            await session.place_order(BUY)
    assert KEY not in refused.value.text
