"""From Hello to the farewell, over a link of either direction: what a node said of itself, and what came of the visit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

import trio

from devp2p import (
    Address,
    DisconnectReason,
    Hello,
    LocalNode,
    NodeRecord,
    PeerDisconnected,
    PeerMismatch,
    RemoteProtocolError,
    Session,
)
from devp2p.capabilities.ethereum.networks import Network
from devp2p_crawler.model import Outcome, Said
from devp2p_crawler.visiting.status import AnyStatus, fitting_status, hear_status, shares_eth, with_status

_PATIENCE: Final = 0.3
"""The part of the time for a Status after which ours is sent."""
_MOST_PORT: Final = 65_535
_SCHEME: Final = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class RlpxCaller:
    """What all visits by RLPx have in common, either way. `rlpx_caller` makes one."""

    local: LocalNode
    crawl: bytes
    network: Network
    """Of which our Status is, where a node waits for one and does not say which it wants."""
    status: float
    """Seconds that a node has for its Status, from its Hello on."""
    now: Callable[[], int]
    """Microseconds since 1970."""


def said_by(hello: Hello) -> Said:
    """The part that the Hello tells."""
    return Said(
        client=hello.client_id,
        capabilities=tuple(str(offer) for offer in hello.capabilities),
        listen_port=hello.listen_port if hello.listen_port <= _MOST_PORT else None,
    )


async def hear_out(session: Session, node: NodeRecord, caller: RlpxCaller) -> tuple[Outcome, Said]:
    """Wait for the Status of a node that has said Hello, if eth is shared. Raises nothing for what the node does."""
    said = said_by(session.hello)
    if not session.shared:
        return Outcome.OK, said
    try:
        with trio.fail_after(caller.status):
            status = await _hear(session, node, caller)
    except trio.TooSlowError:
        return Outcome.STATUS_TIMEOUT, said
    except PeerDisconnected as end:
        outcome, heard = judge_end(end, said)
        return outcome, heard or said
    except RemoteProtocolError as error:
        return judge_fault(error), said
    return (Outcome.BROKE_RULES, said) if status is None else (Outcome.OK, with_status(said, status))


async def _hear(session: Session, node: NodeRecord, caller: RlpxCaller) -> AnyStatus | None:
    with trio.move_on_after(_PATIENCE * caller.status):
        return await hear_status(session)
    await session.send(fitting_status(session, node, caller.network, caller.now() // 1_000_000))
    return await hear_status(session)


async def take_leave(session: Session, said: Said) -> Said:
    """Say that we quit, wait a moment for the node to hang up, and close; if it gives a reason of its own by then, that is said, too."""
    reason = await session.refuse(DisconnectReason.CLIENT_QUITTING)
    return said if reason is None or said.reason is not None else replace(said, reason=reason)


def judge_end(end: PeerDisconnected, said: Said | None) -> tuple[Outcome, Said | None]:
    """What it means that a node left before its Status, or before its Hello: then `said` is None."""
    expected = said is None or shares_eth(said)
    if end.hung_up:
        return (Outcome.HUNG_UP if said is None else Outcome.STATUS_TIMEOUT if expected else Outcome.OK), said
    heard = replace(said or Said(), reason=int(end.reason))
    if end.reason == DisconnectReason.TOO_MANY_PEERS:
        return Outcome.TOO_MANY_PEERS, heard
    return (Outcome.DISCONNECTED if expected else Outcome.OK), heard


def judge_fault(error: RemoteProtocolError) -> Outcome:
    """What it means that a node broke the rules."""
    if isinstance(error, PeerMismatch) or error.reason is DisconnectReason.UNEXPECTED_IDENTITY:
        return Outcome.WRONG_KEY
    return Outcome.BROKE_RULES


def tcp_addresses(node: NodeRecord) -> tuple[Address, ...]:
    """Where a node takes calls as all of its network do; what else its record may name is for those who speak it."""
    return tuple(address for address in node.addresses if address.scheme == _SCHEME)


def packed(address: Address) -> bytes:
    """An address as 4 or 16 bytes; none for one that is a name."""
    try:
        found = ip_address(address.host)
    except ValueError:
        return b""
    return (getattr(found, "ipv4_mapped", None) or found).packed
