"""ECDSA over the STARK curve from the textbook: nothing but modular arithmetic, to check signatures made elsewhere."""

from __future__ import annotations

P = 2**251 + 17 * 2**192 + 1
N = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
ALPHA = 1
BETA = 0x6F21413EFBE40DE150E596D72F7A8C5609AD26C15C915C1F4CDFCB99CEE9E89
G = (
    0x1EF15C18599971B7BECED415A40F0C7DEACFD9B0D1819E03D723D8BC943CFCA,
    0x5668060AA49730B7BE4801DF46EC62DE53ECD11ABE43A32873000C36E8DC1F,
)

Point = tuple[int, int] | None


def add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    if a == b:
        slope = (3 * a[0] * a[0] + ALPHA) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(point: Point, factor: int) -> Point:
    found: Point = None
    while factor:
        if factor & 1:
            found = add(found, point)
        point = add(point, point)
        factor >>= 1
    return found


def public_key(private_key: int) -> int:
    point = multiply(G, private_key)
    assert point is not None
    return point[0]


def is_signed_by(private_key: int, message: int, r: int, s: int) -> bool:
    """Whether (r, s) is a signature of ``message`` by the key whose public half the private one gives."""
    if not (0 < r < N and 0 < s < N):
        return False
    w = pow(s, -1, N)
    point = add(multiply(G, message * w % N), multiply(multiply(G, private_key), r * w % N))
    return point is not None and point[0] % N == r
