"""The venue's HTTP under ``/v1``, and, on the loopback only, ``/sandbox`` for what has no protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from normalization.venue_failures import VenueFailure
from sandbox.paradex import market_views
from sandbox.paradex.access import FAUCET_USDC
from sandbox.paradex.account_views import account_info
from sandbox.paradex.errors import ApiError, bad_parameter, unbound
from sandbox.paradex.orders import ModifyRequest, Number, OrderRequest, order_shown
from sandbox.paradex.pages import page_of, paged
from sandbox.paradex.system import CONFIG
from sandbox.paradex.tokens import Claims
from sandbox.paradex.trading import CancelBatch, MarginRequest
from sandbox.paradex.venue import ParadexVenue
from sandbox.wires.control import control_routes
from sandbox.wires.faults import fault_middleware

_MAX_BODY: Final = 2**20
_DEFAULT_DEPTH: Final = 20

Private = Callable[[web.Request, Claims], Awaitable[web.StreamResponse]]


class Funding(msgspec.Struct, frozen=True):
    public_key: str
    usdc: Number = str(FAUCET_USDC)


def make_app(venue: ParadexVenue) -> web.Application:
    """Serve ``venue``, which is started and closed with the application."""
    app = web.Application(middlewares=[fault_middleware(venue.faults), _told_in_json], client_max_size=_MAX_BODY)

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        await venue.start()
        settling = asyncio.create_task(venue.desk.keep_settling())
        yield
        settling.cancel()
        with suppress(asyncio.CancelledError):
            await settling
        await venue.close()

    async def fund(request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=Funding)
        account = await venue.admit(int(asked.public_key, 16), Decimal(asked.usdc))
        return _json({"account": account})

    _public_routes(app, venue)
    _access_routes(app, venue)
    _order_routes(app, venue)
    _account_routes(app, venue)
    control_routes(app, venue.faults, fund)
    app.cleanup_ctx.append(lifetime)
    return app


@web.middleware
async def _told_in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal in the venue's one shape."""
    try:
        return await handler(request)
    except ApiError as refusal:
        return _json(refusal.body(), refusal.status)
    except msgspec.DecodeError as error:
        if request.path.startswith("/sandbox/"):
            raise
        return _json(unbound(str(error)).body(), 400)
    except web.HTTPNotFound:
        if request.path.startswith("/sandbox/"):
            raise
        return _json(ApiError(404, "NOT_FOUND", "not found").body(), 404)
    except VenueFailure as failure:
        return _json(ApiError(503, "SERVICE_UNAVAILABLE", failure.text).body(), 503)


