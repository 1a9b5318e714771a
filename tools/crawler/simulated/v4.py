"""What simulated nodes answer by discovery v4 (pure): as go-ethereum does, but for those that lie.

A node answers every Ping, and pings back who has not proved within a day where it is; questions of others it passes over, as go-ethereum
does (p2p/discover/v4_udp.go). A proof is the Pong to its own Ping, within half a second. Every packet is signed when it is sent.
"""

import random
from typing import Final, NamedTuple

from devp2p import rlp
from devp2p.addresses import Endpoint
from devp2p.discovery.v4 import packets
from devp2p.discovery.v4.packets import ENRRequest, ENRResponse, FindNode, Neighbor, Ping, Pong
from devp2p.errors import DecodingError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from tools.crawler.simulated import lies
from tools.crawler.simulated.ledger import Ledger
from tools.crawler.simulated.population import Asker, Kind, Member, Population
from tools.crawler.simulated.tables import Filling, Table

PROOF_LIFETIME: Final = 24 * 3600.0
_PONG_WITHIN: Final = 0.5
_EXPIRATION: Final = 20
_FAST_INTERVAL: Final = 3.0  # seconds within which a new entry of a table is pinged
_MOST_PINGED: Final = 64  # Pings of a node that wait for an answer
_NEIGHBORS: Final = 0x04


class Sending:
    """When a datagram went out: whoever waits for an answer to it waits from then on, however late it was."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at: float | None = None
        """None until then."""

    def is_longer_ago_than(self, seconds: float, now: float) -> bool:
        """Whether it went out, and so long ago."""
        return self.at is not None and now - self.at > seconds


class Delayed(NamedTuple):
    """A datagram to who has asked, and how many seconds it takes."""

    delay: float
    data: bytes
    sending: Sending | None = None
    """Who wants to know when it went out."""


class _Pinged(NamedTuple):
    asker: PublicKey
    ip: bytes
    sending: Sending
    enters: bool
    """Whether the Pong makes it known to the table; else it is one that is in it already."""


class _State:
    __slots__ = ("pinged", "proved", "table")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.proved: dict[tuple[bytes, bytes], float] = {}  # node-ID and IP address -> when a Pong came
        self.pinged: dict[bytes, _Pinged] = {}  # hash of a Ping of ours -> whom we pinged


class _Came(NamedTuple):
    """What a packet comes with."""

    member: Member
    """To whom."""
    state: _State
    asker: PublicKey
    source: Endpoint
    now: float
    wall: float
    """The time of day."""

    @property
    def is_proved(self) -> bool:
        """Whether the asker has shown that it is where it seems to be."""
        proved = self.state.proved.get((self.asker.node_id, self.source.ip))
        return proved is not None and self.now - proved < PROOF_LIFETIME

    @property
    def number(self) -> int:
        """The asker's node-ID as a number."""
        return int.from_bytes(self.asker.node_id, "big")


