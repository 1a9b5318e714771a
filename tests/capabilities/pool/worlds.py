"""Pools that are linked in memory without sessions, a chain whose accounts a test sets, and a peer that does what a test says."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import trio
import trio.lowlevel

from devp2p import ConductReport, PrivateKey, RemoteProtocolError, keccak256
from devp2p.capabilities.eth.pool import CellGroups, PoolLimits, Prover, TransactionPool
from devp2p.capabilities.ethereum import Account, Head, Network, Range
from devp2p.capabilities.ethereum.blocks import Header, Transaction, address_of

CHAIN_ID = 1337
ETHER = 10**18
UPGRADES = ("homestead", "eip150", "eip155", "byzantium", "constantinople", "istanbul", "berlin", "london")
KEYS = [PrivateKey(bytes(31) + bytes([number])) for number in range(1, 60)]
ADDRESSES = [address_of(key) for key in KEYS]
TO = b"\xaa" * 20


class LittleChain:
    """Heads without blocks behind them, and accounts: all that a pool asks for."""

    def __init__(self, upgrades: Sequence[str] = ("shanghai", "cancun", "prague", "osaka")) -> None:
        self.network = Network.of(network_id=1, chain_id=CHAIN_ID, genesis=bytes(32), upgrades=dict.fromkeys((*UPGRADES, *upgrades), 0))
        self.all_accounts = {address: Account(0, 100 * ETHER, bytes(32), keccak256(b"")) for address in ADDRESSES}
        self.all_codes: dict[bytes, bytes] = {}
        self.header = Header(
            parent_hash=bytes(32),
            coinbase=bytes(20),
            state_root=bytes(32),
            transactions_root=bytes(32),
            receipts_root=bytes(32),
            number=1,
            gas_limit=30_000_000,
            gas_used=15_000_000,
            timestamp=12,
            base_fee=7,
            withdrawals_root=bytes(32),
            blob_gas_used=0,
            excess_blob_gas=0,
            parent_beacon_root=bytes(32),
            requests_hash=bytes(32),
        )
        self.reads = 0

    @property
    def head(self) -> Head:
        return Head(self.header.number, self.header.hash, self.header.timestamp)

    def advance(self, accounts: dict[bytes, Account] | None = None, **changes: Any) -> None:
        """Go to another head, with other accounts."""
        number = self.header.number + 1
        self.header = replace(self.header, parent_hash=self.header.hash, number=number, timestamp=12 * number, **changes)
        self.all_accounts |= accounts or {}

    async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        return [self.header.raw] if start in {self.header.hash, self.header.number} else []

    async def bodies(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:  # noqa: ARG002
        return []

    async def receipts(self, hashes: Sequence[bytes], *, size: int) -> Sequence[Sequence[bytes]]:  # noqa: ARG002
        return []

    async def access_lists(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes | None]:  # noqa: ARG002
        return []

    async def account(self, address: bytes) -> Account | None:
        self.reads += 1
        await trio.lowlevel.checkpoint()
        return self.all_accounts.get(address)

    async def codes(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:  # noqa: ARG002
        return [self.all_codes[name] for name in hashes if name in self.all_codes]

    async def accounts(self, root: bytes, start: bytes, limit: bytes, *, size: int) -> Range | None:
        raise NotImplementedError

    async def slots(self, root: bytes, accounts: Sequence[bytes], start: bytes, limit: bytes, *, size: int) -> Sequence[Range] | None:
        raise NotImplementedError

    async def nodes(self, root: bytes, paths: Sequence[Sequence[bytes]], *, size: int) -> Sequence[bytes]:
        raise NotImplementedError


def transfer(sender: int = 0, nonce: int = 0, tip: int = 10, **fields: Any) -> Transaction:
    """A transaction of one of the `KEYS`."""
    values: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "nonce": nonce,
        "max_priority_fee": tip,
        "max_fee": 100 + tip,
        "gas_limit": 50_000,
        "to": TO,
    } | fields
    return Transaction(**values).signed(KEYS[sender])


def pool_of(chain: LittleChain | None = None, *, prover: Prover | None = None, seed: int = 1, **limits: Any) -> TransactionPool:
    chain = chain or LittleChain()
    return TransactionPool(chain, chain, limits=PoolLimits(**limits), prover=prover, random=Random(seed))


@dataclass(eq=False)
class Wire:
    """One direction of a link: what a pool sees of another, which takes what it is sent in a task of its own, as eth does."""

    target: TransactionPool
    version: int = 72
    conduct: ConductReport = field(default_factory=ConductReport)
    back: "Wire" = field(init=False)
    log: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list[tuple[str, tuple[Any, ...]]])

    def __post_init__(self) -> None:
        self._sender, self._receiver = trio.open_memory_channel[tuple[str, tuple[Any, ...]]](100)

    async def send_transactions(self, items: Sequence[bytes]) -> None:
        self.log.append(("whole", (items,)))
        await self._sender.send(("received", (items,)))

    async def announce(self, types: bytes, sizes: Sequence[int], hashes: Sequence[bytes], cells: int) -> None:
        self.log.append(("announced", (types, sizes, hashes, cells)))
        await self._sender.send(("announced", (types, sizes, hashes, cells if self.version >= 72 else 0)))

    async def fetch_transactions(self, hashes: Sequence[bytes]) -> Sequence[bytes]:
        self.log.append(("fetch", (hashes,)))
        await trio.sleep(0.01)
        return await self.target.transactions(self.back, hashes, size=2**21)

    async def fetch_cells(self, hashes: Sequence[bytes], columns: int) -> CellGroups:
        self.log.append(("cells", (hashes, columns)))
        await trio.sleep(0.01)
        return await self.target.cells(self.back, hashes, columns, size=2**21)

    async def deliver(self) -> None:
        async for name, arguments in self._receiver:
            await getattr(self.target, name)(self.back, *arguments)

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        """What went this way, of one kind."""
        return [arguments for name, arguments in self.log if name == kind]

    def told(self) -> list[bytes]:
        """The hashes of all that was sent or announced."""
        whole = [Transaction.decode(item).hash for (items,) in self.of("whole") for item in items]
        return whole + [name for _, _, names, _ in self.of("announced") for name in names]


@asynccontextmanager
async def linked(
    *pools: TransactionPool, version: int = 72, pairs: Sequence[tuple[int, int]] | None = None
) -> AsyncGenerator[dict[tuple[int, int], Wire]]:
    """Link pools, each to each or as `pairs` say; (i, j) is what pool i sees of pool j."""
    pairs = pairs if pairs is not None else [(i, j) for i in range(len(pools)) for j in range(i)]
    wires: dict[tuple[int, int], Wire] = {}
    async with trio.open_nursery() as nursery:
        for i, j in pairs:
            there, back = Wire(pools[j], version), Wire(pools[i], version)
            there.back, back.back = back, there
            wires |= {(i, j): there, (j, i): back}
        for (i, _), wire in wires.items():
            nursery.start_soon(pools[i].run, wire)
        for wire in wires.values():
            nursery.start_soon(wire.deliver)
        yield wires
        nursery.cancel_scope.cancel()


@dataclass(eq=False)
class Script:
    """A peer that a test plays; it answers by functions, by default nothing."""

    version: int = 72
    conduct: ConductReport = field(default_factory=ConductReport)
    answer: Callable[[Sequence[bytes]], Sequence[bytes]] | None = None
    answer_cells: Callable[[Sequence[bytes], int], CellGroups] | None = None
    whole: list[bytes] = field(default_factory=list[bytes])
    announced: list[tuple[bytes, Sequence[int], Sequence[bytes], int]] = field(
        default_factory=list[tuple[bytes, Sequence[int], Sequence[bytes], int]]
    )
    asked: list[Sequence[bytes]] = field(default_factory=list[Sequence[bytes]])
    asked_cells: list[tuple[Sequence[bytes], int]] = field(default_factory=list[tuple[Sequence[bytes], int]])
    ended: BaseException | None = None

    async def send_transactions(self, items: Sequence[bytes]) -> None:
        self.whole += [Transaction.decode(item).hash for item in items]

    async def announce(self, types: bytes, sizes: Sequence[int], hashes: Sequence[bytes], cells: int) -> None:
        self.announced.append((types, sizes, hashes, cells))

    async def fetch_transactions(self, hashes: Sequence[bytes]) -> Sequence[bytes]:
        self.asked.append(hashes)
        await trio.sleep(0.01)
        if self.answer is None:
            await trio.sleep_forever()
            raise AssertionError
        return self.answer(hashes)

    async def fetch_cells(self, hashes: Sequence[bytes], columns: int) -> CellGroups:
        self.asked_cells.append((hashes, columns))
        await trio.sleep(0.01)
        if self.answer_cells is None:
            await trio.sleep_forever()
            raise AssertionError
        return self.answer_cells(hashes, columns)

    @property
    def told(self) -> set[bytes]:
        """All that it was told of."""
        return {*self.whole, *(name for _, _, names, _ in self.announced for name in names)}

    @property
    def faults(self) -> int:
        return self.conduct.total.invalid

    async def run(self, pool: TransactionPool) -> None:
        """Be a session, until the pool ends it."""
        try:
            await pool.run(self)
        except* RemoteProtocolError as group:
            (self.ended,) = group.exceptions
            while isinstance(self.ended, ExceptionGroup):
                (self.ended,) = self.ended.exceptions


@asynccontextmanager
async def scripted(pool: TransactionPool, *scripts: Script) -> AsyncGenerator[None]:
    """Run sessions of a pool with peers that a test plays."""
    async with trio.open_nursery() as nursery:
        for script in scripts:
            nursery.start_soon(script.run, pool)
        await trio.lowlevel.checkpoint()
        yield
        nursery.cancel_scope.cancel()


def announcement(*transactions: Transaction, cells: int = 0) -> tuple[bytes, list[int], list[bytes], int]:
    """What one announces these with."""
    return bytes(each.type for each in transactions), [each.size for each in transactions], [each.hash for each in transactions], cells
