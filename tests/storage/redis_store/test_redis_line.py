from __future__ import annotations

import asyncio
import signal
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from redis import exceptions

from storage.redis_store.line import Line
from storage.redis_store.servers import connection_to
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.redis_server import RedisProcess, address_of, running_redis


@pytest.fixture
async def proxy(redis_process: RedisProcess) -> AsyncIterator[FaultProxy]:
    async with fault_proxy("127.0.0.1", redis_process.port) as proxy:
        yield proxy


@pytest.fixture
async def line(proxy: FaultProxy) -> AsyncIterator[Line]:
    line = Line(lambda: connection_to(address_of(f"redis://127.0.0.1:{proxy.port}")))
    yield line
    await line.close()


async def test_calls_share_one_connection_one_after_the_other(line: Line, proxy: FaultProxy) -> None:
    answers = await asyncio.gather(*(line.ask("ECHO", f"{number}", within_s=5) for number in range(50)))
    assert answers == [f"{number}".encode() for number in range(50)]
    assert proxy.connections == 1


async def test_a_late_answer_is_never_taken_for_the_answer_to_another_call(line: Line, proxy: FaultProxy) -> None:
    assert await line.ask("ECHO", "first", within_s=5) == b"first"
    proxy.latency_s = 0.2
    with pytest.raises(TimeoutError):
        await line.ask("ECHO", "late")
    proxy.latency_s = 0.0
    for number in range(20):
        assert await line.ask("ECHO", f"{number}", within_s=5) == f"{number}".encode()
    assert proxy.connections == 2


async def test_a_call_that_is_cancelled_loses_the_connection(line: Line, proxy: FaultProxy) -> None:
    await line.ask("PING", within_s=5)
    proxy.latency_s = 0.1
    call = asyncio.create_task(line.ask("ECHO", "cancelled", within_s=5))
    await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.wait({call})
    proxy.latency_s = 0.0
    assert await line.ask("ECHO", "next", within_s=5) == b"next"
    assert proxy.connections == 2


async def test_it_gives_up_in_time_whatever_the_network_does(line: Line, proxy: FaultProxy) -> None:
    await line.ask("PING", within_s=5)
    proxy.is_silent = True
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await line.ask("PING")
        # Far more than it takes, and far less than any default.
        assert time.monotonic() - began < 1.0
    proxy.is_silent = False
    assert await line.ask("PING", within_s=5) == b"PONG"


async def test_it_connects_again_after_it_was_cut_off(line: Line, proxy: FaultProxy) -> None:
    await line.ask("PING", within_s=5)
    await proxy.refuse()
    for _ in range(2):
        with pytest.raises((exceptions.ConnectionError, OSError)):
            await line.ask("PING", within_s=5)
    await proxy.listen()
    assert await line.ask("PING", within_s=5) == b"PONG"


async def test_a_paused_server_costs_no_more_than_the_timeout() -> None:
    with running_redis() as server:
        line = Line(lambda: connection_to(server.address))
        await line.ask("PING", within_s=5)
        server.signal(signal.SIGSTOP)
        # It is the kernel that accepts a connection.
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await line.ask("PING")
        server.signal(signal.SIGCONT)
        assert await line.ask("ECHO", "on", within_s=5) == b"on"
        await line.close()


async def test_a_loop_that_was_held_up_still_finds_the_answer(line: Line) -> None:
    await line.ask("PING", within_s=5)
    call = asyncio.create_task(line.ask("ECHO", "there"))
    for _ in range(3):
        await asyncio.sleep(0)
    # The answer comes while nothing else can.
    time.sleep(0.08)  # noqa: ASYNC251
    assert await call == b"there"


async def test_a_unix_socket_will_do(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with running_redis("--unixsocket", str(path)):
        line = Line(lambda: connection_to(address_of(f"unix://{path}?db=1")))
        assert await line.ask("PING", within_s=5) == b"PONG"
        await line.close()


async def test_tls_is_spoken_with_a_server_that_the_named_authority_vouches_for(
    redis_process: RedisProcess, tmp_path: Path
) -> None:
    certificate = tmp_path / "certificate.pem"
    context = server_context(certificate)
    async with fault_proxy("127.0.0.1", redis_process.port, tls=context) as proxy:
        url = f"rediss://localhost:{proxy.port}"
        trusting = Line(lambda: connection_to(address_of(f"{url}?ssl_ca_certs={certificate}")))
        assert await trusting.ask("PING", within_s=5) == b"PONG"
        await trusting.close()
        doubting = Line(lambda: connection_to(address_of(url)))
        with pytest.raises(exceptions.ConnectionError):
            await doubting.ask("PING", within_s=5)


def server_context(certificate: Path) -> ssl.SSLContext:
    """For a server called localhost, which vouches for itself with ``certificate``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private = certificate.with_suffix(".key")
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return context


async def test_a_refusal_is_an_error_and_not_an_answer(line: Line) -> None:
    await line.ask("SET", "text", "x", within_s=5)
    with pytest.raises(exceptions.ResponseError):
        await line.ask("INCR", "text", within_s=5)
    assert await line.ask("GET", "text", within_s=5) == b"x"
