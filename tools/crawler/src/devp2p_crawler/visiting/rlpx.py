"""A visit by RLPx: TCP, handshake, Hello, the Status of eth where it is shared, and a polite Disconnect.

Who speaks first. The usual clients send their Status as soon as they have our Hello, so we wait for it, and leave once it is there: a node
that hears no Status of ours never takes us for a peer, announces us nothing, and holds nothing against us. One that is silent for a while
may be waiting for ours, and gets one that fits what its record says of its network.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import trio

from devp2p import DialError, Limits, NodeRecord, PeerDisconnected, PrivateKey, Progress, RemoteProtocolError, Session, call, local_node
from devp2p.capabilities.ethereum.networks import NETWORKS, Network
from devp2p_crawler.model import Kind, Outcome, Said, Visit
from devp2p_crawler.visiting.failures import outcome_of
from devp2p_crawler.visiting.hearing import RlpxCaller, hear_out, judge_end, judge_fault, packed, said_by, take_leave, tcp_addresses
from devp2p_crawler.visiting.status import STATUS_READERS


def _wall() -> int:
    return time.time_ns() // 1000


def rlpx_caller(  # noqa: PLR0913  (keyword arguments are the configuration)
    *,
    crawl: bytes,
    key: PrivateKey,
    client_id: str,
    listen_port: int = 0,
    network: Network | None = None,
    connect: float = 5.0,
    handshake: float = 5.0,
    status: float = 5.0,
    now: Callable[[], int] = _wall,
) -> RlpxCaller:
    """Make what visits need. `client_id` is our name, with a contact in it; `network` is by default mainnet.

    Seconds that a node has at most: `connect` until TCP stands, `handshake` from then to its Hello, `status` from there to its Status.
    """
    limits = Limits(dial_timeout=connect, handshake_timeout=handshake)
    local = local_node(key, STATUS_READERS, client_id=client_id, listen_port=listen_port, limits=limits, dpx=False)
    return RlpxCaller(local=local, crawl=crawl, network=network or NETWORKS["mainnet"], status=status, now=now)


async def visit_rlpx(node: NodeRecord, caller: RlpxCaller, *, progress: Progress | None = None) -> Visit:
    """Call a node at its addresses of TCP, in a race, until one leads there; hear what it is, and take leave.

    Raises nothing for what the node or the network does. The visit has ended with the last thing that was heard: to take leave may take
    another second, in which the node hangs up. `progress` is told how far things have come, and how long each step took.
    """
    began, since, progress = caller.now(), trio.current_time(), progress or Progress()
    outcome, said, session = await _begin(node, caller, progress)
    try:
        if session is not None:
            outcome, said = await hear_out(session, node, caller)
        ended = began + round((trio.current_time() - since) * 1e6)
        if session is not None and said is not None:
            said = await take_leave(session, said)
    finally:
        if session is not None:
            await session.close()
    address, connected = progress.address, progress.seconds.get("connect")
    return Visit(
        crawl=caller.crawl,
        node=bytes(node.id),
        kind=Kind.RLPX,
        began=began,
        ended=ended,
        outcome=outcome,
        ip=b"" if address is None else packed(address),
        port=0 if address is None else address.port or 0,
        rtt=None if connected is None else round(connected * 1e6),
        asked=sum(isinstance(error, OSError | trio.TooSlowError) for error in progress.failures.values()) + (connected is not None),
        said=said,
    )


async def _begin(node: NodeRecord, caller: RlpxCaller, progress: Progress) -> tuple[Outcome, Said | None, Session | None]:
    """Call a node, until its Hello; if there is none, say what came of it."""

    def said() -> Said | None:
        return None if progress.hello is None else said_by(progress.hello)

    try:
        return Outcome.OK, None, await call(replace(node, addresses=tcp_addresses(node)), caller.local, progress=progress)
    except DialError:
        return _why_not_reached(progress), None, None
    except trio.TooSlowError:
        return (Outcome.HELLO_TIMEOUT if progress.awaited == "hello" else Outcome.HANDSHAKE_TIMEOUT), None, None
    except PeerDisconnected as end:
        return *judge_end(end, said()), None
    except RemoteProtocolError as error:
        return judge_fault(error), said(), None


def _why_not_reached(progress: Progress) -> Outcome:
    """Why no address led to the node: what was wrong with the last one that could be dialled at all."""
    for error in reversed(progress.failures.values()):
        if isinstance(error, OSError):
            return outcome_of(error)
        if isinstance(error, trio.TooSlowError):
            return Outcome.SILENT
    return Outcome.NO_ADDRESS
