"""`Nat`: nat/1 as a capability of a node."""

import secrets
from collections import Counter
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, ClassVar

import trio

from devp2p import (
    Address,
    Capability,
    Channel,
    LocalProtocolError,
    Node,
    NodeRecord,
    Peer,
    PeerConnected,
    PeerDisconnected,
    PeerRefused,
    PublicKey,
    RemoteProtocolError,
)
from devp2p.capabilities.nat.limits import NatLimits
from devp2p.capabilities.nat.messages import (
    MOST_ADDRESSES,
    MOST_DATA,
    PIECE,
    Data,
    DialMe,
    DialResult,
    NatMessage,
    NeedData,
    Observed,
    Status,
)
from devp2p.capabilities.nat.serving import Serving, key_of
from devp2p.capabilities.nat.verdict import AGREEING, Reachability, Votes

_ASK_EVERY = 1800.0  # seconds between two questions to one peer
_SETTLES = 2.0  # seconds for the first one: the peer sees us by then, and its Observed is here
_ANSWERS = 60.0  # seconds for an answer, with the data and the call
_MOST_OBSERVED = 256


class Nat(Capability[NatMessage]):
    """nat/1: ask peers whether they reach us, and tell them whether we reach them.

    ``open_node(key, [Nat(), ...])``; `reachability` is what came of it, and `changed` waits for something else. Relays and hole punching
    go by that: a node that is ``Verdict.PRIVATE`` is reached through others.
    """

    name = "nat"
    version = 1
    messages: ClassVar[Mapping[int, type[Any]]] = {0: Observed, 1: DialMe, 2: NeedData, 3: Data, 4: DialResult}
    slots: ClassVar[int] = 4
    optional: ClassVar[bool] = True
    max_message_size: ClassVar[int] = 8192
    request_timeout: ClassVar[float] = _ANSWERS
    direct: ClassVar[bool] = True

    def __init__(self, *, serve: bool = True, limits: NatLimits | None = None, agreeing: int = AGREEING) -> None:
        """`serve`: call others back, as far as `limits` say. `agreeing`: so many servers have to say the same, more than three."""
        if agreeing < 1:
            raise LocalProtocolError(f"agreeing is at least 1, not {agreeing!r}")
        self.serving: Serving = Serving(limits or NatLimits())
        """The side that calls others; to be read."""
        self.reachability: Reachability = Reachability()
        """What is known of how others reach us."""
        self._serves = serve
        self._votes = Votes(agreeing)
        self._node: Node | None = None
        self._changed = trio.Event()
        self._called: dict[PublicKey, trio.Event] = {}
        self._observed: dict[bytes, Address] = {}

    @property
    def observed(self) -> tuple[Address, ...]:
        """Where peers see us, addresses and ports of our links; what most of them name first."""
        return tuple(address for address, _ in Counter(self._observed.values()).most_common())

    async def changed(self) -> None:
        """Wait until `reachability` is something else."""
        await self._changed.wait()

    def wants(self, record: NodeRecord) -> bool:  # noqa: ARG002
        """Nobody is dialled for this alone."""
        return False

    async def serve(self, node: Any) -> None:  # noqa: ANN401  (as in `Capability`)
        """Hear of those who call, by the keys that servers were given."""
        events = node.events()
        self._node, self.serving.transports = node, node.given_transports
        async for event in events:
            match event:
                case PeerRefused(public_key=PublicKey() as key) if key in self._called:
                    self._called[key].set()
                case PeerConnected(peer) if peer.inbound and peer.public_key in self._called:
                    self._called[peer.public_key].set()
                case _:
                    pass

    async def run(self, peer: Peer, channel: Channel[NatMessage]) -> None:
        """Speak nat/1 with one peer."""
        talk = _Talk(self, peer, channel)
        if _is_direct(peer) and peer.address.ip and peer.address.port is not None:
            await channel.send(Observed(peer.address.ip, peer.address.port))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ask_again_and_again, talk)
            try:
                async for message in channel:
                    talk.take(message, nursery)
            finally:
                self._observed.pop(peer.id, None)
            nursery.cancel_scope.cancel()

    def note_observed(self, peer: Peer, seen: Observed) -> None:
        """A peer says where it sees us; only of the family that its own address has, and not where it sees a relay or proxy."""
        if not _is_direct(peer) or not seen.ip or len(seen.ip) != len(peer.address.ip) or not seen.port:
            return
        if len(self._observed) >= _MOST_OBSERVED and peer.id not in self._observed:
            return
        self._observed[peer.id] = Address(peer.link.transport, str(ip_address(seen.ip)), seen.port)

    async def _ask_again_and_again(self, talk: "_Talk") -> None:
        await trio.sleep(_SETTLES)
        while True:
            for address in self._to_ask(talk.peer):
                await self._ask(talk, address)
            await trio.sleep(_ASK_EVERY)

    def own_addresses(self) -> list[Address]:
        """Where we may be reached: what our record says, and where others see us, at the ports at which we listen."""
        if self._node is None:
            return []
        node = self._node
        listening = [address for address in node.addresses if address.port and not address.is_relayed]
        named = [address for address in node.record.addresses if not address.is_relayed]
        seen = [
            Address(listened.scheme, observed.host, listened.port)
            for observed in self.observed[:2]
            for listened in listening
            if listened.is_wildcard or len(listened.ip) == len(observed.ip)
        ]
        return [*dict.fromkeys(one for one in (*named, *seen) if self.serving.may_call(one))][:MOST_ADDRESSES]

    def _to_ask(self, peer: Peer) -> list[Address]:
        own, now = self.own_addresses(), trio.current_time()
        self._votes.keep_only(set(own))
        # One of our own network says nothing of others, and of one behind a relay or proxy the network is not known.
        counts = _is_direct(peer) and (not peer.address.is_local or self.serving.limits.local_addresses)
        open_ = [one for one in own if counts and not self._votes.has_voted(peer.address, one, now, _ASK_EVERY)]
        return open_[:1]  # a server calls once a minute for one peer

    async def _ask(self, talk: "_Talk", address: Address) -> None:
        """Ask a peer to call us at one address, and take in what came of it."""
        nonce = secrets.token_bytes(32)
        key = key_of(nonce)
        if key is None:
            return
        called = self._called[key.public_key] = trio.Event()
        try:
            answer = await talk.ask(DialMe(nonce, (str(address),)))
            with trio.move_on_after(4.0):  # who has called may be heard of a little later than that it was done
                if answer.status == Status.OK:
                    await called.wait()
        except (trio.TooSlowError, PeerDisconnected):
            return
        finally:
            del self._called[key.public_key]
        if called.is_set():
            self._take(talk.peer, address, reached=True)
        elif answer.status == Status.UNREACHABLE:
            self._take(talk.peer, address, reached=False)

    def _take(self, peer: Peer, address: Address, *, reached: bool) -> None:
        now = trio.current_time()
        self._votes.add(peer.address, address, reached=reached, now=now)
        found = self._votes.reachability(now)
        if found != self.reachability:
            self.reachability = found
            self._changed.set()
            self._changed = trio.Event()

    async def call_back(self, talk: "_Talk", request: DialMe) -> None:
        """Answer a DialMe."""
        found = self.serving.choose(request.addresses)
        if found is None:
            await talk.channel.send(DialResult(request.request_id, 0, Status.NO_ADDRESS))
            return
        index, address = found
        if not self._serves or self._node is None or not self.serving.begin(talk.peer):
            await talk.channel.send(DialResult(request.request_id, index, Status.REFUSED))
            return
        try:
            size = self.serving.data_needed(talk.peer, address)
            if size and not await talk.data(request, index, size, self.serving.limits.data_timeout):
                status = Status.REFUSED
            else:
                status = await self.serving.call(talk.peer.public_key, address, request)
        finally:
            self.serving.end()
        await talk.channel.send(DialResult(request.request_id, index, status))


