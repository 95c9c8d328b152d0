"""Solana in the process: a real runtime (LiteSVM) with real keys, programs and signatures; no network, no validators.

The runtime keeps its accounts in memory only. Those that were changed are stored in the same database transaction as
whatever the transfer was for, and all are set again at start.

Time on this chain is a slot per transaction, and one every 0.4 s while there are none; a slot's blockhash is a function
of its number, so that an idle chain has nothing to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, NamedTuple

from solders.account import Account
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccount, TokenAccountState
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from sandbox.milo.chain_records import ChainRecords, ChainTransaction, Change, TokenBalance
from sandbox.milo.database import Database
from sandbox.milo.programs import (
    SYSTEM_PROGRAM,
    TOKEN_PROGRAM,
    open_token_account,
    token_account,
    transfer_lamports,
    transfer_tokens,
)
from sandbox.milo.tokens import TOKENS, Token

SLOT_MS: Final = 400
# How many slots a blockhash can be used for, as on Solana.
BLOCKHASH_LIFE: Final = 150
FEE_PER_SIGNATURE: Final = 5_000
GENESIS_LAMPORTS: Final = 10**17
GENESIS_UNITS: Final = 2**62

_TOKEN_ACCOUNT_BYTES: Final = 165
_MOST_SIGNERS: Final = 4_096
_NOTHING: Final = Account(lamports=0, data=b"", owner=SYSTEM_PROGRAM)
_MARKET_MAKER: Final = "market_maker"
_TREASURY: Final = "treasury"

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS chain_roles (role TEXT PRIMARY KEY, address TEXT NOT NULL) WITHOUT ROWID
"""


class ChainError(Exception):
    """The chain did not take a transaction: nothing of it happened. Says why in a sentence for whoever sent it."""


class Signer(NamedTuple):
    """A wallet whose key is held here."""

    address: Pubkey
    keypair: Keypair


