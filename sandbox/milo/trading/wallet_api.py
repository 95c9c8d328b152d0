"""``/wallets/{walletId}``: what it holds, what moved, what was traded, and sending tokens."""

from __future__ import annotations

from decimal import Decimal

from solders.pubkey import Pubkey

from sandbox.milo.calls import Call, Reply
from sandbox.milo.chain import FEE_PER_SIGNATURE, ChainError
from sandbox.milo.chain_records import ChainTransaction
from sandbox.milo.core import Core
from sandbox.milo.errors import bad_request
from sandbox.milo.events import TokensSent
from sandbox.milo.pages import choice, cursor_of, cursored
from sandbox.milo.tokens import BY_ADDRESS, SOL, TOKENS, Token, known_token
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.holdings import Holdings
from sandbox.milo.trading.orders import OrderType
from sandbox.milo.trading.trades import Trade
from sandbox.milo.wallets import CHAIN, Wallet
from sandbox.milo.wire import Asked, Data, Wire, iso, neat, positive, short


class MovementShown(Wire, frozen=True, kw_only=True):
    """What the wallet gained of a token, negative for what it lost."""

    token_address: str
    amount: Decimal


class TransactionShown(Wire, frozen=True, kw_only=True):
    """``fee`` in SOL, as paid by whoever is ``fee_payer``."""

    signature: str
    slot: int
    chain: str
    status: str
    fee: Decimal
    fee_payer: str
    movements: list[MovementShown]
    created_at: str


class ExecutedShown(Wire, frozen=True, kw_only=True):
    """``amount`` of the token against ``paid_amount`` of ``paid_token_address``; money in US dollars."""

    id: str
    order_id: str
    thesis_id: str | None
    wallet_id: str
    tx_type: OrderType
    token_address: str
    signature: str
    amount: Decimal
    price: Decimal
    value: Decimal
    fee: Decimal
    paid_token_address: str
    paid_amount: Decimal
    realized_pnl: Decimal | None
    created_at: str


class SendAsked(Asked, frozen=True, kw_only=True):
    recipient: str
    token: str
    amount: Decimal


def holdings(call: Call) -> Reply:
    """``GET /wallets/{walletId}/holdings``: the tokens of which there is something, the dearest first"""
    core, wallet = call.core, call.wallet
    held = {token.address: core.chain.balance(wallet.address, token) for token in TOKENS}
    return Reply(Data(Holdings(core).of(wallet.wallet_id, held)))


def transactions(call: Call) -> Reply:
    """``GET /wallets/{walletId}/transactions``, newest first"""
    cursor, address = cursor_of(call.query), call.wallet.address
    found = call.core.chain.history(address, cursor.limit + 1, cursor.before)
    return Reply(cursored(cursor, [(tx.number, _transaction_shown(tx, address)) for tx in found]))


def executed_transactions(call: Call) -> Reply:
    """``GET /wallets/{walletId}/executed-transactions``, newest first"""
    type_ = choice(call.query, "txType", [type_.value for type_ in OrderType])
    cursor = cursor_of(call.query)
    found = Desk(call.core).trades.page(
        call.wallet.wallet_id,
        cursor,
        type_=None if type_ is None else OrderType(type_),
        token_address=call.query.get("token"),
    )
    return Reply(cursored(cursor, [(number, _executed_shown(trade)) for number, trade in found]))


def send(call: Call) -> Reply:
    """``POST /wallets/{walletId}/actions/send``"""
    asked, core, wallet = call.asked(SendAsked), call.core, call.wallet
    token = known_token(asked.token, "token")
    recipient = _recipient(asked.recipient, wallet)
    units = _sent_units(token, asked.amount)
    _check_funds(core, wallet, recipient, token, units)
    Desk(core).withdraw(wallet, token, units)
    try:
        signature = core.chain.transfer(core.chain.signer(wallet.address), recipient, token, units, core.now_ms)
    except ChainError as error:
        raise bad_request(str(error)) from error
    core.events.publish(
        TokensSent(
            user_id=call.user_id,
            at_ms=core.now_ms,
            wallet_id=wallet.wallet_id,
            token=token,
            amount=asked.amount,
            signature=signature,
        )
    )
    return Reply(Data(Data(signature)), status=202)


