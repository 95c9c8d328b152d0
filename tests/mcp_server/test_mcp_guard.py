from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from mcp_server.guard import Guard
from mcp_server.protocol import RpcError


def allows(guard: Guard, **headers: str) -> bool:
    try:
        guard.check(CIMultiDictProxy(CIMultiDict(headers)))
    except RpcError:
        return False
    return True


def test_a_refusal_is_403() -> None:
    with pytest.raises(RpcError) as refused:
        LOCAL.check(CIMultiDictProxy(CIMultiDict({"Host": "evil.example"})))
    assert refused.value.status == 403


LOCAL = Guard("127.0.0.1", None)
PUBLIC = Guard("0.0.0.0", "https://gateway.example.com")  # noqa: S104
NAMED = Guard("trading.internal", None)


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LocalHost"])
def test_loopback_is_served_wherever_the_gateway_listens(host: str) -> None:
    for guard in (LOCAL, PUBLIC, NAMED):
        assert allows(guard, Host=host)
        assert allows(guard, Host=host, Origin=f"http://{host}")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example@localhost", "localhost/x", "", "a b", "[::1", "x:99999"],
)
def test_other_names_are_served_nowhere(host: str) -> None:
    for guard in (LOCAL, PUBLIC, NAMED):
        assert not allows(guard, Host=host)
        assert not allows(guard, Host="localhost", Origin=f"http://{host}")


def test_no_host_is_no_good_host() -> None:
    assert not allows(LOCAL)


def test_the_gateways_own_name_is_served() -> None:
    assert allows(PUBLIC, Host="gateway.example.com", Origin="https://gateway.example.com")
    assert allows(NAMED, Host="trading.internal:8080")
    assert not allows(LOCAL, Host="gateway.example.com")


def test_an_address_is_served_only_beyond_loopback() -> None:
    """A page can point its name at an address, but it cannot be an address."""
    for host in ("192.168.1.5:8080", "[2001:db8::1]"):
        assert allows(PUBLIC, Host=host, Origin=f"http://{host}")
        assert not allows(LOCAL, Host=host)


@pytest.mark.parametrize(
    "origin", ["null", "file://", "ftp://localhost", "localhost", "javascript://localhost", "http:"]
)
def test_an_origin_is_a_web_page_of_ours_or_none(origin: str) -> None:
    assert not allows(LOCAL, Host="localhost", Origin=origin)


def test_what_is_remembered_of_hosts_is_bounded() -> None:
    guard = Guard("0.0.0.0", None)  # noqa: S104
    for number in range(2_000):
        assert allows(guard, Host=f"10.0.{number // 250}.{number % 250}")
    assert len(guard._good_hosts) <= 256
    assert not allows(guard, Host="evil.example")
