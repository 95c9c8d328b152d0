"""``python -m benchmarks.endurance``: an hour of steady work, and whether the gateway grows by it.

Every caller places an order, reads, cancels that order, and trades on the market and back, over and over, so that as
much ends as begins. Written to ``benchmarks/out``: ``endurance.json``, and a plot of what the process held meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from rich.console import Console

from benchmarks.open_loop import Schedule
from benchmarks.plots import figure
from benchmarks.report import OUT
from benchmarks.server import Cores, started
from benchmarks.wire import Caller, round_trip

CALLERS: Final = 100
MOST_GROWTH_MIB: Final = 4.0
_CONNECTIONS: Final = 16
_SAMPLE_S: Final = 10.0
_MIB: Final = 2**20


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """``at_s`` since the start of the load. ``p99_ms`` and ``refused`` are of the requests since the sample before."""

    at_s: float
    rss_mib: float
    open_files: int
    threads: int
    p99_ms: float
    refused: int


class Endurance(msgspec.Struct, frozen=True, kw_only=True):
    requests: int
    samples: Sequence[Sample]

    def growth_mib(self) -> float:
        """From the second quarter to the last: what fills up first is not growth."""
        quarter = len(self.samples) // 4
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        return _middle(late) - _middle(early)


def _middle(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.rss_mib for sample in samples)


async def measure(
    directory: Path, *, minutes: float, per_s: float, tell: Callable[[str], None], sample_s: float = _SAMPLE_S
) -> Endurance:
    """At least four samples."""
    cores = Cores()
    cores.pin_load()
    count = max(4, round(minutes * 60 / sample_s))
    samples: list[Sample] = []
    async with started("order", directory, cores, callers=CALLERS) as server:
        requests, turn = _requests(server.callers), round(per_s * sample_s)
        begun = time.monotonic()
        for number in range(count):
            tell(f"{number * sample_s / 60:.0f} of {minutes:.0f} minutes")
            # A disk that stalls for a second makes an order come too late, and that refuses what builds on it.
            schedule = Schedule(requests, rate=per_s, count=turn, most_refused=turn // 10)
            answers = await schedule.run(server.port, _CONNECTIONS)
            took = sorted(answer.seconds for answer in answers)
            held = await server.accounts()
            samples.append(
                Sample(
                    at_s=round(time.monotonic() - begun, 1),
                    rss_mib=round(held.rss_bytes / _MIB, 2),
                    open_files=held.open_files,
                    threads=held.threads,
                    p99_ms=round(took[len(took) * 99 // 100] * 1000, 2),
                    refused=schedule.refused,
                )
            )
    return Endurance(requests=count * turn, samples=samples)


def _requests(callers: Sequence[Caller]) -> Iterator[bytes]:
    """All callers take their steps abreast: each step is over before its caller's next."""
    for turn in itertools.count():
        trips = [round_trip(caller, f"endurance-{turn:08d}") for caller in callers]
        yield from itertools.chain.from_iterable(zip(*trips, strict=True))


def draw(found: Endurance, directory: Path) -> None:
    minutes = [sample.at_s / 60 for sample in found.samples]
    with figure(directory / "endurance.png", "minutes", "MiB resident") as axes:
        axes.plot(minutes, [sample.rss_mib for sample in found.samples])
        axes.set_ylim(bottom=0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    given = parser.parse_args()
    with (
        Console(stderr=True).status("") as status,
        tempfile.TemporaryDirectory(prefix="venuegate-endurance-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(measure(Path(directory), minutes=given.minutes, per_s=given.rate, tell=status.update))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "endurance.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    draw(found, OUT)
    first, last = found.samples[0], found.samples[-1]
    growth = found.growth_mib()
    refused = sum(sample.refused for sample in found.samples)
    print(
        f"{found.requests:,} requests, {refused} refused: {first.rss_mib:.1f} MiB at first, {last.rss_mib:.1f} at last"
    )
    print(f"growth from the second quarter to the last: {growth:.1f} MiB")
    print(
        f"open files: {first.open_files} at first, {last.open_files} at last; threads: {first.threads}, {last.threads}"
    )
    if growth > MOST_GROWTH_MIB:
        sys.exit(f"It grew by more than {MOST_GROWTH_MIB:g} MiB.")


if __name__ == "__main__":
    main()
