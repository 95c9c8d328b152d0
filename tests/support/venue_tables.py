"""What each venue can do, as the tables of ``docs/venues.md``: ``python -m tests.support.venue_tables`` renews them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from adapters.base import Capabilities, Capability
from adapters.registry import VENUES
from gateway.operations.table import OPERATIONS

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "venues.md"
BEGIN: Final = "<!-- made by `python -m tests.support.venue_tables` from the venues' capabilities -->"
END: Final = "<!-- end of what is made -->"

_CLOSED: Final = "a reduce-only market order for each position"
_LEG_BY_LEG: Final = "leg by leg"


def current(page: str) -> str:
    """``page`` with its tables as they have to be.

    :raises ValueError: it has no place for them.
    """
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError("the page has no place for the tables")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    parts = (_operations(), _footnotes(), _facts(), _credentials())
    return "\n".join("\n".join(lines) + "\n" for lines in parts)


def _operations() -> Iterable[str]:
    yield _row(["operation", *(f"`{name}`" for name in VENUES)])
    yield _row(["---"] * (1 + len(VENUES)))
    for operation, capability in _asked_of_venues():
        yield _row([f"`{operation}`", *(_word(venue.capabilities, capability) for venue in VENUES.values())])


def _footnotes() -> Iterable[str]:
    """How, where it is made by the gateway, and what to do where it is not there: once for the venues that share it."""
    for operation, capability in _asked_of_venues():
        notes: defaultdict[str, list[str]] = defaultdict(list)
        for name, venue in VENUES.items():
            capabilities = venue.capabilities
            if how := emulation(capabilities, capability):
                notes[f"{how}."].append(name)
            elif capability not in capabilities.supports:
                notes[f"not there. {capabilities.unsupported.get(capability, '')}".strip()].append(name)
        for text, names in notes.items():
            yield f"- `{operation}` {_at(names)}: {text}"


def _facts() -> Iterable[str]:
    yield _row(
        [
            "exchange",
            "client order id",
            "unique among",
            "absence can be proved",
            "limit orders",
            "triggers go by",
            "leverage is set for",
            "in one request",
            "weakest key",
        ]
    )
    yield _row(["---"] * 9)
    for name, venue in VENUES.items():
        can = venue.capabilities
        proved = "no"
        if can.request_expiry and can.lookup_includes_finished:
            proved = f"{can.visibility_lag_ms // 1000} s after a request has expired"
            proved += "" if can.triggers_expire else "; not of trigger orders"
        yield _row(
            [
                f"`{name}`",
                can.client_id,
                can.dedupe,
                proved,
                ", ".join(sorted(can.times_in_force)),
                f"{can.trigger_source} price",
                can.leverage_scope if Capability.LEVERAGE in can.supports else "cannot be set",
                "1 order" if can.native_batch_size == 1 else f"{can.native_batch_size} orders",
                can.least_privilege,
            ]
        )


def _credentials() -> Iterable[str]:
    yield _row(["exchange", "networks", "what a credential holds"])
    yield _row(["---"] * 3)
    for name, venue in VENUES.items():
        fields = "; ".join(
            f"`{field.name}`{'' if field.required else ' (optional)'}: {field.description.rstrip('.')}"
            for field in venue.credential_fields
        )
        yield _row([f"`{name}`", ", ".join(sorted(venue.networks)), fields])


def emulation(capabilities: Capabilities, capability: Capability) -> str | None:
    """How the gateway makes it of what the venue has, or None where the venue has it or it is not there."""
    if capability not in capabilities.supports:
        return None
    if capability is Capability.CLOSE_POSITIONS:
        return capabilities.emulated.get(capability, _CLOSED)
    if capability is Capability.BATCH and capabilities.native_batch_size == 1:
        return _LEG_BY_LEG
    return capabilities.emulated.get(capability)


def _word(capabilities: Capabilities, capability: Capability) -> str:
    if capability not in capabilities.supports:
        return "no"
    return "native" if emulation(capabilities, capability) is None else "emulated"


def _asked_of_venues() -> Sequence[tuple[str, Capability]]:
    return [(op.name, op.capability) for op in OPERATIONS.values() if op.capability is not None]


def _at(names: Sequence[str]) -> str:
    return "everywhere" if len(names) == len(VENUES) else f"at {', '.join(names)}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text()))
