"""The pages for people: the API reference, and the OpenAPI document behind it. Everything is made once, at start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from aiohttp import ETag, web

from gateway.openapi import document
from gateway.operations.table import OPERATIONS
from gateway.reference import render

DOCS: Final = "/docs"
OPENAPI: Final = "/openapi.json"

_ASSETS: Final = {
    "reference.css": "text/css; charset=utf-8",
    "reference.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_routes(app: web.Application) -> None:
    """``GET /``, ``/docs`` with its assets, and ``/openapi.json``: bytes made now, answered with an ETag."""
    described = document(OPERATIONS, server_url=None)
    app.router.add_get("/", _to_docs)
    app.router.add_get(OPENAPI, _fixed(json.dumps(described).encode(), "application/json"))
    app.router.add_get(DOCS, _fixed(render(OPERATIONS, described).encode(), "text/html; charset=utf-8"))
    for name, content_type in _ASSETS.items():
        body = files("gateway").joinpath("static", name).read_bytes()
        app.router.add_get(f"{DOCS}/{name}", _fixed(body, content_type))


async def _to_docs(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": DOCS})


def _fixed(body: bytes, content_type: str) -> _Handler:
    """A handler that always has the same answer, or 304 for a client that still has it."""
    etag = ETag(hashlib.sha256(body).hexdigest()[:32])

    async def handle(request: web.Request) -> web.StreamResponse:
        known = request.if_none_match or ()
        unchanged = any(tag.value in (etag.value, "*") for tag in known)
        headers = {**_HEADERS, "Content-Type": content_type}
        response = web.Response(status=304, headers=_HEADERS) if unchanged else web.Response(body=body, headers=headers)
        response.etag = etag
        return response

    return handle
