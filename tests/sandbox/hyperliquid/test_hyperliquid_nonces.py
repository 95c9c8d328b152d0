from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.hyperliquid.nonces import KEPT, NEWEST_MS, OLDEST_MS, NonceWindow

NOW_MS = 1_795_262_400_000


def test_a_nonce_is_used_once() -> None:
    window = NonceWindow([NOW_MS])
    assert window.complaint(NOW_MS, NOW_MS) == f"Invalid nonce: duplicate nonce {NOW_MS}"
    assert window.complaint(NOW_MS + 1, NOW_MS) is None


def test_nonces_may_come_out_of_order() -> None:
    window = NonceWindow([NOW_MS])
    assert window.complaint(NOW_MS - 5, NOW_MS) is None


def test_below_the_hundred_highest_is_too_low() -> None:
    window = NonceWindow(range(NOW_MS, NOW_MS + KEPT))
    assert window.complaint(NOW_MS - 1, NOW_MS) == f"Invalid nonce: nonce too low {NOW_MS - 1} < {NOW_MS}"


def test_two_days_ago_and_a_day_ahead_are_the_bounds() -> None:
    window = NonceWindow()
    assert "too low" in (window.complaint(NOW_MS - OLDEST_MS, NOW_MS) or "")
    assert window.complaint(NOW_MS - OLDEST_MS + 1, NOW_MS) is None
    assert window.complaint(NOW_MS + NEWEST_MS - 1, NOW_MS) is None
    assert "too high" in (window.complaint(NOW_MS + NEWEST_MS, NOW_MS) or "")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(NOW_MS - 300, NOW_MS + 300), max_size=400))
def test_whatever_the_order_no_nonce_is_ever_admitted_twice(nonces: list[int]) -> None:
    window, admitted = NonceWindow(), []
    for nonce in nonces:
        if window.complaint(nonce, NOW_MS) is None:
            window.use(nonce)
            admitted.append(nonce)
        # A restart in between changes nothing.
        window = NonceWindow(window.used)
    assert len(admitted) == len(set(admitted))
    assert window.used == tuple(sorted(admitted)[-KEPT:])