def _public_routes(app: web.Application, venue: ParadexVenue) -> None:
    async def config(_: web.Request) -> web.Response:
        return _json(CONFIG)

    async def time(_: web.Request) -> web.Response:
        return _json({"server_time": str(venue.now_ms())})

    async def state(_: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def key_set(_: web.Request) -> web.Response:
        return _json(venue.parts.access.key_set)

    async def markets(request: web.Request) -> web.Response:
        chosen = _symbols(venue, request.query.get("market") or "ALL")
        return _results([market_views.market_shown(venue.instruments[symbol]) for symbol in chosen])

    async def summaries(request: web.Request) -> web.Response:
        market = request.query.get("market")
        if not market:
            raise bad_parameter("market is required")
        chosen = _symbols(venue, market)
        return _results(
            await venue.exchange.read(lambda engine: [market_views.summary(engine, symbol) for symbol in chosen])
        )

    async def orderbook(request: web.Request) -> web.Response:
        market, depth = request.match_info["market"], request.query.get("depth", str(_DEFAULT_DEPTH))
        if not depth.isdecimal():
            raise bad_parameter("depth must be a whole number")
        return _json(await venue.exchange.read(lambda engine: market_views.orderbook(engine, market, int(depth[:6]))))

    async def best_prices(request: web.Request) -> web.Response:
        market = request.match_info["market"]
        return _json(await venue.exchange.read(lambda engine: market_views.best_prices(engine, market)))

    async def klines(request: web.Request) -> web.Response:
        page = page_of(request.query)
        return _json(await venue.exchange.read(lambda engine: market_views.klines(engine, request.query, page)))

    async def funding(request: web.Request) -> web.Response:
        page, market = page_of(request.query), request.query.get("market", "")
        found = await venue.exchange.read(lambda engine: market_views.funding_data(engine, market, page))
        return _json(paged(page, found))

    async def nothing_yet(request: web.Request) -> web.Response:
        return _json(paged(page_of(request.query), []))

    for path, handler in (
        ("/v1/system/config", config),
        ("/v1/system/time", time),
        ("/v1/system/state", state),
        ("/v1/jwks.json", key_set),
        ("/v1/markets", markets),
        ("/v1/markets/summary", summaries),
        ("/v1/markets/klines", klines),
        ("/v1/orderbook/{market}", orderbook),
        ("/v1/orderbook/{market}/interactive", orderbook),
        ("/v1/bbo/{market}", best_prices),
        ("/v1/bbo/{market}/interactive", best_prices),
        ("/v1/funding/data", funding),
        ("/v1/trades", nothing_yet),
    ):
        app.router.add_get(path, handler)


def _access_routes(app: web.Application, venue: ParadexVenue) -> None:
    async def onboard(request: web.Request) -> web.Response:
        await venue.parts.access.onboard(request.headers, await request.read())
        return _json({})

    async def authenticate(request: web.Request) -> web.Response:
        key = request.match_info.get("public_key")
        return _json({"jwt_token": await venue.parts.access.authenticate(request.headers, key)})

    async def subkeys(request: web.Request, claims: Claims) -> web.Response:
        with_revoked = request.query.get("with_revoked") == "true"
        return _results(venue.parts.access.subkeys(claims, with_revoked=with_revoked))

    async def add_subkey(request: web.Request, claims: Claims) -> web.Response:
        await venue.parts.access.add_subkey(claims, await request.read())
        return web.Response(status=201)

    async def revoke_subkey(request: web.Request, claims: Claims) -> web.Response:
        key = request.match_info["public_key"]
        await venue.parts.access.revoke_subkey(claims, key)
        return _json({"public_key": key})

    app.router.add_post("/v1/onboarding", onboard)
    app.router.add_post("/v1/auth", authenticate)
    app.router.add_post("/v1/auth/{public_key}", authenticate)
    app.router.add_get("/v1/account/keys/subkeys", _private(venue, subkeys))
    app.router.add_post("/v1/account/keys/subkeys", _private(venue, add_subkey))
    app.router.add_delete("/v1/account/keys/subkeys/{public_key}", _private(venue, revoke_subkey))


def _order_routes(app: web.Application, venue: ParadexVenue) -> None:
    async def place(request: web.Request, claims: Claims) -> web.Response:
        order = msgspec.json.decode(await request.read(), type=OrderRequest)
        return _json(await venue.parts.trading.place(claims.sub, order), 201)

    async def place_batch(request: web.Request, claims: Claims) -> web.Response:
        orders = msgspec.json.decode(await request.read(), type=tuple[OrderRequest, ...])
        return _json(await venue.parts.trading.place_batch(claims.sub, orders), 201)

    async def modify(request: web.Request, claims: Claims) -> web.Response:
        change = msgspec.json.decode(await request.read(), type=ModifyRequest)
        return _json(await venue.parts.trading.modify(claims.sub, request.match_info["id"], change))

    async def open_orders(request: web.Request, claims: Claims) -> web.Response:
        return _results(await venue.parts.account.open_orders(claims.sub, request.query))

    async def one(request: web.Request, claims: Claims) -> web.Response:
        return _json(order_shown(await venue.parts.trading.standing(claims.sub, request.match_info["id"])))

    async def one_by_client_id(request: web.Request, claims: Claims) -> web.Response:
        client_id = request.match_info["client_id"]
        return _json(order_shown(await venue.parts.trading.standing_by_client_id(claims.sub, client_id)))

    async def cancel(request: web.Request, claims: Claims) -> web.Response:
        trading = venue.parts.trading
        await trading.cancel(claims.sub, await trading.record(claims.sub, request.match_info["id"]))
        return web.Response(status=204)

    async def cancel_by_client_id(request: web.Request, claims: Claims) -> web.Response:
        trading = venue.parts.trading
        standing = await trading.standing_by_client_id(claims.sub, request.match_info["client_id"])
        await trading.cancel(claims.sub, standing.record)
        return web.Response(status=204)

    async def cancel_all(request: web.Request, claims: Claims) -> web.Response:
        await venue.parts.trading.cancel_all(claims.sub, request.query.get("market"))
        return _json({})

    async def cancel_batch(request: web.Request, claims: Claims) -> web.Response:
        batch = msgspec.json.decode(await request.read(), type=CancelBatch)
        return _results(await venue.parts.trading.cancel_batch(claims.sub, batch))

    async def no_algos(request: web.Request, claims: Claims) -> web.Response:
        return _results([])

    async def no_algo(request: web.Request, claims: Claims) -> web.Response:
        raise ApiError(400, "VALIDATION_ERROR", "algorithmic orders are not available here")

    for method, path, handler in (
        ("POST", "/v1/orders", place),
        ("POST", "/v1/orders/batch", place_batch),
        ("DELETE", "/v1/orders/batch", cancel_batch),
        ("GET", "/v1/orders", open_orders),
        ("DELETE", "/v1/orders", cancel_all),
        ("GET", "/v1/orders/by_client_id/{client_id}", one_by_client_id),
        ("DELETE", "/v1/orders/by_client_id/{client_id}", cancel_by_client_id),
        ("GET", "/v1/orders/{id}", one),
        ("PUT", "/v1/orders/{id}", modify),
        ("DELETE", "/v1/orders/{id}", cancel),
        ("GET", "/v1/algo/orders", no_algos),
        ("POST", "/v1/algo/orders", no_algo),
    ):
        app.router.add_route(method, path, _private(venue, handler))


def _account_routes(app: web.Application, venue: ParadexVenue) -> None:
    async def account(request: web.Request, claims: Claims) -> web.Response:
        return _json(await venue.parts.account.account(claims.sub))

    async def summary(request: web.Request, claims: Claims) -> web.Response:
        return _results([await venue.parts.account.account(claims.sub)])

    async def info(request: web.Request, claims: Claims) -> web.Response:
        return _results([account_info(venue.parts.access.member(claims.sub))])

    async def balance(request: web.Request, claims: Claims) -> web.Response:
        return _results(await venue.parts.account.balance(claims.sub))

    async def positions(request: web.Request, claims: Claims) -> web.Response:
        return _results(await venue.parts.account.positions(claims.sub))

    async def history(request: web.Request, claims: Claims) -> web.Response:
        return _json(await venue.parts.account.orders_history(claims.sub, request.query))

    async def fills(request: web.Request, claims: Claims) -> web.Response:
        return _json(await venue.parts.account.fills(claims.sub, request.query))

    async def payments(request: web.Request, claims: Claims) -> web.Response:
        return _json(await venue.parts.account.funding_payments(claims.sub, request.query))

    async def margin(request: web.Request, claims: Claims) -> web.Response:
        return _json(await venue.parts.account.margin(claims.sub, request.query))

    async def set_margin(request: web.Request, claims: Claims) -> web.Response:
        change = msgspec.json.decode(await request.read(), type=MarginRequest)
        market = request.match_info["market"]
        return _json(await venue.parts.trading.set_margin(claims.sub, market, change))

    async def none_of_them(request: web.Request, claims: Claims) -> web.Response:
        return _json(paged(page_of(request.query), []))

    for path, handler in (
        ("/v1/account", account),
        ("/v1/account/summary", summary),
        ("/v1/account/info", info),
        ("/v1/account/subaccounts", none_of_them),
        ("/v1/account/margin", margin),
        ("/v1/balance", balance),
        ("/v1/positions", positions),
        ("/v1/orders-history", history),
        ("/v1/fills", fills),
        ("/v1/funding/payments", payments),
        ("/v1/liquidations", none_of_them),
        ("/v1/transfers", none_of_them),
        ("/v1/tradebusts", none_of_them),
        ("/v1/transactions", none_of_them),
    ):
        app.router.add_get(path, _private(venue, handler))
    app.router.add_post("/v1/account/margin/{market}", _private(venue, set_margin))


def _private(venue: ParadexVenue, handler: Private) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        claims = venue.parts.access.claims(request.headers)
        await venue.desk.settle(claims.sub)
        return await handler(request, claims)

    return guarded


def _symbols(venue: ParadexVenue, market: str) -> list[str]:
    if market == "ALL":
        return list(venue.instruments)
    if market not in venue.instruments:
        raise ApiError(404, "MARKET_NOT_FOUND", f"market not found: {market[:40]}")
    return [market]


def _json(answer: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(answer), content_type="application/json")


def _results(results: list[Any]) -> web.Response:
    return _json({"results": results})
