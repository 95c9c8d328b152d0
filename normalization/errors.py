"""Every error a caller can meet, one class per stable code.

    GatewayError
    ├── MethodNotAllowed              405  METHOD_NOT_ALLOWED
    ├── NotFound                      404  NOT_FOUND
    ├── PayloadTooLarge               413  PAYLOAD_TOO_LARGE
    ├── UnsupportedMediaType          415  UNSUPPORTED_MEDIA_TYPE
    ├── AuthenticationError           401
    │   ├── MissingApiKey                  MISSING_API_KEY
    │   ├── InvalidKeyFormat               INVALID_KEY_FORMAT
    │   ├── InvalidApiKey                  INVALID_API_KEY
    │   ├── KeyRevoked                     KEY_REVOKED
    │   └── KeyExpired                     KEY_EXPIRED
    ├── PaymentRequired               402  PAYMENT_REQUIRED
    ├── RateLimited                   429  RATE_LIMITED
    ├── RequestError                  400
    │   ├── MalformedRequest               MALFORMED_REQUEST
    │   ├── InvalidJson                    INVALID_JSON
    │   ├── MissingOperation               MISSING_OPERATION
    │   ├── UnknownOperation               UNKNOWN_OPERATION
    │   ├── InvalidParameter               INVALID_PARAMETER
    │   └── UnknownMarket                  UNKNOWN_MARKET
    ├── NotAllowed                    403
    │   ├── TierInsufficient               TIER_INSUFFICIENT
    │   ├── OperationNotAllowed            OPERATION_NOT_ALLOWED
    │   ├── CredentialNotAllowed           CREDENTIAL_NOT_ALLOWED
    │   └── ExchangeNotAllowed             EXCHANGE_NOT_ALLOWED
    ├── CredentialNotFound            404  CREDENTIAL_NOT_FOUND
    ├── ClientOrderIdConflict         409  CLIENT_ORDER_ID_CONFLICT
    ├── AlreadyRegistered             409  ALREADY_REGISTERED
    ├── UnsupportedOperation          422  UNSUPPORTED_OPERATION
    ├── ExchangeError                 502  EXCHANGE_ERROR
    ├── ServiceUnavailable            503  SERVICE_UNAVAILABLE
    └── InternalError                 500  INTERNAL_ERROR

What a venue did to us is a different tree, in ``venue_failures.py``: it is classified first and becomes an
``ExchangeError`` only when it is known what happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

Details = Mapping[str, Any]


class GatewayError(Exception):
    """A refusal with a stable code. ``message`` is shown to the caller: it never holds a secret or exception text."""

    code: ClassVar[str]
    status: ClassVar[int]

    def __init__(self, message: str, *, details: Details | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.retry_after_s = retry_after_s


class MethodNotAllowed(GatewayError):
    """Only POST is answered at /v1."""

    code, status = "METHOD_NOT_ALLOWED", 405


class NotFound(GatewayError):
    """Nothing is served at that path."""

    code, status = "NOT_FOUND", 404


class PayloadTooLarge(GatewayError):
    """The request body is over the limit."""

    code, status = "PAYLOAD_TOO_LARGE", 413


class UnsupportedMediaType(GatewayError):
    """The body is not JSON, or it is compressed."""

    code, status = "UNSUPPORTED_MEDIA_TYPE", 415


class AuthenticationError(GatewayError):
    status = 401


class MissingApiKey(AuthenticationError):
    """No API key was sent."""

    code = "MISSING_API_KEY"


class InvalidKeyFormat(AuthenticationError):
    """The key is not mt_live_ or mt_test_ followed by 43 characters."""

    code = "INVALID_KEY_FORMAT"


class InvalidApiKey(AuthenticationError):
    """There is no such key."""

    code = "INVALID_API_KEY"


class KeyRevoked(AuthenticationError):
    """The key was revoked."""

    code = "KEY_REVOKED"


class KeyExpired(AuthenticationError):
    """The key has passed its expiry date."""

    code = "KEY_EXPIRED"


class PaymentRequired(GatewayError):
    """The exchange wants to be paid for this first; details say what, to whom, and what to send with the retry."""

    code, status = "PAYMENT_REQUIRED", 402


class RateLimited(GatewayError):
    """The account used up its minute or its day; Retry-After says how long to wait."""

    code, status = "RATE_LIMITED", 429


class RequestError(GatewayError):
    status = 400


class MalformedRequest(RequestError):
    """The bytes are no HTTP request that can be told from what follows it; the connection is closed."""

    code = "MALFORMED_REQUEST"


class InvalidJson(RequestError):
    """The body is not one JSON object, or a name stands in it twice."""

    code = "INVALID_JSON"


class MissingOperation(RequestError):
    """The body has no operation field."""

    code = "MISSING_OPERATION"


class UnknownOperation(RequestError):
    """There is no operation of that name; the message suggests the nearest."""

    code = "UNKNOWN_OPERATION"


class InvalidParameter(RequestError):
    """One field is wrong. ``field`` is its wire path (``orders[2].size``), ``expected`` a short phrase."""

    code = "INVALID_PARAMETER"

    def __init__(self, field: str, expected: str, *, message: str | None = None, **more: Any) -> None:
        super().__init__(
            message or f"{field}: expected {expected}", details={"field": field, "expected": expected, **more}
        )
        self.field = field
        self.expected = expected

    def within(self, prefix: str) -> InvalidParameter:
        """The same complaint about a field nested under ``prefix``."""
        more = {k: v for k, v in (self.details or {}).items() if k not in ("field", "expected")}
        return InvalidParameter(f"{prefix}.{self.field}", self.expected, **more)


class UnknownMarket(RequestError):
    """The exchange has no such market, or several that it could mean; the nearest symbols are suggested."""

    code = "UNKNOWN_MARKET"

    def __init__(self, market: str, exchange: str, suggestions: Sequence[str]) -> None:
        hint = f" Did you mean {' or '.join(suggestions)}?" if suggestions else " getMarkets lists what there is."
        super().__init__(
            f"{exchange} has no market called {market!a}.{hint}",
            details={"field": "market", "suggestions": list(suggestions)},
        )

    def at(self, field: str) -> UnknownMarket:
        """The same complaint about another field of the request, such as ``orders[2].market``."""
        self.details = {**(self.details or {}), "field": field}
        return self


class NotAllowed(GatewayError):
    status = 403


class TierInsufficient(NotAllowed):
    """The operation needs a higher tier than the account's."""

    code = "TIER_INSUFFICIENT"


