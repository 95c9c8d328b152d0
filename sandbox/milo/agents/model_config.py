"""Which language model answers, if any."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``base_url`` is what precedes ``/chat/completions``. ``timeout_s`` is for the whole of an answer."""

    base_url: str
    model: str
    api_key: str | None = None
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        """:raises ValueError: the address cannot be used."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the model's address must be one such as https://models.example.com/v1")

    def __repr__(self) -> str:
        return f"ModelConfig({self.model}, key hidden)"