class _Talk:
    """nat/1 with one peer: one question of each side at a time."""

    def __init__(self, nat: Nat, peer: Peer, channel: Channel[NatMessage]) -> None:
        self.peer = peer
        self.channel = channel
        self._nat = nat
        self._asked: DialMe | None = None
        self._paid = False
        self._answering: int | None = None
        self._due = self._unpaid = 0
        self._all_here = trio.Event()

    async def ask(self, request: DialMe) -> DialResult:
        """Ask the peer to call us."""
        self._asked, self._paid = request, False
        try:
            return await self.channel.request(request)
        finally:
            self._asked = None

    def take(self, message: NatMessage, nursery: trio.Nursery) -> None:
        """Act on a message; RemoteProtocolError for what may not come."""
        match message:
            case Observed():
                self._nat.note_observed(self.peer, message)
            case DialMe(request_id=number):
                if self._answering is not None:
                    raise RemoteProtocolError("a second DialMe before the answer to the first")
                self._answering = number
                nursery.start_soon(self._answer, message)
            case NeedData(number, _, size):
                if size > MOST_DATA:
                    raise RemoteProtocolError(f"NeedData of {size} bytes, more than {MOST_DATA}")
                if self._asked is not None and not self._paid:  # or the answer is no longer waited for
                    self._paid = True
                    nursery.start_soon(self._pay, number, size)
            case Data(number, data):
                self._unpaid -= len(data)
                if self._unpaid < 0:
                    raise RemoteProtocolError("more Data than was asked for")
                if number == self._answering:  # or it comes too late
                    self._due -= len(data)
                    if self._due <= 0:
                        self._all_here.set()
            case DialResult():
                pass  # of a question that was given up

    async def data(self, request: DialMe, index: int, size: int, seconds: float) -> bool:
        """Have the peer send so many bytes; whether it does, in time."""
        self._due, self._all_here = size, trio.Event()
        self._unpaid += size
        await self.channel.send(NeedData(request.request_id, index, size))
        with trio.move_on_after(seconds):
            await self._all_here.wait()
            return True
        return False

    async def _answer(self, request: DialMe) -> None:
        try:
            await self._nat.call_back(self, request)
        finally:
            self._answering = None

    async def _pay(self, number: int, size: int) -> None:
        while size:
            piece = min(size, PIECE)
            await self.channel.send(Data(number, secrets.token_bytes(piece)))
            size -= piece


def _is_direct(peer: Peer) -> bool:
    """Whether the address of the session is the peer's own, and not that of a relay or proxy on the way."""
    return peer.link.path == "direct"
