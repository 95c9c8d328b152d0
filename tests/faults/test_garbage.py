"""Bodies that no sensible client sends: always a 4xx with a stable code, and the next good request is served."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from gateway.operations.table import OPERATIONS
from storage.ports import Tier
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import Served, served

ROUNDS = 1_500
_FRAGMENTS = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\\ud800", b"\\u0000", b"NaN", b"-Infinity", b"1e400", b"-0", b"9" * 400,
    b"9007199254740993", b"[" * 500, b"{" * 500, b'"a":', b"null", b"true", b'"', b"\\", b",", b"}", b"\xe2\x80\xae",
    b"__class__", b'"operation":"getBalance",', b"1_000", b"\n", b" ",
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


async def test_garbage_is_answered_with_a_stable_code_and_hurts_nobody(tmp_path: Path) -> None:
    chance = random.Random(20_260_101)
    venue = ScriptedVenue()
    async with served(tmp_path, {"scripted": venue}) as gateway:
        codes: dict[str, int] = {}
        key, credential_id = await _fresh_client(gateway)
        for number in range(1, ROUNDS):
            if number % 500 == 0:
                key, credential_id = await _fresh_client(gateway)
            reply = await gateway.post(mutated(chance, credential_id), key)
            code = reply.json.get("code", "OK")
            codes[code] = codes.get(code, 0) + 1
            # 502 is the scripted venue's own "no such order".
            assert reply.status < 500 or code == "EXCHANGE_ERROR", (code, reply.text)
        good = await gateway.post({"operation": "getBalance", "credentialId": credential_id}, key)
        assert good.status == 200
    assert {"INVALID_JSON", "INVALID_PARAMETER", "UNKNOWN_MARKET", "OK"} <= codes.keys(), codes
    assert "INTERNAL_ERROR" not in codes


async def _fresh_client(gateway: Served) -> tuple[str, str]:
    account = await gateway.account(Tier.PRO)
    return await gateway.key(account), (await gateway.credential(account)).credential_id
