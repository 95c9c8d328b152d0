"""The same job in the usual stack: FastAPI, pydantic, the ``limits`` package in memory, uvicorn.

Keys are looked up by HMAC digest in a dict; the minute and the day are counted per account; the body is a pydantic
model; scope, credential and symbol are checked; the answer has the same body and headers as the gateway's.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import socket
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from pydantic import BaseModel, ConfigDict, Field

from benchmarks.servers.serving import Serving
from benchmarks.wire import Caller

_PEPPER: Final = secrets.token_bytes(32)
WINDOWS: Final = (("Minute", RateLimitItemPerMinute(600)), ("Day", RateLimitItemPerDay(500_000)))
_TICK: Final = Decimal("0.1")
_LOT: Final = Decimal("0.001")
_SYMBOLS: Final = {f"{base}-USD-PERP": base for base in ("BTC", "ETH", "SOL", "DOGE", "XRP", "AVAX", "LINK", "ARB")}


class Key(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str
    digest: bytes
    operations: frozenset[str]
    credentials: frozenset[str]


class PlaceLimitOrder(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: Literal["placeLimitOrder"]
    credentialId: uuid.UUID
    market: Annotated[str, Field(min_length=1, max_length=80)]
    side: Literal["BUY", "SELL"]
    size: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
    price: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
    postOnly: bool = False
    reduceOnly: bool = False
    clientOrderId: Annotated[str, Field(pattern=r"^[!-~]{1,64}$")] | None = None


class LimitOrderReply(BaseModel):
    success: bool = True
    orderId: str
    status: str
    clientOrderId: str
    market: str
    side: str
    size: str
    price: str


class Service:
    """What the route depends on."""

    def __init__(self, callers: list[Caller]) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._keys: dict[bytes, Key] = {}
        for caller in callers:
            digest = _digest(caller.key)
            self._keys[digest] = Key(
                account_id=str(uuid.uuid4()),
                digest=digest,
                operations=frozenset({"placeLimitOrder", "getMarkPrice"}),
                credentials=frozenset({caller.credential_id}),
            )

    def authenticate(self, api_key: str) -> Key:
        digest = _digest(api_key)
        key = self._keys.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest):
            raise HTTPException(401, "There is no such API key")
        return key

    def charge(self, key: Key, response: Response) -> None:
        """Count the request and say what is left."""
        limiter, account_id = self._limiter, key.account_id
        if not all(limiter.hit(limit, account_id) for _, limit in WINDOWS):
            raise HTTPException(429, "Rate limit exceeded")
        for name, limit in WINDOWS:
            set_remaining(response, name, limit, limiter.get_window_stats(limit, account_id).remaining)

    def place(self, key: Key, order: PlaceLimitOrder) -> LimitOrderReply:
        if order.operation not in key.operations:
            raise HTTPException(403, "This key may not do that")
        if str(order.credentialId) not in key.credentials:
            raise HTTPException(403, "This key may not use that credential")
        if order.market not in _SYMBOLS:
            raise HTTPException(400, "There is no such market")
        if order.price % _TICK or order.size % _LOT:
            raise HTTPException(400, "Price and size must lie on the market's steps")
        return LimitOrderReply(
            orderId="1",
            status="OPEN",
            clientOrderId=order.clientOrderId or secrets.token_hex(12),
            market=order.market,
            side=order.side,
            size=f"{order.size:f}",
            price=f"{order.price.quantize(_TICK):f}",
        )


async def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def authenticated(service: Annotated[Service, Depends(service_of)], x_api_key: Annotated[str, Header()]) -> Key:
    return service.authenticate(x_api_key)


async def v1(
    order: PlaceLimitOrder,
    response: Response,
    service: Annotated[Service, Depends(service_of)],
    key: Annotated[Key, Depends(authenticated)],
) -> LimitOrderReply:
    started = time.monotonic()
    service.charge(key, response)
    reply = service.place(key, order)
    set_headers(response, started)
    return reply


def set_remaining(response: Response, window: str, limit: RateLimitItem, remaining: int) -> None:
    response.headers[f"X-RateLimit-Limit-{window}"] = str(limit.amount)
    response.headers[f"X-RateLimit-Remaining-{window}"] = str(remaining)


def set_headers(response: Response, started: float) -> None:
    milliseconds = (time.monotonic() - started) * 1000
    response.headers["X-Request-Id"] = str(uuid.uuid4())
    response.headers["X-Request-Duration-Ms"] = f"{milliseconds:.2f}"
    response.headers["Server-Timing"] = f"venue;dur={milliseconds:.2f}"
    response.headers["Cache-Control"] = "no-store"


def application(callers: list[Caller]) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.state.service = Service(callers)
    app.post("/v1")(v1)
    return app


def _digest(key: str) -> bytes:
    return hmac.digest(_PEPPER, key.encode(), hashlib.sha256)


def enrolled(count: int) -> list[Caller]:
    return [Caller(key=f"mt_test_{secrets.token_hex(22)[:43]}", credential_id=str(uuid.uuid4())) for _ in range(count)]


@asynccontextmanager
async def uvicorn_on_any_port(app: FastAPI) -> AsyncIterator[int]:
    config = uvicorn.Config(app, lifespan="off", access_log=False, log_level="error", timeout_keep_alive=60)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def serving(directory: Path, callers: int) -> AsyncIterator[Serving]:
    known = enrolled(callers)
    async with uvicorn_on_any_port(application(known)) as port:
        yield Serving(port=port, callers=known)
