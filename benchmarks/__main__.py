"""``python -m benchmarks``: measure, print, write ``benchmarks/out``, and fail where the path has become too slow."""

from __future__ import annotations

import argparse
import asyncio
import platform
import pstats
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console

from benchmarks import latency, memory, report, venue_sessions
from benchmarks.load import LoadFailed, connect, run_load
from benchmarks.rounds import LOADS, Loading, Plan, WrongAnswer, measure
from benchmarks.server import Cores, ServerFailed, started
from benchmarks.summary import summarize, verdict

LONG: Final = Plan(rounds=15, seconds=2.0, warm_up_s=2.0, callers=400)
SHORT: Final = Plan(rounds=5, seconds=0.5, warm_up_s=0.3, callers=150)
# In the database, and used of them: more than a gateway remembers.
LONG_KEYS: Final = (1_000_000, 20_000)
SHORT_KEYS: Final = (100_000, 12_000)
MEMORY: Final = "memory"
LATENCY: Final = "latency"
SESSIONS: Final = "sessions"
LONG_ORDERS: Final = 20_000
SHORT_ORDERS: Final = 2_000
SHORT_SESSIONS: Final = 50

Tell = Callable[[str], None]


async def run(given: argparse.Namespace, directory: Path, tell: Tell) -> dict[str, Any]:
    plan = SHORT if given.short else LONG
    if given.rounds:
        plan = Plan(rounds=given.rounds, seconds=plan.seconds, warm_up_s=plan.warm_up_s, callers=plan.callers)
    cores = Cores()
    cores.pin_load()
    wanted = given.only or [MEMORY, LATENCY, SESSIONS, *(load.name for load in LOADS)]
    loads = [load for load in LOADS if load.name in wanted]
    summary: dict[str, Any] = summarize(await measure(plan, loads, directory, cores, tell))
    if LATENCY in wanted:
        tell("orders at half load")
        orders = SHORT_ORDERS if given.short else LONG_ORDERS
        summary |= await latency.measure(directory / "latency", cores, orders=orders)
    if MEMORY in wanted and sys.platform == "linux":
        rows, used = SHORT_KEYS if given.short else LONG_KEYS
        tell("memory after start")
        summary["rss_after_start_mib"] = round(await memory.after_start_mib(directory / "demo"), 1)
        tell(f"memory with {rows:,} keys")
        growth = await memory.growth_mib(directory / "keys", cores, rows=rows, used=used)
        summary |= {"rss_growth_million_keys_mib": round(growth, 1), "key_rows": rows}
        tell("memory of idle connections")
        summary["connection_kib"] = round(await memory.connection_kib(directory / "connections", cores), 1)
        tell("memory with MCP sessions")
        summary["mcp_sessions_mib"] = round(await memory.sessions_mib(directory / "sessions", cores), 1)
    if SESSIONS in wanted:
        tell("venue sessions")
        sessions = SHORT_SESSIONS if given.short else venue_sessions.PROMISED
        summary |= await venue_sessions.measure(directory / "venues", cores, sessions=sessions)
    summary["run"] = {
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "cores": {"server": cores.server, "load": cores.load},
    }
    return summary


async def profile(load: Loading, directory: Path, file: Path) -> None:
    """Put a load on its server under cProfile. What it says of calls is right; of their cost, only roughly."""
    cores = Cores()
    cores.pin_load()
    async with started(load.server, directory, cores, callers=SHORT.callers, profile=file) as server:
        await run_load(await connect(server.port, load.requests(server.callers), load.connections), 5.0)


def main() -> None:
    names = [load.name for load in LOADS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="about two minutes")
    parser.add_argument("--rounds", type=int, help="how many rounds")
    parser.add_argument(
        "--only",
        action="append",
        choices=[*names, MEMORY, LATENCY, SESSIONS],
        help="measure only this; may be repeated",
    )
    parser.add_argument("--profile", choices=names, help="measure nothing; show where a server's time goes")
    given = parser.parse_args()
    errors = Console(stderr=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="venuegate-bench-") as temporary,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            directory = Path(temporary)
            if given.profile:
                load = next(load for load in LOADS if load.name == given.profile)
                runner.run(profile(load, directory, directory / "profile"))
                pstats.Stats(str(directory / "profile")).sort_stats("tottime").print_stats(40)
                return
            with errors.status("") as status:
                summary = runner.run(run(given, directory, status.update))
    except (LoadFailed, ServerFailed, WrongAnswer) as failure:
        errors.print(f"The benchmark failed: {failure}", style="red", markup=False)
        sys.exit(2)
    report.write(summary, report.OUT)
    report.show(summary, Console())
    problem = verdict(summary)
    if problem is not None:
        errors.print(problem, style="red")
        sys.exit(1)


if __name__ == "__main__":
    main()
