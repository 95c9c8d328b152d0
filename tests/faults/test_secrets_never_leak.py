"""Canary secrets through the error paths at DEBUG: not one in a log, an answer, a metric or the database."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path

import pytest

from gateway import logs
from normalization.venue_failures import Reason, VenueRejected
from tests.support.scripted_venue import ScriptedVenue, fail
from tests.support.served import served

CANARY = "canary-4f1d9b72c0ffee"


async def test_no_secret_leaves_the_vault_or_a_key_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    before = logging.getLogger().handlers[:]
    logs.configure("debug", as_json=True)
    try:
        seen = await _use_it(tmp_path)
    finally:
        logging.getLogger().handlers = before
        logging.getLogger().setLevel(logging.WARNING)
    key, answers = seen
    written = all_files(tmp_path)
    assert log.getvalue(), "nothing was logged, so nothing was proved"
    for place, text in (("log", log.getvalue()), ("answers", answers), ("files", written)):
        assert CANARY not in text, place
        assert key not in text, place
        assert key[12:] not in text, place


def all_files(directory: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in directory.iterdir() if path.is_file())


async def _use_it(directory: Path) -> tuple[str, str]:
    venue = ScriptedVenue()
    async with served(directory, {"scripted": venue}) as gateway:
        account = await gateway.account()
        credential = await gateway.credential(account, secrets={"privateKey": CANARY, "apiSecret": CANARY})
        key = await gateway.key(account)
        answers = []

        async def ask(operation: str, **fields: object) -> None:
            body = {"operation": operation, "credentialId": credential.credential_id, **fields}
            answers.append((await gateway.post(body, key)).text)

        order = {"market": "BTC", "side": "BUY", "size": "0.01", "price": "94000"}
        await ask("getBalance")
        await ask("listCredentials")
        await ask("placeLimitOrder", **order)
        venue.script.append(fail(VenueRejected(Reason.AUTHENTICATION_FAILED, "bad signature")))
        await ask("placeLimitOrder", **order)
        venue.script.append(fail(TimeoutError()))
        await ask("placeLimitOrder", **order, clientOrderId="lost")
        venue.lookup_failure = RuntimeError(f"failed with key {key}")
        await ask("getOrder", orderId="ord_1")
        await ask("getOrder", clientOrderId="lost")
        await ask("nothing")
        answers.append((await gateway.post(b"{", key + "x")).text)
        answers.append(gateway.gateway.metrics.exposition().decode())
        return key, "\n".join(answers)
