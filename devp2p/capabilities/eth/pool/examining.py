"""`Examiner`: what the chain says of a transaction, at its head."""

from dataclasses import dataclass

import trio

from devp2p import DecodingError, Devp2pError
from devp2p.capabilities.eth.pool.entries import Fault, Refusal
from devp2p.capabilities.eth.pool.judging import EMPTY_CODE, Rules, account_fault, code_fault, fault_of
from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.ethereum import Account, Chain, State
from devp2p.capabilities.ethereum.blocks import Header, Transaction

_ACCOUNTS = 16_384
_HEADER = 128 * 1024
_CODE = 64 * 1024
_AUTHORITIES_AT_ONCE = 8
"""Signatures that are verified without giving way."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A good transaction: its sender's account, and the accounts that it gives delegations."""

    account: Account | None
    delegated: bool
    authorities: frozenset[bytes]


class Examiner:
    """Examines transactions by the rules, the accounts and the codes of a chain at its head, each read once a head."""

    def __init__(self, chain: Chain, state: State, limits: PoolLimits) -> None:
        self._chain = chain
        self._state = state
        self._limits = limits
        self._head: bytes | None = None
        self._rules: Rules | None = None
        self._accounts: dict[bytes, Account | None] = {}

    @property
    def head(self) -> bytes:
        """The hash of the chain's head at this moment."""
        return self._chain.head.hash

    async def rules(self) -> Rules | None:
        """The rules behind the head; None while its header is not to be had."""
        head = self._chain.head
        if head.hash != self._head:
            self._accounts.clear()
            self._head, self._rules = head.hash, None
        if self._rules is None:
            try:
                headers = await self._chain.headers(head.hash, 1, skip=0, reverse=False, size=_HEADER)
                rules = Rules.behind(self._chain.network, Header.decode(headers[0])) if headers else None
            except Devp2pError:  # the chain's own trouble, which is no peer's fault
                return None
            if self._head == head.hash:
                self._rules = rules
            return rules
        return self._rules

    async def account(self, address: bytes) -> Account | None:
        """An account at the head, None if there is none. Devp2pError if the state cannot be read."""
        if self._head == self.head and address in self._accounts:
            return self._accounts[address]
        head = self.head
        account = await self._state.account(address)
        if self._head == head == self.head:
            if len(self._accounts) >= _ACCOUNTS:
                self._accounts.clear()
            self._accounts[address] = account
        return account

    async def examine(self, transaction: Transaction) -> Examined | Refusal:
        """Judge a transaction by itself and by its sender's account: what is cheap to find out comes first."""
        rules = await self.rules()
        if rules is None:
            return Refusal(Fault.UNSUPPORTED, "the head of the chain is not known")
        refusal = fault_of(transaction, rules, self._limits)
        if refusal is not None:
            return refusal
        try:
            account = await self.account(transaction.sender)
            refusal = account_fault(transaction, account)
            if refusal is not None:
                return refusal
            delegated = account is not None and account.code_hash != EMPTY_CODE
            if account is not None and delegated:
                codes = await self._state.codes([account.code_hash], size=_CODE)
                refusal = code_fault(codes[0] if codes else None)
                if refusal is not None:
                    return refusal
        except Devp2pError as error:  # a DecodingError as well: whatever a state raises is not the peer's fault
            return Refusal(Fault.UNSUPPORTED, f"the state cannot be read: {error}")
        return Examined(account, delegated, await _authorities(transaction))


async def _authorities(transaction: Transaction) -> frozenset[bytes]:
    """Whom a transaction gives delegations; those whose signature is not valid are passed over, as in execution (EIP-7702)."""
    found = set[bytes]()
    for number, authorization in enumerate(transaction.authorizations):
        if number % _AUTHORITIES_AT_ONCE == _AUTHORITIES_AT_ONCE - 1:
            await trio.lowlevel.checkpoint()
        try:
            found.add(authorization.authority)
        except DecodingError:
            continue
    return frozenset(found)
