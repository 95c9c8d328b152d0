from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from adapters.milo.agents import Shares
from adapters.milo.trading import Holding, NewAmount, Sent
from adapters.milo.wire import Data, at_ms, decoded, encoded, number

HOLDING = (
    b'{"data":{"id":"h","tokenAddress":"So1","chain":"solana","decimals":9,"assetClass":"majors","totalHoldings":'
    b'"1250000000","tokenUSDPrice":160.40,"tokenSolPrice":1,"totalUSDval":2.005E2,"totalSolval":5e-9,'
    b'"updatedAt":"2025-01-01T00:00:00.000Z","news":{"x":1}}}'
)


def test_numbers_are_read_as_they_stand_whether_quoted_or_not_and_never_with_an_exponent() -> None:
    holding = decoded(HOLDING, Data[Holding]).data
    assert (holding.token_usd_price, holding.total_usd_val) == ("160.40", "200.5")
    assert (holding.total_holdings, holding.total_sol_val, holding.decimals) == ("1250000000", "0.000000005", 9)
    assert b'"totalSolval":"0.000000005"' in msgspec.json.encode(holding)


@pytest.mark.parametrize(
    "value", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b'"1e5"', b'"x"', b"[]", b"null", b"9" * 5000]
)
def test_what_is_no_number_is_not_read_as_one(value: bytes) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError)):
        decoded(HOLDING.replace(b"160.40", value), Data[Holding])


def test_what_goes_out_are_exact_numbers_and_only_what_was_given() -> None:
    sent = Sent(recipient="r", token="t", amount=Decimal("0.100000000000000001"))
    assert encoded(sent) == b'{"recipient":"r","token":"t","amount":0.100000000000000001}'
    assert encoded(NewAmount(type="relative", percentage=Decimal(50))) == b'{"type":"relative","percentage":50}'
    shares = Shares(promising_memes=Decimal(60), x_stocks=Decimal(40))
    assert encoded(shares) == b'{"promising-memes":60,"xStocks":40}'


def test_times_have_a_zone() -> None:
    assert at_ms("2025-01-01T00:00:00.250Z") == 1_735_689_600_250
    for text in ("2025-01-01T00:00:00", "yesterday"):
        with pytest.raises(ValueError, match=r"zone|isoformat"):
            at_ms(text)


def test_a_number_with_more_places_than_money_has_is_cut_and_a_vast_one_is_none() -> None:
    assert number("0.1234567890123456789012") == Decimal("0.123456789012345679")
    with pytest.raises(ValueError, match="sane"):
        number("1" + "0" * 40)
