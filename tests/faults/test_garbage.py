"""Bodies that no sensible client sends: always a 4xx with a stable code, and the next good request is served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import time
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.usage import resident_bytes
from gateway.operations.table import OPERATIONS
from storage.ports import Tier
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import Served, served

pytestmark = pytest.mark.harness

SHORT: Final = 1_500
LONG: Final = 100_000
SHORT_RAW: Final = 300
LONG_RAW: Final = 20_000
AT_ONCE: Final = 50
GOOD_EVERY: Final = 50
GOOD_WITHIN_S: Final = 1.0
GROWS_BY_AT_MOST_MIB: Final = 48
_FRAGMENTS = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\\ud800", b"\\u0000", b"NaN", b"-Infinity", b"1e400", b"-0", b"9" * 400,
    b"9007199254740993", b"[" * 500, b"{" * 500, b'"a":', b"null", b"true", b'"', b"\\", b",", b"}", b"\xe2\x80\xae",
    b"__class__", b'"operation":"getBalance",', b"1_000", b"\n", b" ", b"9" * 5_000, b"9007199254740991.5",
    b"\xed\xa0\x80",
]  # fmt: skip
_VALUES: list[Any] = [
    None, True, [], {}, "", "x" * 5_000, -1, 0, 2**53 + 1, 10**30, 1e308, "NaN", "-1", "1e9999", ["BUY"],
    {"a": {"b": []}}, "BTC\u0000", "\u202eCTB", "' OR 1=1 --", "../../etc/passwd", "{{7*7}}", "\ud7ff\ue000",
]  # fmt: skip


def mutated(chance: random.Random, credential_id: str) -> bytes:
    name = chance.choice(list(OPERATIONS))
    body: dict[str, Any] = {"operation": name, **OPERATIONS[name].example, "credentialId": credential_id}
    for _ in range(chance.randrange(3)):
        body[chance.choice([*body, "extra", "market", "size"])] = chance.choice(_VALUES)
    text = bytearray(json.dumps(body, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass"))
    for _ in range(chance.choice([0, 0, 1, 3])):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(3):
            case 0:
                text[at:at] = chance.choice(_FRAGMENTS)
            case 1:
                del text[at : at + chance.randrange(1, 20)]
            case _:
                text[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(text)


# Too large to be thrown in by chance, each of them once.
HUGE: Final = {
    "depth": b"[" * 30_000 + b"]" * 30_000,
    "depth beside the operation": b'{"operation": "getBalance", "a": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
    "digits": b'{"operation": "getBalance", "credentialId": ' + b"9" * 60_000 + b"}",
    "names": b"{" + b",".join(b'"%d": 1' % number for number in range(6_000)) + b"}",
    "one name": b'{"' + b"x" * 65_000 + b'": 1}',
    "a megabyte": b'{"operation": "' + b"x" * 1_000_000 + b'"}',
}


async def test_garbage_is_answered_with_a_stable_code_and_hurts_nobody(tmp_path: Path, soak: bool) -> None:
    chance = random.Random(20_260_101)
    rounds = LONG if soak else SHORT
    began_at_mib, good_took_s = 0.0, []
    async with served(tmp_path, {"scripted": ScriptedVenue()}) as gateway:
        codes: dict[str, int] = {}
        key, credential_id = await _fresh_client(gateway)
        for number in range(1, rounds):
            if number % 500 == 0:
                key, credential_id = await _fresh_client(gateway)
            if number == min(10_000, rounds // 2):
                began_at_mib = _resident_mib()
            reply = await gateway.post(mutated(chance, credential_id), key)
            code = reply.json.get("code", "OK")
            codes[code] = codes.get(code, 0) + 1
            # 502 is the scripted venue's own "no such order".
            assert reply.status < 500 or code == "EXCHANGE_ERROR", (code, reply.text)
            if number % GOOD_EVERY == 0:
                asked = time.monotonic()
                good = await gateway.post({"operation": "getBalance", "credentialId": credential_id}, key)
                good_took_s.append(time.monotonic() - asked)
                assert good.status == 200
        grown_mib = _resident_mib() - began_at_mib
    good_took_s.sort()
    print(
        f"garbage: {rounds} bodies, {', '.join(f'{code} {count}' for code, count in sorted(codes.items()))};"
        f" memory grew by {grown_mib:.0f} MiB; good ones p99 {good_took_s[len(good_took_s) * 99 // 100] * 1000:.1f} ms"
    )
    assert {"INVALID_JSON", "INVALID_PARAMETER", "UNKNOWN_MARKET", "OK"} <= codes.keys(), codes
    assert "INTERNAL_ERROR" not in codes
    assert grown_mib < GROWS_BY_AT_MOST_MIB
    assert good_took_s[-1] < GOOD_WITHIN_S


async def test_what_is_too_much_of_anything_is_refused_without_holding_anybody_up(tmp_path: Path) -> None:
    async with served(tmp_path, {"scripted": ScriptedVenue()}) as gateway:
        key, credential_id = await _fresh_client(gateway)
        for name, body in HUGE.items():
            with contextlib.suppress(OSError):
                # It may be cut off in the middle of sending.
                reply = await gateway.post(body, key)
                assert 400 <= reply.status < 500, (name, reply.text)
                assert len(reply.text) < 2_000, name
            good = await gateway.post({"operation": "getBalance", "credentialId": credential_id}, key)
            assert good.status == 200, name


async def test_garbage_on_the_wire_is_answered_once_or_not_at_all(tmp_path: Path, soak: bool) -> None:
    chance = random.Random(20_260_102)
    statuses: dict[str, int] = {}
    async with served(tmp_path, {"scripted": ScriptedVenue()}) as gateway:
        key, credential_id = await _fresh_client(gateway)
        for number in range(1, (LONG_RAW if soak else SHORT_RAW) // AT_ONCE + 1):
            if number * AT_ONCE % 500 == 0:
                key, credential_id = await _fresh_client(gateway)
            requests = [_mutated_request(chance, key, credential_id) for _ in range(AT_ONCE)]
            for told in await asyncio.gather(*(_thrown(gateway.port, request) for request in requests)):
                answers = re.findall(rb"(?:^|\})HTTP/1\.[01] ([2-5]\d\d) ", told) or [b"none"]
                # A request and what it was made to look like there is after it.
                assert len(answers) == 1 or (len(answers) == 2 and answers[1] == b"400"), told
                for status in answers:
                    statuses[status.decode()] = statuses.get(status.decode(), 0) + 1
        good = await gateway.post({"operation": "getBalance", "credentialId": credential_id}, key)
        assert good.status == 200
    print(f"garbage on the wire: {statuses}")
    assert {"200", "400", "401"} <= statuses.keys()
    assert not {status for status in statuses if status.startswith("5")} - {"502"}


def _mutated_request(chance: random.Random, key: str, credential_id: str) -> bytes:
    body = mutated(chance, credential_id) if chance.random() < 0.2 else _good(credential_id)
    lines = [
        b"POST /v1 HTTP/1.1", b"Host: x", b"X-API-Key: " + key.encode(), b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
    ]  # fmt: skip
    for _ in range(chance.randrange(3)):
        at = chance.randrange(1, len(lines))
        match chance.randrange(4):
            case 0:
                lines.insert(at, chance.choice(lines[1:]))
            case 1:
                del lines[at]
                lines.append(b"X: y")
            case 2:
                lines[at] = lines[at].replace(b":", chance.choice([b" :", b"", b":\x00", b":\r\n "]), 1)
            case _:
                lines.insert(
                    at, chance.choice([b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Content-Length: 1"])
                )
    data = bytearray(chance.choice([b"\r\n"] * 9 + [b"\n"]).join(lines) + b"\r\n\r\n" + body)
    # Anywhere but in the key and beside it: who fails to authenticate too often is told that, and no more.
    before_key = data.find(key.encode()) - 2
    places = [at for at in range(len(data)) if not before_key <= at < before_key + len(key) + 4]
    if chance.random() < 0.3:
        data[chance.choice(places)] = chance.randrange(256)
    return bytes(data)


def _good(credential_id: str) -> bytes:
    return json.dumps({"operation": "getBalance", "credentialId": credential_id}).encode()


async def _thrown(port: int, data: bytes) -> bytes:
    """What comes back; nothing, where more is waited for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = b""
    try:
        writer.write(data)
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(0.25):
                while more := await reader.read(65_536):
                    told += more
    finally:
        writer.transport.abort()
    return told


def _resident_mib() -> float:
    return resident_bytes(os.getpid()) / 2**20


async def _fresh_client(gateway: Served) -> tuple[str, str]:
    account = await gateway.account(Tier.PRO)
    return await gateway.key(account), (await gateway.credential(account)).credential_id
