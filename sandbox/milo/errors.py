"""The server's refusals, in the reference's one shape: ``{"error": {"code", "message", "details"?}}``.

    ApiError
      bad_request 400   unauthorized 401   payment required 402   not_found 404   conflict 409 ("error")
      rate_limited 429   internal 500

A refusal that is raised while a request is handled undoes everything that the request has done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    code: str
    message: str
    details: Mapping[str, Any] | None = None


class ErrorEnvelope(msgspec.Struct, frozen=True):
    error: ErrorBody


class ApiError(Exception):
    """``headers`` go out with the answer."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers = dict(headers or {})

    def body(self) -> ErrorEnvelope:
        return ErrorEnvelope(ErrorBody(code=self.code, message=self.message, details=self.details))


def bad_request(message: str, **details: Any) -> ApiError:
    """Input that is not valid, or a request that what is there does not allow. Says what was expected."""
    return ApiError(400, "bad_request", message, details or None)


def unauthorized(message: str) -> ApiError:
    return ApiError(401, "unauthorized", message)


def not_found(what: str) -> ApiError:
    """Also for what belongs to somebody else: existence never leaks."""
    return ApiError(404, "not_found", f"{what} not found")


def conflict(message: str) -> ApiError:
    return ApiError(409, "error", message)


def rate_limited(message: str, headers: Mapping[str, str]) -> ApiError:
    return ApiError(429, "rate_limit_exceeded", message, headers=headers)


def internal() -> ApiError:
    return ApiError(500, "internal_error", "Something went wrong in the sandbox; its log says what")
