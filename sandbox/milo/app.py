"""The API on aiohttp: bytes to the venue and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.milo.errors import ApiError, bad_request, not_found
from sandbox.milo.handling import Request
from sandbox.milo.loopback import add_loopback_routes
from sandbox.milo.routes import PREFIX, ROUTES, Route
from sandbox.milo.venue import MiloVenue
from sandbox.milo.wire import encoded

MOST_BODY_BYTES: Final = 65_536


def make_app(venue: MiloVenue) -> web.Application:
    """Serve ``venue`` alone: it is started and closed with the application."""
    app = web.Application(client_max_size=MOST_BODY_BYTES)

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        await venue.start()
        yield
        await venue.close()

    add_routes(app, venue)
    app.cleanup_ctx.append(lifetime)
    return app


def add_routes(app: web.Application, venue: MiloVenue) -> None:
    """The API under its prefix, and what is for the same machine only, beside whatever else the application serves."""
    for route in ROUTES:
        app.router.add_route(route.method, PREFIX + route.path, _handler(venue, route))
    app.router.add_route("*", PREFIX + "/{path:.*}", _nothing_here)
    add_loopback_routes(app, venue)


def _handler(venue: MiloVenue, route: Route) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refused(_too_large())
        if len(body) > MOST_BODY_BYTES:
            return _refused(_too_large())
        answer = await venue.answer(
            Request(
                route=route,
                path=dict(request.match_info),
                query=dict(request.query),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=body,
                remote=request.remote or "",
                url=str(request.url.with_query(None)),
            )
        )
        return web.Response(
            status=answer.status, body=answer.body, content_type="application/json", headers=answer.headers
        )

    return handle


def _too_large() -> ApiError:
    return bad_request(f"The body is larger than {MOST_BODY_BYTES} bytes")


async def _nothing_here(request: web.Request) -> web.Response:
    return _refused(not_found(f"{request.method} {request.path[:100]}"))


def _refused(refusal: ApiError) -> web.Response:
    return web.Response(status=refusal.status, body=encoded(refusal.body()), content_type="application/json")