def _recipient(text: str, wallet: Wallet) -> str:
    """:raises ApiError: 400; no address, or the wallet's own; or nobody here can sign for the wallet."""
    if not wallet.is_held_here:
        raise bad_request("Tokens are sent from the `milo` wallet: nobody here can sign for a `signup` one")
    try:
        recipient = str(Pubkey.from_string(text))
    except ValueError:
        raise bad_request("`recipient` must be a Solana address: 32 bytes in base58", field="recipient") from None
    if recipient == wallet.address:
        raise bad_request("`recipient` is the wallet itself: expected another", field="recipient")
    return recipient


def _sent_units(token: Token, amount: Decimal) -> int:
    """:raises ApiError: 400; not above 0, or finer than the token."""
    units = token.units(positive(amount, "amount"))
    if token.amount(units) != amount:
        raise bad_request(f"`amount` has more decimals than {token.symbol}: at most {token.decimals}", field="amount")
    return units


def _check_funds(core: Core, wallet: Wallet, recipient: str, token: Token, units: int) -> None:
    """:raises ApiError: 400; too little of the token, of SOL for the chain, or to open the recipient's account with."""
    chain = core.chain
    held, lamports = chain.balance(wallet.address, token), chain.balance(wallet.address, SOL)
    if held < units:
        raise bad_request(f"The wallet holds {token.text(held)}: expected at least {token.text(units)}", field="amount")
    least = chain.least_lamports
    if token.is_native and not chain.balance(recipient, SOL) and units < least:
        raise bad_request(f"An address that has nothing must get at least {SOL.text(least)}", field="amount")
    needed = FEE_PER_SIGNATURE if chain.has_account(recipient, token) else FEE_PER_SIGNATURE + chain.token_account_rent
    needed += units if token.is_native else 0
    if lamports != needed and lamports < needed + least:
        raise bad_request(
            f"The wallet holds {SOL.text(lamports)}: expected {SOL.text(needed + least)}, the chain's fees and what an"
            " account must keep among it",
            field="amount",
        )


def _transaction_shown(transaction: ChainTransaction, address: str) -> TransactionShown:
    own = [movement for movement in transaction.movements() if movement.owner == address]
    return TransactionShown(
        signature=transaction.signature,
        slot=transaction.slot,
        chain=CHAIN,
        status="confirmed",
        fee=neat(SOL.amount(transaction.fee)),
        fee_payer=transaction.fee_payer,
        movements=[
            MovementShown(token_address=m.token_address, amount=neat(BY_ADDRESS[m.token_address].amount(m.units)))
            for m in own
            if m.token_address in BY_ADDRESS
        ],
        created_at=iso(transaction.at_ms),
    )


def _executed_shown(trade: Trade) -> ExecutedShown:
    fill = trade.fill
    return ExecutedShown(
        id=trade.trade_id,
        order_id=trade.order_id,
        thesis_id=trade.thesis_id,
        wallet_id=trade.wallet_id,
        tx_type=trade.type,
        token_address=trade.token_address,
        signature=fill.signature,
        amount=neat(BY_ADDRESS[trade.token_address].amount(fill.units)),
        price=short(fill.price_usd),
        value=short(fill.value_usd),
        fee=short(fill.fee_usd),
        paid_token_address=fill.paid_token,
        paid_amount=neat(BY_ADDRESS[fill.paid_token].amount(fill.paid_units)),
        realized_pnl=None if fill.realized_pnl_usd is None else short(fill.realized_pnl_usd),
        created_at=iso(fill.at_ms),
    )
