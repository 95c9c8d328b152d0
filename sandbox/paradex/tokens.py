"""JSON web tokens, ES256, of five minutes."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

LIFETIME_S: Final = 300
_HALF: Final = 32
_KEY_ID: Final = "sandbox"


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """``sub`` is the account, ``key`` the public key that signed for it; times are in seconds."""

    sub: str
    key: str
    iat: int
    exp: int
    iss: str = "Paradex sandbox"
    typ: str = "at+JWT"


class BadToken(Exception):
    """The message says why, in the venue's words."""


class Tokens:
    """``pem`` is a key from ``new_key``."""

    def __init__(self, pem: bytes) -> None:
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("an elliptic curve key is needed")
        self._key = key
        self._header = _encoded(msgspec.json.encode({"alg": "ES256", "typ": "JWT", "kid": _KEY_ID}))

    @staticmethod
    def new_key() -> bytes:
        return ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def issue(self, account: str, key: str, now_s: int) -> str:
        claims = Claims(sub=account, key=key, iat=now_s, exp=now_s + LIFETIME_S)
        signed = f"{self._header}.{_encoded(msgspec.json.encode(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encoded(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"

    def read(self, token: str, now_s: int) -> Claims:
        """:raises BadToken: it is not one of ours, or expired."""
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        try:
            raw = _decoded(signature)
            if header != self._header or len(raw) != 2 * _HALF:
                raise BadToken("invalid bearer jwt: signature is invalid")
            pair = encode_dss_signature(int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big"))
            self._key.public_key().verify(pair, signed.encode(), ec.ECDSA(hashes.SHA256()))
            claims = msgspec.json.decode(_decoded(payload), type=Claims)
        except (InvalidSignature, ValueError, msgspec.DecodeError):
            raise BadToken("invalid bearer jwt: signature is invalid") from None
        if now_s >= claims.exp:
            raise BadToken(f"invalid bearer jwt: token is expired by {now_s - claims.exp}s")
        return claims

    def key_set(self) -> dict[str, Any]:
        numbers = self._key.public_key().public_numbers()
        x, y = (_encoded(value.to_bytes(_HALF, "big")) for value in (numbers.x, numbers.y))
        return {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": _KEY_ID, "use": "sig", "x": x, "y": y}]}


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