class V4:
    """Discovery v4 of all nodes."""

    def __init__(self, population: Population, ledger: Ledger, filling: Filling) -> None:
        self._population = population
        self._ledger = ledger
        self._filling = filling
        self._dice = population.plan.dice("v4")
        self._states: dict[int, _State] = {}

    def table(self, member: Member) -> Table:
        """The table of a node."""
        return self._state(member).table

    def receive(self, member: Member, data: bytes, source: Endpoint, now: float, *, wall: float) -> list[Delayed]:
        """What a node answers to a datagram; `wall` is the time of day. DecodingError for what is none of v4."""
        decoded = packets.decode(data)
        packet = decoded.packet
        if packets.is_expired(packet, wall):
            return []
        self._ledger.question(member, f"v4 {type(packet).__name__}")
        came = _Came(member, self._state(member), decoded.public_key, source, now, wall)
        _forget(came.state, now)
        match packet:
            case Ping():
                return self._answer_ping(came, packet, decoded.hash)
            case Pong(ping_hash=ping_hash):
                return self._take_pong(came, ping_hash)
            case FindNode() | ENRRequest() if came.is_proved:
                return self._answer(came, packet, decoded.hash)
            case _:
                return []

    def _answer_ping(self, came: _Came, ping: Ping, ping_hash: bytes) -> list[Delayed]:
        member, source = came.member, came.source
        there = packets.Endpoint(source.ip, source.port, ping.sender.tcp)
        pong, _ = packets.encode(Pong(there, ping_hash, int(came.wall) + _EXPIRATION, member.record.sequence), member.key)
        answers = [Delayed(member.round_trip, pong)]
        if came.is_proved:
            answers += self._let_in(came)
        else:
            answers.append(_ping(came, delay=member.round_trip, enters=True))
        return answers

    def _take_pong(self, came: _Came, ping_hash: bytes) -> list[Delayed]:
        pinged = came.state.pinged.get(ping_hash)
        if pinged is None or pinged.asker != came.asker or pinged.ip != came.source.ip:
            return []
        del came.state.pinged[ping_hash]
        came.state.proved[came.asker.node_id, came.source.ip] = came.now
        if pinged.enters:
            return self._let_in(came)
        came.state.table.revalidated(came.number, alive=True)
        return []

    def _let_in(self, came: _Came) -> list[Delayed]:
        """Who has proved itself comes into the table, if there is room; then it is pinged once more before others are told of it."""
        item = _NEIGHBOR.encode(Neighbor(came.source.ip, came.source.port, came.source.port, bytes(came.asker)))
        if not came.state.table.add_inbound(Asker(came.number, item, b"")):
            return []
        return [_ping(came, delay=came.member.round_trip + self._dice.uniform(0, _FAST_INTERVAL), enters=False)]

    def _answer(self, came: _Came, packet: FindNode | ENRRequest, packet_hash: bytes) -> list[Delayed]:
        member, expiration = came.member, int(came.wall) + _EXPIRATION
        delay = member.round_trip
        if member.kind is Kind.TAR_PIT:
            return []
        if member.kind is Kind.BOMB:
            body = packet_hash if isinstance(packet, ENRRequest) else None
            return [Delayed(delay, data) for data in lies.bomb_v4(member, body, expiration, self._population, self._dice)]
        if isinstance(packet, ENRRequest):
            self._ledger.record_given(member, "v4", came.now + delay)
            answer, _ = packets.encode(ENRResponse(packet_hash, member.record_data), member.key)
            return [Delayed(delay, answer)]
        if member.kind is Kind.LIAR:
            items = lies.some_fakes_v4(self._population, self._dice)
        else:
            target = int.from_bytes(keccak256(packet.target), "big")
            items = [contact.neighbor for contact in came.state.table.closest(target)]
        parts = [items[start : start + packets.MAX_NEIGHBORS] for start in range(0, len(items), packets.MAX_NEIGHBORS)] or [[]]
        return [Delayed(delay, neighbors(part, expiration, member.key)) for part in parts]

    def _state(self, member: Member) -> _State:
        state = self._states.get(member.index)
        if state is None:
            dice = random.Random(f"table v4 {self._population.plan.seed} {member.index}")  # noqa: S311  (no secret)
            state = self._states[member.index] = _State(self._filling.table(member, dice))
        return state


def _ping(came: _Came, *, delay: float, enters: bool) -> Delayed:
    member, to, state = came.member, came.source, came.state
    own = packets.Endpoint(member.endpoint.ip, member.endpoint.port, member.endpoint.port)
    ping = Ping(own, packets.Endpoint(to.ip, to.port, 0), int(came.wall + delay) + _EXPIRATION, member.record.sequence)
    data, ping_hash = packets.encode(ping, member.key)
    sending = Sending()
    if len(state.pinged) < _MOST_PINGED:
        state.pinged[ping_hash] = _Pinged(came.asker, to.ip, sending, enters)
    return Delayed(delay, data, sending)


def _forget(state: _State, now: float) -> None:
    """Pings that nobody answered: an entry of the table that was pinged leaves it."""
    for ping_hash in [ping_hash for ping_hash, pinged in state.pinged.items() if pinged.sending.is_longer_ago_than(_PONG_WITHIN, now)]:
        pinged = state.pinged.pop(ping_hash)
        if not pinged.enters:
            state.table.revalidated(int.from_bytes(pinged.asker.node_id, "big"), alive=False)


_NEIGHBOR: Final = rlp.codec(Neighbor)


def neighbors(items: list[bytes], expiration: int, key: PrivateKey) -> bytes:
    """Sign a Neighbors of items that are encoded already: the datagram."""
    return lies.signed(_NEIGHBORS, rlp.encode_list(rlp.encode_list(b"".join(items)) + rlp.encode(expiration)), key)


def is_v4(data: bytes) -> bool:
    """Whether a datagram is one of v4: its hash is right."""
    try:
        packets.check_hash(data)
    except DecodingError:
        return False
    return True
