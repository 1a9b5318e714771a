"""Nodes of discovery v5 for tests, and a network that shows, and can hold back, each datagram between them."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from devp2p.addresses import Endpoint
from devp2p.discovery.events import Event, PingResult
from devp2p.discovery.table.contacts import Contact, contact_of
from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.discovery.v5 import packets as v5_packets
from devp2p.discovery.v5.protocol import Discv5
from devp2p.keys import NodeId, PrivateKey
from devp2p.records import NodeRecord
from devp2p.records.enr import LocalRecord, Record
from tests.discovery.nodes import endpoint_of
from tests.simulation.network import Network

T = TypeVar("T")


def key_of(number: int) -> PrivateKey:
    return PrivateKey.from_bytes(hashlib.sha256(f"key {number}".encode()).digest())


def record_of(number: int, sequence: int = 1, endpoint: Endpoint | None = None, **entries: Any) -> Record:
    ip, port = endpoint or endpoint_of(number)
    return Record.sign(key_of(number), sequence, {"ip": ".".join(map(str, ip)), "udp": port, **entries})


@dataclass
class Party:
    """A node and what it was made of."""

    node: Discv5
    key: PrivateKey
    local: LocalRecord
    endpoint: Endpoint

    @property
    def id(self) -> NodeId:
        return self.key.public_key.node_id

    @property
    def contact(self) -> Contact[Record]:
        contact = contact_of(self.local.record)
        assert contact is not None
        return contact


def make_party(number: int, *, seed: str = "", bootnodes: Sequence[Record] = (), maintains: bool = False, **options: Any) -> Party:
    """A node at an address of its own, that of its number; of the same number and another `seed`, the same one after a restart."""
    key, endpoint = key_of(number), endpoint_of(number)
    chance = random.Random(f"{number} {seed}")
    local = LocalRecord(key, {"ip": ".".join(map(str, endpoint.ip)), "udp": endpoint.port})
    known = [NodeRecord.from_enr(record) for record in bootnodes]
    node = Discv5(local, key, random=chance.random, random_bytes=chance.randbytes, bootnodes=known, maintains=maintains, **options)
    return Party(node, key, local, endpoint)


@dataclass(frozen=True)
class Sent:
    """A datagram on its way, and what it is."""

    data: bytes
    source: Endpoint
    to: Endpoint
    header: v5_packets.Header

    @property
    def kind(self) -> str:
        return type(self.header).__name__


class Wire(Network[bytes, Event]):
    """A network whose datagrams can be read by their headers, and lost by choice."""

    def __init__(self, *parties: Party, seed: int = 0, loss: float = 0.0, delay: tuple[float, float] = (0.05, 0.05)) -> None:
        super().__init__(seed, loss=loss, delay=delay)
        self.parties = {party.endpoint: party for party in parties}
        self.log: list[Sent] = []
        self.loses: Callable[[Sent], bool] = lambda _: False
        for party in parties:
            self.add(party.endpoint, party.node)

    @property
    def kinds(self) -> list[str]:
        """What was sent, in order."""
        return [sent.kind for sent in self.log]

    def of_kind(self, kind: str) -> list[Sent]:
        return [sent for sent in self.log if sent.kind == kind]

    def begin(self, party: Party, operation: Callable[[float], int]) -> int:
        """Let a node begin an operation now."""
        number = operation(self.now)
        self.touch(party.endpoint)
        return number

    def result(self, party: Party, number: int, kind: type[T], *, within: float = 30.0) -> T:
        """Let time pass until an operation has ended."""
        end = self.now + within
        while self.now < end:
            for item in self.events:
                _, endpoint, event = item
                if endpoint == party.endpoint and getattr(event, "operation", None) == number:
                    assert isinstance(event, kind)
                    self.events.remove(item)  # after a restart the numbers begin again
                    return event
            self.run_for(0.05)
        raise AssertionError(f"operation {number} has not ended")

    def ping(self, party: Party, other: Party, **options: float) -> Any:
        """Let one node ping another; its Pong, or None."""
        number = self.begin(party, lambda now: party.node.ping(other.contact, now))
        return self.result(party, number, PingResult, **options).pong

    def _send(self, data: bytes, source: Endpoint, to: Endpoint) -> None:
        party = self.parties.get(to)
        if party is not None:
            sent = Sent(data, source, to, v5_packets.decode(data, party.id).header)
            self.log.append(sent)
            if self.loses(sent):
                return
        super()._send(data, source, to)


def state_of(node: Discv5) -> tuple[int, int, int]:
    """How many sessions, challenges and requests there are."""
    return node._exchange.counts


def header_of(data: bytes, recipient: Party) -> v5_packets.Header:
    return v5_packets.decode(data, recipient.id).header


def ordinary(recipient: Party, source: bytes, nonce: bytes = b"n" * 12, message: bytes = bytes(20)) -> bytes:
    """A packet that does not open."""
    return v5_packets.encode(v5_packets.encode_header(v5_packets.Ordinary(nonce, NodeId(source)), bytes(16)), message, recipient.id)


def whoareyou(recipient: Party, nonce: bytes, sequence: int = 0) -> bytes:
    return v5_packets.encode(v5_packets.encode_header(v5_packets.WhoAreYou(nonce, b"i" * 16, sequence), bytes(16)), b"", recipient.id)


class Stranger:
    """Somebody with a key who speaks the protocol by hand: what it says is up to the test."""

    def __init__(self, number: int, victim: Party, endpoint: Endpoint | None = None) -> None:
        self.key, self.victim = key_of(number), victim
        self.id = self.key.public_key.node_id
        self.endpoint = endpoint or endpoint_of(number)
        self.record = record_of(number, endpoint=self.endpoint)
        self.keys: v5_crypto.SessionKeys | None = None
        self.sealed = 0

    def exchange(self, data: bytes, now: float = 0.0) -> list[bytes]:
        """Send a datagram; what comes back to this endpoint at once."""
        assert self.victim.node.receive_datagram(data, self.endpoint, now)
        return [answer for answer, to in self.victim.node.datagrams_to_send(now) if to == self.endpoint]

    def provoke(self, now: float = 0.0) -> v5_packets.Packet:
        """Be asked who one is."""
        (answer,) = self.exchange(ordinary(self.victim, self.id), now)
        return v5_packets.decode(answer, self.id)

    def prove(
        self, challenge: v5_packets.Packet, message: bytes, *, record: bytes | None = None, signer: PrivateKey | None = None
    ) -> bytes:
        """A handshake packet."""
        ephemeral = key_of(987)
        public = ephemeral.public_key.compressed
        signature = v5_crypto.sign_id(signer or self.key, challenge.header_data, public, self.victim.id)
        secret = v5_crypto.agree(ephemeral, self.victim.key.public_key)
        self.keys = v5_crypto.derive_keys(secret, challenge.header_data, self.id, self.victim.id)
        own = self.record.encode() if record is None else record
        header = v5_packets.Handshake(self._nonce(), self.id, signature, public, own)
        return v5_packets.seal(header, message, key=self.keys.initiator, masking_iv=bytes(16), destination=self.victim.id)

    def message(self, plaintext: bytes) -> bytes:
        """An ordinary packet of the session."""
        assert self.keys is not None
        header = v5_packets.Ordinary(self._nonce(), self.id)
        return v5_packets.seal(header, plaintext, key=self.keys.initiator, masking_iv=bytes(16), destination=self.victim.id)

    def say(self, message: v5_messages.Message, now: float = 0.0) -> list[v5_messages.Message]:
        """Say something, after a handshake if there was none yet; what the answers say."""
        plaintext = v5_messages.encode_message(message)
        data = self.message(plaintext) if self.keys else self.prove(self.provoke(now), plaintext)
        return [self.read(answer) for answer in self.exchange(data, now)]

    def read(self, data: bytes) -> v5_messages.Message:
        assert self.keys is not None
        return v5_messages.decode_message(v5_packets.decode(data, self.id).open(self.keys.recipient))

    def _nonce(self) -> bytes:
        self.sealed += 1
        return self.sealed.to_bytes(12, "big")


def pair(**options) -> tuple[Wire, Party, Party]:
    alice, bob = make_party(1, **options), make_party(2, **options)
    return Wire(alice, bob), alice, bob


def restart(wire: Wire, party: Party, number: int) -> Party:
    """The same node, which has forgotten everything."""
    again = make_party(number, seed="again")
    wire.parties[party.endpoint] = again
    wire.add(party.endpoint, again.node)
    return again


def lose(wire: Wire, *places: int) -> None:
    """Lose the datagrams of these numbers, counted from now on."""
    numbers = iter(range(10**6))
    wire.loses = lambda _: next(numbers) in places
