"""What simulated nodes answer by discovery v5 (pure): as go-ethereum does, but for those that lie.

Real handshakes: a packet that does not open is answered by a WHOAREYOU, which holds for a second; the proof is verified, keys are agreed on
and every answer is sealed with them (p2p/discover/v5_udp.go). FINDNODE collects the entries at each distance in the order in which the
distances came, up to 16 nodes in all, in messages of up to 1,000 bytes of records.
"""

import os
import random
from collections import OrderedDict
from functools import lru_cache
from typing import Final, NamedTuple

from devp2p.addresses import Endpoint
from devp2p.discovery.v5 import crypto, packets
from devp2p.discovery.v5.messages import FindNode, Nodes, Ping, Pong, TalkRequest, TalkResponse, decode_message, encode_message
from devp2p.errors import DecodingError
from devp2p.keys import NodeId, PublicKey
from devp2p.records import Record
from tools.crawler.simulated import lies
from tools.crawler.simulated.ledger import Ledger
from tools.crawler.simulated.population import Asker, Kind, Member, Population
from tools.crawler.simulated.tables import Filling, Table
from tools.crawler.simulated.v4 import Delayed, Sending

_CHALLENGE: Final = 1.0  # seconds
_SESSIONS: Final = 64  # of one node
_MOST_NODES: Final = 16
_ROOM: Final = 1000  # bytes of records in one message
_FAST_INTERVAL: Final = 3.0
_PONG_WITHIN: Final = 0.7


class _Remote(NamedTuple):
    id: bytes
    endpoint: Endpoint


class _Session:
    __slots__ = ("read", "record", "sealed", "write")

    def __init__(self, read: bytes, write: bytes, record: Record) -> None:
        self.read, self.write, self.record, self.sealed = read, write, record, 0


class _State:
    __slots__ = ("challenges", "pinged", "sessions", "table")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.sessions: OrderedDict[_Remote, _Session] = OrderedDict()
        self.challenges: dict[_Remote, tuple[bytes, Sending]] = {}  # what was sent, and when
        self.pinged: dict[bytes, tuple[int, Sending]] = {}  # request-id -> whom, and when


class _Came(NamedTuple):
    """What a packet comes with."""

    member: Member
    """To whom."""
    state: _State
    remote: _Remote
    now: float


