"""What happens by itself, at the machine: in the order of time, all that is due, once, also after a restart."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sandbox.milo.core import Core
from sandbox.milo.machine import Machine
from sandbox.milo.parts import Part
from tests.support.manual_clock import START_MS, ManualClock

SCHEMA = "CREATE TABLE IF NOT EXISTS ran (name TEXT NOT NULL, at_ms INTEGER NOT NULL)"


def every(name: str, period_ms: int, *, fails: bool = False) -> Part:
    """Due at every multiple of ``period_ms``."""

    def next_due(core: Core, after_ms: int, until_ms: int) -> int | None:
        due_ms = (after_ms // period_ms + 1) * period_ms
        return due_ms if due_ms <= until_ms else None

    def run_due(core: Core, at_ms: int) -> None:
        core.db.execute("INSERT INTO ran VALUES (?, ?)", name, core.now_ms)
        if fails:
            raise LookupError("a defect")

    return Part(name=name, schema=SCHEMA, next_due=next_due, run_due=run_due)


def ran(machine: Machine, name: str) -> list[int]:
    found = machine.core.db.rows("SELECT at_ms FROM ran WHERE name = ? ORDER BY at_ms", name)
    return [at_ms - START_MS for (at_ms,) in found]


def test_parts_that_are_due_at_the_same_instant_all_run_and_none_runs_twice() -> None:
    clock = ManualClock()
    machine = Machine(seed=1, path=None, now_ms=clock.now_ms, parts=[every("twos", 2_000), every("threes", 3_000)])
    clock.advance(6.5)
    machine.run(lambda core: None)
    assert ran(machine, "twos") == [2_000, 4_000, 6_000]
    assert ran(machine, "threes") == [3_000, 6_000]
    clock.jump(-5)
    machine.run(lambda core: None)
    assert machine.core.now_ms == START_MS + 6_500
    assert len(ran(machine, "twos")) == 3


def test_a_restart_goes_on_where_the_last_process_stood(tmp_path: Path) -> None:
    clock = ManualClock()
    for _ in range(3):
        machine = Machine(seed=1, path=tmp_path / "milo.db", now_ms=clock.now_ms, parts=[every("twos", 2_000)])
        clock.advance(5)
        machine.run(lambda core: None)
        machine.close()
    machine = Machine(seed=1, path=tmp_path / "milo.db", now_ms=clock.now_ms, parts=[every("twos", 2_000)])
    assert ran(machine, "twos") == list(range(2_000, 15_000, 2_000))
    machine.close()


def test_a_part_that_fails_is_undone_and_keeps_nobody_else_back(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    parts = [every("bad", 1_000, fails=True), every("good", 1_000)]
    machine = Machine(seed=1, path=None, now_ms=clock.now_ms, parts=parts)
    clock.advance(2)
    with caplog.at_level(logging.ERROR):
        machine.run(lambda core: None)
    assert ran(machine, "bad") == []
    assert ran(machine, "good") == [1_000, 2_000]
    assert "bad failed" in caplog.text