class OperationNotAllowed(NotAllowed):
    """The operation is not in this key's scope."""

    code = "OPERATION_NOT_ALLOWED"


class CredentialNotAllowed(NotAllowed):
    """The credential is not in this key's scope, or on the other side of live and test."""

    code = "CREDENTIAL_NOT_ALLOWED"


class ExchangeNotAllowed(NotAllowed):
    """The exchange is not in this key's scope."""

    code = "EXCHANGE_NOT_ALLOWED"


class CredentialNotFound(GatewayError):
    """The account has no such credential."""

    code, status = "CREDENTIAL_NOT_FOUND", 404


class ClientOrderIdConflict(GatewayError):
    """The clientOrderId was used before, with other parameters."""

    code, status = "CLIENT_ORDER_ID_CONFLICT", 409


class AlreadyRegistered(GatewayError):
    """The wallet that signs up belongs to a user of the exchange already."""

    code, status = "ALREADY_REGISTERED", 409


class UnsupportedOperation(GatewayError):
    """The venue cannot do it; ``instead`` says what it can do."""

    code, status = "UNSUPPORTED_OPERATION", 422


class ExchangeError(GatewayError):
    """A venue refused, or never heard of it.

    ``outcome`` is ``rejected`` or ``not_sent``; ``reason`` a stable word (``Reason``); ``venue_text`` the venue's own
    words, length-capped; ``retryable`` whether the same request may succeed later.
    """

    code, status = "EXCHANGE_ERROR", 502

    def __init__(
        self,
        message: str,
        *,
        outcome: str,
        reason: str,
        retryable: bool,
        venue_text: str | None = None,
        retry_after_s: int | None = None,
        **more: Any,
    ) -> None:
        details = {"outcome": outcome, "reason": reason, "retryable": retryable, **more}
        if venue_text:
            details["venueMessage"] = venue_text[:300]
        super().__init__(message, details=details, retry_after_s=retry_after_s)


class ServiceUnavailable(GatewayError):
    """We could not start: nothing was sent anywhere."""

    code, status = "SERVICE_UNAVAILABLE", 503


class InternalError(GatewayError):
    """The gateway failed; report the request id if it persists."""

    code, status = "INTERNAL_ERROR", 500
