"""The capabilities snap/1 and snap/2, and `snap`, which makes both over one state."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import trio

from devp2p import Capability, Channel, Entries, LocalProtocolError, NodeRecord, Peer
from devp2p.capabilities.ethereum import Chain, State, require_parts
from devp2p.capabilities.ethereum.networks import snap_entries, wants_node
from devp2p.capabilities.snap.messages import (
    SHARED,
    AccountRange,
    AnyRequest,
    BlockAccessLists,
    ByteCodes,
    GetBlockAccessLists,
    GetTrieNodes,
    SnapMessage,
    StorageRanges,
    TrieNodes,
)
from devp2p.capabilities.snap.peer import SnapPeer
from devp2p.capabilities.snap.serving import answer

_AT_ONCE = 2
"""Requests of one peer that are served at a time: while one answer waits for the line, the next is looked up."""
_SATELLITE_OF = "eth"


class Snap(Capability[SnapMessage, SnapPeer]):
    """What both versions are; ``peer[Snap]`` is the `SnapPeer` of whichever runs.

    snap is a satellite of eth ("Relation to eth"): with a peer that shares no eth it does nothing, and leaves the session to the other
    capabilities; with others it begins when eth's handshake has found that both are on the same chain. Answers are bulk, up to 2 MiB each
    that nobody waits for, so they go when the line is free.
    """

    name = "snap"
    optional = True  # where eth is not shared, it is done at once, and the session goes on
    ready_within: ClassVar[float | None] = 60.0  # it waits for eth, which has a deadline of its own
    request_timeout: ClassVar[float] = 15.0  # what 2 MiB take at 1.2 Mbit/s, as in eth

    def __init__(self, chain: Chain, state: State | None) -> None:
        """`chain` says which nodes are worth dialling, `state` what peers are served; None: nothing, as by one that only asks."""
        self._chain = chain
        self._state = state

    async def run(self, peer: Peer, channel: Channel[SnapMessage]) -> None:
        """Serve a peer, once eth has accepted it."""
        eth = next((type(one) for one in peer.capabilities if one.name == _SATELLITE_OF), None)
        if eth is None:
            return
        await peer.ready(eth)
        channel.ready(SnapPeer(peer, channel, self.version))
        free = trio.Semaphore(_AT_ONCE)
        async with trio.open_nursery() as nursery:
            async for message in channel:
                if isinstance(message, AnyRequest):  # answers do not come this way
                    await free.acquire()
                    nursery.start_soon(self._serve, channel, message, free)

    def record_entries(self) -> Entries:
        """The node's record says that it serves snap, as go-ethereum's nodes do; nothing if it does not."""
        return {} if self._state is None else snap_entries()

    def wants(self, record: NodeRecord) -> bool:
        """What eth wants: a node whose fork id fits ours (EIP-2124). Many that serve snap do not say so."""
        return wants_node(self._chain.network, self._chain.head, record)

    async def _serve(self, channel: Channel[SnapMessage], request: AnyRequest, free: trio.Semaphore) -> None:
        try:
            await channel.send(await answer(self._state, request))
        finally:
            free.release()


class Snap1(Snap):
    """snap/1."""

    version = 1
    length: ClassVar[int | None] = 8
    messages: ClassVar[Mapping[int, type[Any]]] = {**SHARED, 0x06: GetTrieNodes, 0x07: TrieNodes}
    bulk: ClassVar[Collection[type[Any]]] = {AccountRange, StorageRanges, ByteCodes, TrieNodes}


class Snap2(Snap):
    """snap/2 (EIP-8189): access lists in place of trie nodes, whose ids stay reserved. What comes under them ends the session."""

    version = 2
    length: ClassVar[int | None] = 10
    messages: ClassVar[Mapping[int, type[Any]]] = {**SHARED, 0x08: GetBlockAccessLists, 0x09: BlockAccessLists}
    bulk: ClassVar[Collection[type[Any]]] = {AccountRange, StorageRanges, ByteCodes, BlockAccessLists}


_VERSIONS: dict[int, type[Snap]] = {1: Snap1, 2: Snap2}


def snap(chain: Chain, state: State | None, versions: Sequence[int] = (1, 2)) -> tuple[Snap, ...]:
    """Make the capabilities of a node that serves `state`: ``open_node(key, [*eth(chain), *snap(chain, state)])``.

    With None for the state it only asks, and answers with nothing. LocalProtocolError for a version that there is not, and
    for a chain or state that lacks something.
    """
    require_parts(chain, Chain)
    if state is not None:
        require_parts(state, State)
    for version in versions:
        if version not in _VERSIONS:
            raise LocalProtocolError(f"there is no snap/{version}: versions are {', '.join(map(str, _VERSIONS))}")
    return tuple(_VERSIONS[version](chain, state) for version in versions)
