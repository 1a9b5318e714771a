"""A real geth and a node of ours on one chain: what each says first, what each fetches from the other, and transactions both ways."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio

from devp2p import Node, Peer, PrivateKey, keccak256, open_node
from devp2p.capabilities.eth import Eth, EthPeer, eth
from devp2p.capabilities.eth.pool import TransactionPool
from devp2p.capabilities.ethereum.blocks import Header, Transaction
from devp2p.capabilities.ethereum.store import SqliteChain
from devp2p.capabilities.snap import Snap, SnapPeer, snap, walk_accounts, walk_slots
from devp2p.capability.definition import AnyCapability
from tests.interop import chains
from tests.interop.chains import LENGTH, Exported
from tests.interop.encodings import data, printed
from tests.interop.geth_node import Geth, RpcError, geth_node
from tests.interop.peers import PATIENCE

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]

LARGE = 14
"""The block whose receipts are larger than any message of eth/69."""
ETH_VERSIONS = (69, 70, 71, 72)
SNAP_VERSIONS = (1, 2)
RECIPIENT = bytes(19) + b"\xaa"


@asynccontextmanager
async def our_node(
    chain: SqliteChain,
    *,
    versions: tuple[int, ...] = ETH_VERSIONS,
    snaps: tuple[int, ...] = SNAP_VERSIONS,
    pool: TransactionPool | None = None,
) -> AsyncIterator[Node]:
    """A node that serves the chain."""
    capabilities: list[AnyCapability] = [*eth(chain, pool=pool, versions=versions), *snap(chain, chain, versions=snaps)]
    async with open_node(PrivateKey.generate(), capabilities, listen=["tcp://127.0.0.1:0"], strict=True) as node:
        yield node


async def ready(peer: Peer) -> EthPeer:
    """The handle of a peer whose Status fits."""
    with trio.fail_after(PATIENCE):
        return await peer.ready(Eth)


def transaction(nonce: int, *, of: int) -> Transaction:
    """A good transaction of one of the accounts."""
    unsigned = Transaction(
        chain_id=chains.CHAIN_ID, nonce=nonce, to=RECIPIENT, value=1, max_fee=10**9, max_priority_fee=10**6, gas_limit=30_000
    )
    return unsigned.signed(chains.accounts()[of][1])


async def fetch_blocks(peer: EthPeer) -> tuple[Header, ...]:
    """Fetch the whole chain in a version of eth. What comes is checked by the handle, so here it only has to be all."""
    headers = await peer.headers(0, LENGTH + 1)
    assert [header.number for header in headers] == list(range(LENGTH + 1))
    assert headers[-1].hash == peer.range.latest_hash
    assert await peer.headers(headers[-1].hash, 3, skip=9, reverse=True) == (headers[600], headers[590], headers[580])
    for at in range(0, LENGTH + 1, 256):
        part = headers[at : at + 256]
        assert None not in await peer.bodies(part)
        small = [header for header in part if peer.version > 69 or header.number != LARGE]
        assert None not in await peer.receipts(small)
        if peer.version >= 71:
            lists = await peer.access_lists(part)
            assert [found is not None for found in lists] == [header.access_list_hash is not None for header in part]
    return headers


async def fetch_state(peer: SnapPeer, headers: tuple[Header, ...]) -> None:
    """Fetch the newest state in a version of snap, and compare it with what the suites say of it."""
    dump = json.loads((chains.suite_files() / "headstate.json").read_text())["accounts"].values()
    root = headers[-1].state_root
    accounts = {key: account async for key, account in walk_accounts([peer], root)}
    assert {key: (account.nonce, account.balance) for key, account in accounts.items()} == {
        bytes.fromhex(one["key"][2:]): (one["nonce"], int(one["balance"])) for one in dump
    }
    for one in dump:
        key = bytes.fromhex(one["key"][2:])
        slots = {slot: value async for slot, value in walk_slots([peer], root, key, accounts[key])}
        assert slots == {keccak256(bytes.fromhex(slot[2:])): int(value, 16) for slot, value in one.get("storage", {}).items()}
    codes = await peer.byte_codes([account.code_hash for account in accounts.values()])
    assert {bytes.fromhex(one.get("code", "0x")[2:]) for one in dump} == set(codes.values())
    if peer.version == 1:
        assert list(await peer.trie_nodes(root, {(b"\x00",): root})) == [(b"\x00",)]
    else:
        assert None not in await peer.access_lists(headers[-100:])


async def test_we_fetch_everything_from_geth_in_each_version_and_tell_each_other_transactions(chain: SqliteChain, exported: Exported):
    async with geth_node(exported.genesis, exported.blocks, "--snap.v2") as geth:
        assert await geth.follow(*chains.told()) == "VALID"  # from here on it takes transactions
        for version in ETH_VERSIONS:
            snaps = SNAP_VERSIONS[version % 2 :][:1]
            pool = TransactionPool(chain, chain)
            async with our_node(chain, versions=(version,), snaps=snaps, pool=pool) as node:
                if version == ETH_VERSIONS[-1]:
                    arriving = node.peers(Eth)
                    await geth.call("admin_addPeer", node.enode)
                    with trio.fail_after(PATIENCE):
                        connected = await anext(arriving)
                else:
                    connected = await node.connect(geth.enode)
                peer = await ready(connected)
                assert (peer.version, peer.status.version, peer.head) == (version, version, LENGTH)
                assert peer.status.fork_id == chain.network.fork_id(chain.head.number, chain.head.timestamp)
                theirs = await seen_by(geth, node)
                assert theirs["protocols"]["eth"]["version"] == version
                headers = await fetch_blocks(peer)
                await fetch_state(await connected.ready(Snap), headers)
                await exchange_transactions(geth, pool, at=version - ETH_VERSIONS[0])


async def seen_by(geth: Geth, node: Node) -> dict[str, Any]:
    """What geth says of our node."""
    with trio.fail_after(PATIENCE):
        while True:
            for peer in await geth.call("admin_peers"):
                if bytes(node.public_key).hex() in peer["enode"] and isinstance(peer["protocols"].get("eth"), dict):
                    return dict(peer)
            await trio.sleep(0.05)


async def exchange_transactions(geth: Geth, pool: TransactionPool, *, at: int) -> None:
    """One of ours reaches geth's pool, and one of geth's ours."""
    ours, theirs = transaction(at, of=2), transaction(at, of=3)
    await pool.add(ours)
    await geth.until("eth_getRawTransactionByHash", "0x" + ours.hash.hex(), be="0x" + ours.envelope.hex())
    assert await geth.call("eth_sendRawTransaction", "0x" + theirs.envelope.hex()) == "0x" + theirs.hash.hex()
    await taken(pool, theirs)
    assert theirs in pool.pending()


@pytest.mark.usefixtures("chaintool")
async def test_go_ethereum_fetches_everything_from_us_in_each_version(chain: SqliteChain, exported: Exported):
    """And checks it by the headers, and the state by its proofs."""
    async with our_node(chain) as node:
        for version in ETH_VERSIONS:
            kinds = ["headers", "bodies", "receipts", *(["bals"] if version > 70 else []), "accounts"]
            start = LARGE + 1 if version == ETH_VERSIONS[0] else 1
            brought = await chains.fetched(exported.genesis, node.enode, kinds, "-eth", str(version), "-start", str(start))
            assert brought["status"]["version"] == version
            assert {kind: brought[kind]["items"] for kind in kinds[:-1]} == dict.fromkeys(kinds[:-1], LENGTH - start + 1)
            assert brought["accounts"]["items"] == 48


@pytest.mark.parametrize(("sync", "arguments"), [("full", []), ("snap", []), ("snap", ["--snap.v2"])], ids=["full", "snap/1", "snap/2"])
async def test_an_empty_geth_syncs_from_our_node(chain: SqliteChain, exported: Exported, sync: str, arguments: list[str]):
    """It asks for headers backwards, for bodies and, if it does not execute all blocks itself, for receipts and a state."""
    async with our_node(chain) as node, geth_node(exported.genesis, None, *arguments, sync=sync) as geth:
        arriving = node.peers(Eth)
        await geth.call("admin_addPeer", node.enode)
        with trio.fail_after(PATIENCE):
            peer = await anext(arriving)
        assert peer[Eth].head == 0
        assert await geth.follow(*chains.told()) == "SYNCING"
        await geth.until("eth_blockNumber", be=hex(LENGTH))
        latest = await geth.call("eth_getBlockByNumber", "latest", False)  # noqa: FBT003
        assert latest["hash"] == "0x" + chain.head.hash.hex()
        large = await geth.call("eth_getBlockByNumber", hex(LARGE), False)  # noqa: FBT003
        receipts = await geth.call("eth_getBlockReceipts", hex(LARGE))
        assert [receipt["transactionHash"] for receipt in receipts] == large["transactions"]
        state = geth.call("eth_getBalance", chains.accounts()[2][0], hex(LENGTH - 100))
        if sync == "full":
            assert int(await state, 16) > 0
        else:  # it has executed the last blocks only, from a state that it got from us
            with pytest.raises(RpcError):
                await state
            assert int(await geth.call("eth_getBalance", chains.accounts()[2][0], "latest"), 16) > 0


def blob_transaction(*, of: int) -> Transaction:
    """A good transaction with a blob, whose sidecar go-ethereum has computed."""
    samples = [Transaction.decode(data(line["item"])) for line in printed()["transaction"]]
    (sample,) = (one for one in samples if one.sidecar is not None and one.sidecar.version == 1 and one.sidecar.blobs)
    unsigned = replace(sample, nonce=0, to=RECIPIENT, max_fee=10**9, max_priority_fee=10**6, max_blob_fee=10**9)
    return unsigned.signed(chains.accounts()[of][1])


@pytest.mark.parametrize("version", [71, 72])
async def test_blobs_go_both_ways(chain: SqliteChain, exported: Exported, version: int):
    """Before eth/72 with their transaction, and in eth/72 as cells."""
    theirs, ours = (blob_transaction(of=account) for account in (6, 7))
    pools = [TransactionPool(chain, chain) for _ in range(2)]
    await pools[0].warm_up()
    async with (
        geth_node(exported.genesis, exported.blocks) as geth,
        our_node(chain, versions=(version,), pool=pools[0]) as first,
        our_node(chain, versions=(version,), pool=pools[1]) as second,
    ):
        assert await geth.follow(*chains.told()) == "VALID"
        for node in (first, second):  # it takes a sample of cells only if two have them
            assert (await ready(await node.connect(geth.enode))).version == version
        assert await geth.call("eth_sendRawTransaction", "0x" + theirs.network_envelope.hex()) == "0x" + theirs.hash.hex()
        for pool in pools:
            assert (await taken(pool, theirs)).sidecar == theirs.sidecar
            await pool.add(ours)
        await geth.until("eth_getTransactionCount", chains.accounts()[7][0], "pending", be="0x1")
        found = await geth.call("eth_getTransactionByHash", "0x" + ours.hash.hex())
        assert found["blobVersionedHashes"] == ["0x" + name.hex() for name in ours.blob_hashes]


async def taken(pool: TransactionPool, wanted: Transaction) -> Transaction:
    """Wait until a transaction is in our pool, with all that belongs to it."""
    with trio.fail_after(PATIENCE):
        while (found := pool.get(wanted.hash)) is None:  # noqa: ASYNC110  (it tells nobody)
            await trio.sleep(0.02)
        return found