class Chain:
    """Amounts are whole numbers of the token's smallest units. SOL is native: it has no token accounts."""

    def __init__(self, db: Database) -> None:
        # What LiteSVM knows of blockhashes and repeats are only its own. Those, and the signatures of transactions that
        # come from outside, are checked here; what was signed here a moment ago needs no check.
        self._svm = LiteSVM().with_blockhash_check(False).with_transaction_history(0).with_sigverify(False)
        self._records = ChainRecords(db)
        self._db = db
        # What accounts were before they were changed, since the last commit.
        self._undo: list[tuple[Pubkey, Account | None]] = []
        # A key never changes, and taking one up costs as much as a signature.
        self._signers: dict[str, Signer] = {}
        self._slot = 0
        self.token_account_rent = self._svm.minimum_balance_for_rent_exemption(_TOKEN_ACCOUNT_BYTES)
        self.least_lamports = self._svm.minimum_balance_for_rent_exemption(0)

    def start(self) -> None:
        """Set the accounts again; make the tokens and who has them, where the file is new. In a transaction."""
        for address, account in self._records.accounts():
            self._svm.set_account(address, account)
        roles: dict[str, str] = dict(self._db.rows("SELECT role, address FROM chain_roles"))
        if not roles:
            roles = self._genesis()
        self.treasury = roles[_TREASURY]
        self.market_maker = self.signer(roles[_MARKET_MAKER])
        self._infrastructure = frozenset(roles.values())
        self._slot = self._records.last_slot()

    # Looking.

    def balance(self, owner: str | Pubkey, token: Token) -> int:
        """0 where there is no account."""
        key = _pubkey(owner)
        if token.is_native:
            return self._svm.get_balance(key) or 0
        held = self.token_balance(token_account(key, token.mint))
        return 0 if held is None else held.units

    def has_account(self, owner: str | Pubkey, token: Token) -> bool:
        """Whether ``owner`` can be sent ``token`` without an account being opened."""
        return token.is_native or self.account(token_account(_pubkey(owner), token.mint)) is not None

    def account(self, address: Pubkey) -> Account | None:
        account = self._svm.get_account(address)
        return None if account is None or not account.lamports else account

    def token_balance(self, address: Pubkey) -> TokenBalance | None:
        """What a token account holds; None where there is none."""
        return _token_balance(self._svm.get_account(address))

    def transaction(self, signature: str) -> ChainTransaction | None:
        """A confirmed transaction."""
        return self._records.by_signature(signature)

    def history(self, owner: str, limit: int, before: int | None = None) -> list[ChainTransaction]:
        """What moved anything of ``owner``'s, newest first; those with a number below ``before`` where given."""
        return self._records.history(owner, limit, before)

    def slot(self, now_ms: int) -> int:
        return max(self._slot, now_ms // SLOT_MS)

    def blockhash(self, slot: int) -> Hash:
        return Hash.from_bytes(hashlib.sha256(f"sandbox/{self.treasury}/{slot}".encode()).digest())

    def rent_exemption(self, size: int) -> int:
        return self._svm.minimum_balance_for_rent_exemption(size)

    # Keys.

    def new_keypair(self) -> Keypair:
        """Its secret is kept: the wallet is one that this venue signs for."""
        keypair = Keypair()
        self._records.put_key(keypair)
        return keypair

    def signer(self, address: str) -> Signer:
        """:raises LookupError: not a wallet that this venue signs for."""
        known = self._signers.get(address)
        if known is None:
            keypair = self._records.key(address)
            if keypair is None:
                raise LookupError(f"{address} is not held here")
            if len(self._signers) >= _MOST_SIGNERS:
                self._signers.clear()
            known = self._signers[address] = Signer(Pubkey.from_string(address), keypair)
        return known

    # Moving.

    def transfer(self, source: Signer, destination: str, token: Token, units: int, now_ms: int) -> str:
        """Send, opening the destination's token account at the sender's expense. The transaction's signature.

        :raises ChainError: the sender has too little, also for the fee.
        """
        return self.send(self.transfer_steps(source.address, destination, token, units), [source], now_ms)

    def transfer_steps(
        self, source: Pubkey, destination: str, token: Token, units: int, payer: Pubkey | None = None
    ) -> list[Instruction]:
        """``payer`` is who pays for a token account that must be opened, ``source`` where not given."""
        target = Pubkey.from_string(destination)
        if token.is_native:
            return [transfer_lamports(source, target, units)]
        steps = [transfer_tokens(source, target, token.mint, units, token.decimals)]
        if not self.has_account(target, token):
            steps.insert(0, open_token_account(payer or source, target, token.mint))
        return steps

    def send(self, steps: Sequence[Instruction], signers: Sequence[Signer], now_ms: int) -> str:
        """Carry out ``steps`` as one transaction that the first signer pays for. Its signature.

        :raises ChainError: it failed.
        """
        slot = self._next_slot(now_ms)
        message = Message.new_with_blockhash(list(steps), signers[0].address, self.blockhash(slot))
        signed = bytes(message)
        signatures = [signer.keypair.sign_message(signed) for signer in signers]
        return self._process(VersionedTransaction.populate(message, signatures), slot, now_ms)

    def submit(self, transaction: VersionedTransaction, now_ms: int) -> str:
        """A transaction that somebody else made and signed. Its signature.

        :raises ChainError: a blockhash that is too old or unknown, a repeat, a bad signature, or it failed.
        """
        message = transaction.message
        if not isinstance(message, Message | MessageV0) or _has_lookups(message):
            raise ChainError("Only transactions without address lookup tables are taken here")
        if not all(transaction.verify_with_results()):
            raise ChainError("A signature of the transaction is not valid")
        if self._records.by_signature(str(transaction.signatures[0])) is not None:
            raise ChainError("This transaction has already been processed")
        if not self.is_recent(message.recent_blockhash, now_ms):
            raise ChainError("Blockhash not found: it is too old, or of another chain")
        return self._process(transaction, self._next_slot(now_ms), now_ms)

    def is_recent(self, blockhash: Hash, now_ms: int) -> bool:
        slot = self.slot(now_ms)
        return any(self.blockhash(at) == blockhash for at in range(slot, max(slot - BLOCKHASH_LIFE, 0), -1))

    def fund(self, recipient: str, token: Token, units: int, now_ms: int) -> str:
        """From the market maker's stock, at its expense. The transaction's signature.

        :raises ChainError: not so much.
        """
        return self.transfer(self.market_maker, recipient, token, units, now_ms)

    @contextmanager
    def undoable(self) -> Iterator[None]:
        """When the block fails, the accounts are again what they were before it. May be nested."""
        mark, slot = len(self._undo), self._slot
        try:
            yield
        except BaseException:
            self._restore(mark)
            self._slot = slot
            raise

    def store(self) -> None:
        """Write what was changed: before the database commits."""
        self._records.put_accounts((address, self.account(address)) for address in {key for key, _ in self._undo})

    def committed(self) -> None:
        """What was changed is durable."""
        self._undo.clear()

    def _restore(self, mark: int) -> None:
        for address, account in reversed(self._undo[mark:]):
            self._svm.set_account(address, account or _NOTHING)
        del self._undo[mark:]

    def _next_slot(self, now_ms: int) -> int:
        # One transaction a slot: two alike differ in their blockhash, and so in their signature.
        return max(self._slot + 1, now_ms // SLOT_MS)

    def _process(self, transaction: VersionedTransaction, slot: int, now_ms: int) -> str:
        keys = _writable_keys(transaction.message)
        before, mark = [self._svm.get_account(key) for key in keys], len(self._undo)
        self._undo += zip(keys, before, strict=True)
        result = self._svm.send_transaction(transaction)
        if isinstance(result, FailedTransactionMetadata):
            # It has cost its fee; here a transaction that fails never happened.
            self._restore(mark)
            raise ChainError(_why(result))
        after = [self.account(key) for key in keys]
        self._slot = slot
        self._record(transaction, slot, now_ms, result.fee(), _changes(keys, before, after))
        return str(transaction.signatures[0])

    def _record(
        self, transaction: VersionedTransaction, slot: int, now_ms: int, fee: int, changes: Sequence[Change]
    ) -> None:
        record = ChainTransaction(
            number=0,
            signature=str(transaction.signatures[0]),
            slot=slot,
            at_ms=now_ms,
            fee=fee,
            fee_payer=str(transaction.message.account_keys[0]),
            changes=changes,
            raw=bytes(transaction),
        )
        owners = {movement.owner for movement in record.movements()}
        # The market maker takes part in everything; its history would be everybody's.
        self._records.add(record, owners - self._infrastructure)

    def _genesis(self) -> dict[str, str]:
        maker, treasury = self.new_keypair(), self.new_keypair()
        made = [
            (maker.pubkey(), Account(lamports=GENESIS_LAMPORTS, data=b"", owner=SYSTEM_PROGRAM)),
            (treasury.pubkey(), Account(lamports=self.least_lamports, data=b"", owner=SYSTEM_PROGRAM)),
        ]
        for token in TOKENS:
            if not token.is_native:
                made += self._minted(token, maker.pubkey(), treasury.pubkey())
        for address, account in made:
            self._svm.set_account(address, account)
        self._records.put_accounts(made)
        roles = {_MARKET_MAKER: str(maker.pubkey()), _TREASURY: str(treasury.pubkey())}
        self._db.executemany("INSERT INTO chain_roles VALUES (?, ?)", roles.items())
        return roles

    def _minted(self, token: Token, maker: Pubkey, treasury: Pubkey) -> list[tuple[Pubkey, Account]]:
        """The mint of a token, with no authority to make more of it, and who can hold it from the start."""
        mint = Mint(None, GENESIS_UNITS, token.decimals, True, None)
        found = [(token.mint, self._of_token_program(bytes(mint)))]
        for owner, units in ((maker, GENESIS_UNITS), (treasury, 0)):
            holding = TokenAccount(token.mint, owner, units, None, TokenAccountState.Initialized, None, 0, None)
            found.append((token_account(owner, token.mint), self._of_token_program(bytes(holding))))
        return found

    def _of_token_program(self, data: bytes) -> Account:
        return Account(lamports=self.rent_exemption(len(data)), data=data, owner=TOKEN_PROGRAM)


def _pubkey(address: str | Pubkey) -> Pubkey:
    return address if isinstance(address, Pubkey) else Pubkey.from_string(address)


def _has_lookups(message: Message | MessageV0) -> bool:
    return isinstance(message, MessageV0) and bool(message.address_table_lookups)


def _writable_keys(message: Message | MessageV0 | MessageV1) -> list[Pubkey]:
    keys, header = message.account_keys, message.header
    signed = header.num_required_signatures
    writable_signed = signed - header.num_readonly_signed_accounts
    writable_unsigned = len(keys) - header.num_readonly_unsigned_accounts
    return keys[:writable_signed] + keys[signed:writable_unsigned]


def _token_balance(account: Account | None) -> TokenBalance | None:
    if account is None or account.owner != TOKEN_PROGRAM:
        return None
    data = account.data
    if len(data) != _TOKEN_ACCOUNT_BYTES:
        return None
    # mint, owner, amount: the layout that every wallet reads.
    return TokenBalance(_base58(data[32:64]), _base58(data[:32]), int.from_bytes(data[64:72], "little"))


@lru_cache(maxsize=16_384)
def _base58(address: bytes) -> str:
    return str(Pubkey.from_bytes(address))


def _changes(
    keys: Sequence[Pubkey], before: Sequence[Account | None], after: Sequence[Account | None]
) -> tuple[Change, ...]:
    return tuple(
        Change(
            _base58(bytes(key)),
            0 if old is None else old.lamports,
            0 if new is None else new.lamports,
            _token_balance(old),
            _token_balance(new),
        )
        for key, old, new in zip(keys, before, after, strict=True)
    )


def _why(failure: FailedTransactionMetadata) -> str:
    name = str(failure.err()).removeprefix("TransactionError").removeprefix("Fieldless.")
    logs = [line for line in failure.meta().logs() if "rror" in line]
    return f"The chain refused the transaction: {name}" + (f" ({logs[-1]})" if logs else "")
