"""Reading what a client posts: bounded in size and in time, JSON only."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from gateway.endpoint import BODY_TIMEOUT_S
from normalization.errors import InvalidParameter, PayloadTooLarge, UnsupportedMediaType

_JSON_TYPE: Final = "application/json"


async def read_json_body(request: web.BaseRequest, max_bytes: int) -> bytes:
    """
    :raises UnsupportedMediaType: it says that it is not JSON, or that it is compressed.
    :raises PayloadTooLarge: it is over ``max_bytes``.
    :raises InvalidParameter: it does not arrive in time.
    """
    headers = request.headers
    if not is_json(headers.get(hdrs.CONTENT_TYPE)):
        raise UnsupportedMediaType("The body must be JSON: send Content-Type: application/json")
    if headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedMediaType("The body must not be compressed")
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    # Nearly always all of it is there.
    body = request.content.read_nowait() if request.content.is_eof() else await _awaited(request, max_bytes)
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def is_json(content_type: str | None) -> bool:
    """Also where a client does not say."""
    if content_type is None or content_type == _JSON_TYPE:
        return True
    return content_type.partition(";")[0].strip().lower() == _JSON_TYPE


async def _awaited(request: web.BaseRequest, max_bytes: int) -> bytes:
    # A client that asked whether to send its body waits for this, some of them for ever.
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise InvalidParameter("body", f"the whole body within {BODY_TIMEOUT_S:.0f} seconds") from None
    return bytes(body)


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is over {max_bytes // 1024} KiB")
