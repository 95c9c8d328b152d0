"""The venue's refusals. Every error body has exactly the three fields that its clients insist on."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """``code`` is the venue's. Where its documents name no status for a code, it is that of its kind."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> dict[str, Any]:
        return {"error": self.code, "message": self.message, "data": None}


def invalid(message: str) -> ApiError:
    return ApiError(400, "VALIDATION_ERROR", message)


def unbound(message: str) -> ApiError:
    return ApiError(400, "BINDING_ERROR", message)


def bad_parameter(message: str) -> ApiError:
    return ApiError(400, "INVALID_REQUEST_PARAMETER", message)


def no_market(market: str) -> ApiError:
    return ApiError(404, "MARKET_NOT_FOUND", f"market not found: {market[:40]}")


def unauthorized(message: str) -> ApiError:
    return ApiError(401, "INVALID_TOKEN", message)
