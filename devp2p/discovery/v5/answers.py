"""What a node of discovery v5.1 answers to others, and how often (discv5-wire.md, "Protocol Messages").

Everything here concerns nodes that have proved themselves, except `Answers.may_challenge` and `Answers.may_prove`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

from devp2p.addresses import HOST, Endpoint, is_local, network_of, relay_fault
from devp2p.arguments import check_bounds, named, require
from devp2p.bounded import Throttle
from devp2p.discovery.table import Contact, RoutingTable, TableLimits
from devp2p.discovery.v5.messages import FindNode, Message, Ping, Pong, TalkRequest, TalkResponse
from devp2p.discovery.v5.nodes import MAX_RECORDS, split_records
from devp2p.discovery.v5.packets import MAX_MESSAGE
from devp2p.discovery.v5.sessions import Remote
from devp2p.errors import LocalProtocolError, RemoteProtocolError
from devp2p.records import Record

TalkHandler: TypeAlias = Callable[[Record, Endpoint, bytes], bytes]
"""Answers a TALKREQ, at once: (the asker's record, where it is, its request) -> response. One that raises RemoteProtocolError says that the
request made no sense, and is answered emptily. Any other exception is its bug and leaves `Discv5`; `Discovery.on_talk` contains it."""
MAX_TALK: Final = MAX_MESSAGE - 19
"""The longest response of a `TalkHandler`; and of a request, with the name of its protocol."""


_WANTED_PROTOCOL: Final = "a protocol of TALKREQ is bytes, such as b'eth'"


def checked_handler(handler: TalkHandler, protocol: bytes) -> TalkHandler:
    """Make a handler whose response can be sent, or else it raises LocalProtocolError. TypeError for what is no handler, or no protocol."""
    require(protocol, bytes, _WANTED_PROTOCOL)
    if not callable(handler):
        raise TypeError(f"a handler of TALKREQ is a function, not {named(handler)}")

    def answer(asker: Record, endpoint: Endpoint, request: bytes) -> bytes:
        response = cast("object", handler(asker, endpoint, request))
        if not isinstance(response, bytes) or len(response) > MAX_TALK:
            gave = f"{len(response)} bytes" if isinstance(response, bytes) else type(response).__name__
            raise LocalProtocolError(f"the handler of {protocol!r} gave {gave}, where at most {MAX_TALK} bytes belong")
        return response

    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Discv5Limits:
    """The bounds that a `Discv5` holds others, and itself, to."""

    sessions: int = 1024
    challenges: int = 1024
    """WHOAREYOUs that wait for a handshake."""
    response_timeout: float = 0.7
    handshake_timeout: float = 1.0
    node_rate: float = 8.0
    """Requests a second that one node is answered."""
    host_rate: float = 9.0
    """The same for one IPv4 address or IPv6 /64, and how many of its packets that do not open are answered by a WHOAREYOU; local addresses
    are exempt unless ``table.limit_local_addresses``."""
    proof_rate: float = 1000.0
    """Handshakes a second whose proof is verified, of all together of whom we expect nothing: of a flood that forges its addresses each can
    be from another host. Local addresses are exempt as above."""
    talk_rate: float = 4.0
    """TALKREQs a second that one node is answered."""
    operations: int = 1024
    """Operations of our own that are under way."""
    remembered: int = 1024
    """Packets of ours that a WHOAREYOU may name, and records of others whose signatures were verified, as many each."""
    table: TableLimits = field(default_factory=TableLimits)

    def __post_init__(self) -> None:
        check_bounds(self)


class Answers:
    """Answers requests from our own record, the table, and what handlers say."""

    def __init__(self, table: RoutingTable[Record], limits: Discv5Limits, talk: Mapping[bytes, TalkHandler]) -> None:
        """`talk` are the handlers of TALKREQ by the name of their protocol."""
        self._table = table
        self._limits = limits
        self._talk = {protocol: checked_handler(handler, protocol) for protocol, handler in talk.items()}
        self._strangers = Throttle(limits.host_rate)
        self._proofs = Throttle(limits.proof_rate, remembered=1)
        self._hosts = Throttle(limits.host_rate)
        self._nodes = Throttle(limits.node_rate)
        self._talkers = Throttle(limits.talk_rate)

    def on_talk(self, protocol: bytes, handler: TalkHandler | None) -> None:
        """Let `handler` answer the TALKREQs of a protocol from now on; None for nobody."""
        require(protocol, bytes, _WANTED_PROTOCOL)
        if handler is None:
            self._talk.pop(protocol, None)
        else:
            self._talk[protocol] = checked_handler(handler, protocol)

    def may_challenge(self, remote: Remote, now: float) -> bool:
        """Whether to answer a packet that does not open."""
        return self._is_exempt(remote.endpoint.ip) or self._strangers.allows(network_of(remote.endpoint.ip, HOST), now)

    def may_prove(self, remote: Remote, now: float) -> bool:
        """Whether to verify the proof of somebody who was asked for it."""
        return self._is_exempt(remote.endpoint.ip) or self._proofs.allows(b"", now)

    def answer(self, message: Ping | FindNode | TalkRequest, remote: Remote, asker: Record, own: Record, now: float) -> list[Message]:
        """What to answer; nothing to one that asks too often."""
        if not (self._is_exempt(remote.endpoint.ip) or self._hosts.allows(network_of(remote.endpoint.ip, HOST), now)):
            return []
        if not self._nodes.allows(remote.id, now):
            return []
        if isinstance(message, Ping):
            return [Pong(message.request_id, own.sequence, remote.endpoint.ip, remote.endpoint.port)]
        if isinstance(message, FindNode):
            return [*split_records(message.request_id, self._find(message, remote, own))]
        return self._talk_back(message, remote, asker, now)

    def _find(self, message: FindNode, remote: Remote, own: Record) -> list[Record]:
        contacts: list[Contact[Record]] = self._table.at_distances(message.distances)
        # What the asker would refuse, for it should not be told of it (relay_fault is symmetrical in its two hosts), is left out.
        records = [contact.record for contact in contacts if relay_fault(remote.endpoint.ip, contact.endpoint) is None]
        return [*([own] if 0 in message.distances else []), *records][:MAX_RECORDS]

    def _talk_back(self, message: TalkRequest, remote: Remote, asker: Record, now: float) -> list[Message]:
        if not self._talkers.allows(remote.id, now):
            return []
        handler = self._talk.get(message.protocol)
        response = b""
        if handler is not None:
            try:
                response = handler(asker, remote.endpoint, message.request)
            except RemoteProtocolError:
                response = b""
        return [TalkResponse(message.request_id, response)]

    def _is_exempt(self, ip: bytes) -> bool:
        return not self._limits.table.limit_local_addresses and is_local(ip)
