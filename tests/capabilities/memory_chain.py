"""A chain of real blocks in memory, as a user may write one: roots and hashes are true, signatures are of a key."""

from collections.abc import Sequence
from dataclasses import replace

import trio

from devp2p import PrivateKey, keccak256
from devp2p.capabilities.ethereum import Head, Network
from devp2p.capabilities.ethereum.blocks import (
    AccountChanges,
    Body,
    Header,
    Log,
    Receipt,
    Transaction,
    Withdrawal,
    encode_access_list,
    receipts_root,
    transactions_root,
)
from devp2p.capabilities.ethereum.tries import list_root

KEY = PrivateKey(bytes(31) + b"\x07")
AMSTERDAM = 10


class MemoryChain:
    """Blocks 0 to `length`; block n has ``n % 4`` transactions, with `logs` of `log_size` each, and from `AMSTERDAM` on an access list."""

    def __init__(self, length: int = 20, *, logs: int = 1, log_size: int = 8, gas: int = 2**18, name: bytes = b"") -> None:
        self._bodies: dict[bytes, bytes] = {}
        self._receipts: dict[bytes, list[bytes]] = {}
        self._access_lists: dict[bytes, bytes] = {}
        self.chain: list[Header] = []
        nonce = 0
        for number in range(length + 1):
            count = number % 4
            transactions = [
                Transaction(type=2 * (at % 2), chain_id=1, nonce=nonce + at, to=bytes(20), gas_limit=50_000).signed(KEY)
                for at in range(count)
            ]
            nonce += count
            withdrawals = (Withdrawal(index=number, validator_index=1, address=bytes(20), amount=5).raw,)
            body = Body(tuple(one.item for one in transactions), (), withdrawals)
            log = Log(b"\x01" * 20, (keccak256(b"topic"),), bytes(log_size))
            receipts = [Receipt(one.type, b"\x01", 21_000 * (at + 1), (log,) * logs).raw for at, one in enumerate(transactions)]
            access_list = encode_access_list([AccountChanges(bytes(19) + b"\x01", nonce_changes=((1, number),))])
            self._add(name, body, receipts, access_list if number >= AMSTERDAM else None, gas)
        genesis = self.chain[0]
        self.network = Network.of(network_id=1337, chain_id=1, genesis=genesis.hash, timestamp=genesis.timestamp, times=[10**9])
        self.head = Head(length, self.chain[-1].hash, self.chain[-1].timestamp)
        self.asked: list[str] = []
        """Which methods were called."""
        self.gate: trio.Event | None = None
        """If it is set, methods wait for it."""

    def _add(self, name: bytes, body: Body, receipts: list[bytes], access_list: bytes | None, gas: int) -> None:
        number = len(self.chain)
        header = Header(
            parent_hash=self.chain[-1].hash if self.chain else bytes(32),
            coinbase=bytes(20),
            state_root=keccak256(name),
            transactions_root=transactions_root(body.transactions),
            receipts_root=receipts_root(receipts),
            number=number,
            gas_limit=2**40,
            gas_used=gas if receipts else 0,
            timestamp=1000 + 12 * number,
            base_fee=7,
            withdrawals_root=list_root(body.withdrawals or ()),
            blob_gas_used=0,
            excess_blob_gas=0,
            parent_beacon_root=bytes(32),
            requests_hash=bytes(32),
            access_list_hash=None if access_list is None else keccak256(access_list),
        )
        self.chain.append(header)
        self._bodies[header.hash] = body.raw
        self._receipts[header.hash] = receipts
        if access_list is not None:
            self._access_lists[header.hash] = access_list

    def move(self, number: int) -> None:
        """Say that the head is another block of the chain."""
        self.head = replace(self.head, number=number, hash=self.chain[number].hash, timestamp=self.chain[number].timestamp)

    def forget(self, number: int) -> None:
        """Lose the body and the receipts of a block."""
        del self._bodies[self.chain[number].hash], self._receipts[self.chain[number].hash]

    def body_of(self, number: int) -> bytes:
        return self._bodies[self.chain[number].hash]

    def receipts_of(self, number: int) -> list[bytes]:
        return self._receipts[self.chain[number].hash]

    def access_list_of(self, number: int) -> bytes:
        return self._access_lists[self.chain[number].hash]

    async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:
        await self._asked("headers")
        assert skip < 2**63
        assert size > 0
        number = start if isinstance(start, int) else next((one.number for one in self.chain if one.hash == start), None)
        if number is None:
            return []
        step = -skip - 1 if reverse else skip + 1
        wanted = [number + step * index for index in range(count)]
        return [self.chain[one].raw for one in wanted if 0 <= one <= self.head.number]

    async def bodies(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        await self._asked("bodies")
        assert size > 0
        return [self._bodies[one] for one in hashes if one in self._bodies]

    async def receipts(self, hashes: Sequence[bytes], *, size: int) -> Sequence[Sequence[bytes]]:
        await self._asked("receipts")
        assert size > 0
        found: list[Sequence[bytes]] = []
        for one in hashes:
            if one not in self._receipts:
                break
            found.append(self._receipts[one])
        return found

    async def access_lists(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes | None]:
        await self._asked("access_lists")
        assert size > 0
        return [self._access_lists.get(one) for one in hashes]

    async def _asked(self, what: str) -> None:
        self.asked.append(what)
        if self.gate is not None:
            await self.gate.wait()
