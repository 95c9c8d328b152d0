from __future__ import annotations

import pytest

from storage.redis_store.address import RedisAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis://localhost", RedisAddress(scheme="redis", hosts=(("localhost", 6379),))),
        ("redis://[::1]:7000/3", RedisAddress(scheme="redis", hosts=(("::1", 7000),), database=3)),
        (
            "rediss://me:p%40ss%2F%3A@example.com:6380?ssl_ca_certs=/etc/ca.pem",
            RedisAddress(
                scheme="rediss",
                hosts=(("example.com", 6380),),
                username="me",
                password="p@ss/:",
                ca_file="/etc/ca.pem",
            ),
        ),
        ("redis://:secret@h", RedisAddress(scheme="redis", hosts=(("h", 6379),), password="secret")),
        ("unix:///run/redis.sock?db=2", RedisAddress(scheme="unix", path="/run/redis.sock", database=2)),
        (
            "redis+cluster://a:7000,b:7001,c",
            RedisAddress(scheme="redis+cluster", hosts=(("a", 7000), ("b", 7001), ("c", 6379))),
        ),
    ],
)
def test_an_address_is_read(text: str, address: RedisAddress) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "redis://",
        "redis://a,b",
        "redis://host:0",
        "redis://host:70000",
        "redis://host:x",
        "redis://host/one",
        "redis://host/-1",
        "redis://host?timeout=1",
        "redis://host#1",
        "redis://ho st",
        "redis://host\n",
        "redis+cluster://a/1",
        "unix://host/path",
        "unix://",
        "redis://[::1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    assert parse_address(text) is None


def test_an_address_never_shows_its_password() -> None:
    address = parse_address("rediss+cluster://me:hunter2@[::1]:7000,b:7001")
    assert address is not None
    assert str(address) == "rediss+cluster://[::1]:7000,b:7001"
    assert "hunter2" not in repr(address)
    assert address.tls
    assert address.is_cluster
