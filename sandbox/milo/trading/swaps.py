"""Carrying out an order: what it costs or brings at this moment, and the exchange of both on the chain.

The market maker takes the other side. What is paid with is USDC where it covers the whole, else SOL; sales bring USDC.
SOL itself is bought with USDC, and USDC with SOL. The venue's fee goes to its treasury in the same transaction, which
the wallet pays the chain for.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, NamedTuple

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from sandbox.milo.chain import FEE_PER_SIGNATURE, ChainError
from sandbox.milo.core import Core
from sandbox.milo.tokens import SOL, USDC, Token
from sandbox.milo.trading.orders import Fill
from sandbox.milo.wallets import Wallet

FEE_BPS: Final = 20
LEAST_USD: Final = Decimal("0.01")
_FEE: Final = Decimal(FEE_BPS) / 10_000
# Signed by the wallet and the market maker.
_CHAIN_FEE: Final = 2 * FEE_PER_SIGNATURE


class CannotTrade(Exception):
    """The order cannot be carried out now. Says what is missing."""


class Quote(NamedTuple):
    """A trade at this moment's prices.

    Of a buy ``paid_units`` go to the market maker and ``fee_units`` to the treasury; of a sale ``paid_units`` come from
    the market maker, and ``fee_units`` of them go to the treasury. ``value_usd`` and ``fee_usd`` are what these units
    are worth, so that what a position has made is what the wallet has more.
    """

    units: int
    price_usd: Decimal
    value_usd: Decimal
    fee_usd: Decimal
    paid_token: Token
    paid_units: int
    fee_units: int


class Swaps:
    """``spoken_for`` are lamports of a wallet that are not to be spent: those of a position in SOL."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def buy_units(self, wallet: Wallet, token: Token, units: int, spoken_for: int) -> Fill:
        """Buy so many of a token's smallest units.

        :raises CannotTrade: too little to pay with, or too small.
        """
        price = self._buy_price(token, token.amount(units) * self._price(token))
        return self._buy(wallet, token, units, price, spoken_for)

    def buy_usd(self, wallet: Wallet, token: Token, usd: Decimal, spoken_for: int) -> Fill:
        """Spend so many US dollars, the fee among them.

        :raises CannotTrade: too little to pay with, or too small.
        """
        price = self._buy_price(token, usd)
        return self._buy(wallet, token, token.units(usd / (1 + _FEE) / price), price, spoken_for)

    def sell(self, wallet: Wallet, token: Token, units: int) -> Fill:
        """Sell so much.

        :raises CannotTrade: not so much there, too small, or no SOL for the chain's fee.
        """
        amount = token.amount(units)
        price = self._core.market.sell_price(token, self._second, amount * self._price(token))
        value = amount * price
        received = SOL if token is USDC else USDC
        rate = self._price(received)
        gross = _units(received, value / rate, ROUND_FLOOR)
        fee = _units(received, value * _FEE / rate, ROUND_CEILING)
        if value < LEAST_USD or gross <= fee:
            raise CannotTrade(f"It is worth {value:.6f} USD: too small, expected at least {LEAST_USD} USD")
        quote = Quote(units, price, received.amount(gross) * rate, received.amount(fee) * rate, received, gross, fee)
        self._require(wallet, token, units, 0)
        return self._settle(wallet, self._sale(wallet, token, quote), quote)

    def spendable(self, wallet: Wallet, token: Token, spoken_for: int = 0) -> int:
        """What a wallet can give of a token: of SOL, what is left beside fees, rent and ``spoken_for``."""
        balance = self._core.chain.balance(wallet.address, token)
        if not token.is_native:
            return balance
        return max(0, balance - self._overhead(wallet, USDC) - spoken_for)

    @property
    def _second(self) -> int:
        return self._core.now_ms // 1_000

    def _price(self, token: Token) -> Decimal:
        return self._core.market.price(token, self._second)

    def _buy_price(self, token: Token, usd: Decimal) -> Decimal:
        return self._core.market.buy_price(token, self._second, usd)

    def _buy(self, wallet: Wallet, token: Token, units: int, price: Decimal, spoken_for: int) -> Fill:
        value = token.amount(units) * price
        if units <= 0 or value < LEAST_USD:
            raise CannotTrade(f"It is worth {value:.6f} USD: too small, expected at least {LEAST_USD} USD")
        quote = self._affordable(wallet, token, units, price, value, spoken_for)
        return self._settle(wallet, self._purchase(wallet, token, quote), quote)

    def _affordable(
        self, wallet: Wallet, token: Token, units: int, price: Decimal, value: Decimal, spoken_for: int
    ) -> Quote:
        missing = []
        for paid in _paid_with(token):
            rate = self._price(paid)
            cost = _units(paid, value * (1 + _FEE) / rate, ROUND_CEILING)
            fee = _units(paid, value * _FEE / rate, ROUND_FLOOR)
            there = self.spendable(wallet, paid, spoken_for)
            if cost <= there:
                self._require(wallet, paid, cost, spoken_for, opened=token)
                worth, fee_worth = paid.amount(cost - fee) * rate, paid.amount(fee) * rate
                return Quote(units, price, worth, fee_worth, paid, cost - fee, fee)
            missing.append(f"{paid.text(cost)} (there are {paid.text(there)} to spend)")
        raise CannotTrade(f"Insufficient funds: it takes {' or '.join(missing)}")

    def _require(self, wallet: Wallet, token: Token, units: int, spoken_for: int, opened: Token = USDC) -> None:
        """:raises CannotTrade: the wallet lacks the tokens to give, or SOL for the chain's fee and a new account."""
        balance = self._core.chain.balance(wallet.address, token)
        if not token.is_native and balance < units:
            raise CannotTrade(f"Insufficient funds: it takes {token.text(units)}, there are {token.text(balance)}")
        needed = self._overhead(wallet, opened) + (units + spoken_for if token.is_native else 0)
        lamports = self._core.chain.balance(wallet.address, SOL)
        if lamports < needed:
            raise CannotTrade(
                f"Insufficient funds: it takes {SOL.text(needed)}, the chain's fees among them, "
                f"there are {SOL.text(lamports)}"
            )

    def _overhead(self, wallet: Wallet, opened: Token) -> int:
        """Lamports that a trade takes beside what is traded, and that must stay."""
        chain = self._core.chain
        rent = 0 if chain.has_account(wallet.address, opened) else chain.token_account_rent
        return _CHAIN_FEE + rent + chain.least_lamports

    def _purchase(self, wallet: Wallet, token: Token, quote: Quote) -> Sequence[Instruction]:
        fee = self._to_us(wallet, quote.paid_token, quote.fee_units, self._core.chain.treasury)
        return [
            *self._to_us(wallet, quote.paid_token, quote.paid_units, self._maker),
            # The fee of the smallest trades is less than a unit.
            *(fee if quote.fee_units else ()),
            *self._from_us(wallet, token, quote.units),
        ]

    def _sale(self, wallet: Wallet, token: Token, quote: Quote) -> Sequence[Instruction]:
        return [
            *self._to_us(wallet, token, quote.units, self._maker),
            *self._from_us(wallet, quote.paid_token, quote.paid_units),
            *self._to_us(wallet, quote.paid_token, quote.fee_units, self._core.chain.treasury),
        ]

    @property
    def _maker(self) -> str:
        return str(self._core.chain.market_maker.address)

    def _to_us(self, wallet: Wallet, token: Token, units: int, recipient: str) -> Sequence[Instruction]:
        return self._core.chain.transfer_steps(Pubkey.from_string(wallet.address), recipient, token, units)

    def _from_us(self, wallet: Wallet, token: Token, units: int) -> Sequence[Instruction]:
        chain = self._core.chain
        payer = Pubkey.from_string(wallet.address)
        return chain.transfer_steps(chain.market_maker.address, wallet.address, token, units, payer)

    def _settle(self, wallet: Wallet, steps: Sequence[Instruction], quote: Quote) -> Fill:
        chain = self._core.chain
        try:
            signature = chain.send(steps, [chain.signer(wallet.address), chain.market_maker], self._core.now_ms)
        except ChainError as error:
            raise CannotTrade(str(error)) from error
        return Fill(
            signature=signature,
            at_ms=self._core.now_ms,
            units=quote.units,
            price_usd=quote.price_usd,
            value_usd=quote.value_usd,
            fee_usd=quote.fee_usd,
            paid_token=quote.paid_token.address,
            paid_units=quote.paid_units,
        )


def _paid_with(token: Token) -> Sequence[Token]:
    if token is USDC:
        return (SOL,)
    return (USDC,) if token is SOL else (USDC, SOL)


def _units(token: Token, amount: Decimal, rounding: str) -> int:
    return int(amount.scaleb(token.decimals).to_integral_value(rounding))