class V5:
    """Discovery v5 of all nodes."""

    def __init__(self, population: Population, ledger: Ledger, filling: Filling) -> None:
        self._population = population
        self._ledger = ledger
        self._filling = filling
        self._dice = population.plan.dice("v5")
        self._states: dict[int, _State] = {}

    def table(self, member: Member) -> Table:
        """The table of a node."""
        return self._state(member).table

    def receive(self, member: Member, data: bytes, source: Endpoint, now: float) -> list[Delayed]:
        """What a node answers to a datagram. DecodingError for what is no packet of v5 to this node."""
        packet = packets.decode(data, member.id)
        header = packet.header
        if isinstance(header, packets.WhoAreYou):
            return []  # nothing that we send is asked for twice
        state, remote = self._state(member), _Remote(header.source, source)
        came = _Came(member, state, remote, now)
        for request_id in [
            request_id for request_id, (_, sending) in state.pinged.items() if sending.is_longer_ago_than(_PONG_WITHIN, now)
        ]:
            state.table.revalidated(state.pinged.pop(request_id)[0], alive=False)
        if isinstance(header, packets.Handshake):
            self._ledger.question(member, "v5 handshake")
            return self._accept(came, packet, header)
        session = state.sessions.get(remote)
        if session is not None:
            try:
                plaintext = packet.open(session.read)
            except DecodingError:
                pass
            else:
                state.sessions.move_to_end(remote)
                return self._answer(came, session, plaintext)
        self._ledger.question(member, "v5 unknown")
        return _challenge(came, header.nonce)

    def _accept(self, came: _Came, packet: packets.Packet, header: packets.Handshake) -> list[Delayed]:
        member, state, remote, now = came
        challenge = state.challenges.get(remote)
        if challenge is None or challenge[1].is_longer_ago_than(_CHALLENGE, now) or not header.record:
            return []
        try:
            record = _decoded(header.record)
            if record.id != header.source:
                return []
            if not crypto.verify_id(record.public_key, header.id_signature, challenge[0], header.ephemeral_key, member.id):
                return []
            secret = crypto.agree(member.key, PublicKey.from_bytes(header.ephemeral_key))
            keys = crypto.derive_keys(secret, challenge[0], initiator=header.source, recipient=member.id)
            plaintext = packet.open(keys.initiator)
        except DecodingError:
            return []
        del state.challenges[remote]
        session = state.sessions[remote] = _Session(keys.initiator, keys.recipient, record)
        state.sessions.move_to_end(remote)
        if len(state.sessions) > _SESSIONS:
            state.sessions.popitem(last=False)
        answers = self._answer(came, session, plaintext)
        if record.ip is not None and record.udp and state.table.add_inbound(Asker(int.from_bytes(record.id, "big"), b"", record.encode())):
            delay = member.round_trip + self._dice.uniform(0, _FAST_INTERVAL)
            request_id = os.urandom(8)
            sending = Sending()
            state.pinged[request_id] = int.from_bytes(record.id, "big"), sending
            ping = encode_message(Ping(request_id, member.record.sequence))
            answers.append(Delayed(delay, _sealed(member, remote, session, ping), sending))
        return answers

    def _answer(self, came: _Came, session: _Session, plaintext: bytes) -> list[Delayed]:
        member, state, remote, now = came
        try:
            message = decode_message(plaintext)
        except DecodingError:
            return []
        self._ledger.question(member, f"v5 {type(message).__name__}")
        said: list[bytes] = []
        match message:
            case Ping(request_id=request_id):
                endpoint = remote.endpoint
                said.append(encode_message(Pong(request_id, member.record.sequence, endpoint.ip, endpoint.port)))
            case Pong(request_id=request_id):
                pinged = state.pinged.pop(request_id, None)
                if pinged is not None:
                    state.table.revalidated(pinged[0], alive=True)
            case FindNode():
                said = self._nodes(member, state, message, now)
            case TalkRequest(request_id=request_id) if member.kind is not Kind.TAR_PIT:
                said.append(encode_message(TalkResponse(request_id, b"")))
            case _:
                pass
        return [Delayed(member.round_trip, _sealed(member, remote, session, one)) for one in said]

    def _nodes(self, member: Member, state: _State, question: FindNode, now: float) -> list[bytes]:
        if member.kind is Kind.TAR_PIT:
            return []
        if member.kind is Kind.BOMB:
            return lies.bomb_v5(member, question.request_id, self._population, self._dice)
        records: list[bytes] = []
        for distance in dict.fromkeys(question.distances):
            if distance == 0:
                records.append(member.record_data)
                self._ledger.record_given(member, "v5", now + member.round_trip)
            elif member.kind is Kind.LIAR:
                records += lies.some_fakes_v5(member, [distance], self._population, self._dice)
            else:
                there = [contact.record_data for contact in state.table.at_distance(distance)]
                self._dice.shuffle(there)
                records += there
            if len(records) >= _MOST_NODES:
                break
        return packed(question.request_id, records[:_MOST_NODES])

    def _state(self, member: Member) -> _State:
        state = self._states.get(member.index)
        if state is None:
            dice = random.Random(f"table v5 {self._population.plan.seed} {member.index}")  # noqa: S311  (no secret)
            state = self._states[member.index] = _State(self._filling.table(member, dice))
        return state


def _challenge(came: _Came, nonce: bytes) -> list[Delayed]:
    """A WHOAREYOU: the same again if there is one that may still be answered."""
    member, state, remote, now = came
    known = state.challenges.get(remote)
    if known is None or known[1].is_longer_ago_than(_CHALLENGE, now):
        state.challenges = {other: made for other, made in state.challenges.items() if not made[1].is_longer_ago_than(_CHALLENGE, now)}
        header = packets.WhoAreYou(nonce, os.urandom(16), 0)
        known = state.challenges[remote] = packets.encode_header(header, os.urandom(16)), Sending()
    return [Delayed(member.round_trip, packets.encode(known[0], b"", NodeId(remote.id)), known[1])]


def packed(request_id: bytes, records: list[bytes]) -> list[bytes]:
    """An answer of some records, as messages to be sealed."""
    parts: list[list[bytes]] = [[]]
    room = _ROOM
    for record in records:
        if len(record) > room:
            parts.append([])
            room = _ROOM
        parts[-1].append(record)
        room -= len(record)
    return [encode_message(Nodes(request_id, len(parts), tuple(part))) for part in parts]


def _sealed(member: Member, remote: _Remote, session: _Session, message: bytes) -> bytes:
    session.sealed += 1
    nonce = session.sealed.to_bytes(4, "big") + os.urandom(8)
    header = packets.Ordinary(nonce, member.id)
    return packets.seal(header, message, key=session.write, masking_iv=os.urandom(16), destination=NodeId(remote.id))


_decoded = lru_cache(maxsize=64)(Record.decode)  # of who asks: the same record in every handshake
