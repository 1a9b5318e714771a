"""Calls: `dial` looks for the address at which a node is, `call` opens a session with it there.

Whoever calls nodes does it so: the node itself, ``devp2p ping``, a crawler. Admission, and what a session is for, are the caller's.
"""

import math
from collections.abc import Iterable
from typing import Final

import trio

from devp2p.arguments import require
from devp2p.errors import DialError, PeerMismatch
from devp2p.limits import Limits
from devp2p.records import NodeRecord, node_of
from devp2p.session.local import LocalNode
from devp2p.session.opening import Progress, Session, open_session
from devp2p.transports import Carriers, Link, Transport

_DIAL_TIMEOUT: Final = Limits().dial_timeout


async def dial(
    node: NodeRecord | str,
    transports: Iterable[Transport] | Carriers | None = None,
    *,
    timeout: float = math.inf,  # noqa: ASYNC109  (it is shared out)
    each: float = _DIAL_TIMEOUT,
    progress: Progress | None = None,
) -> Link:
    """Connect to a node: try each of its addresses in turn, by the transport for it, until one leads there.

    An address has `each` seconds at most, and an equal share of what is left of `timeout`, which is for all together. `transports` are by
    default TCP and Unix sockets. Raises DialError, which names each address with what is wrong there, ValueError for text that is no node.
    """
    node = node_of(node, "the node to dial")
    carriers = transports if isinstance(transports, Carriers) else Carriers(transports)
    progress = progress or Progress()
    left = sum(carriers.may_dial(address) for address in node.addresses)
    deadline = trio.current_time() + timeout
    problems: list[str] = []
    for address in node.addresses:
        within = each
        try:
            transport = carriers.transport(address)
            if not address.is_dialable:
                raise ValueError("port 0 says that the node does not take connections")
            within = min(each, max(0.0, deadline - trio.current_time()) / left)
            left -= 1
            progress.address = address
            progress.begin("connect")
            with trio.fail_after(within):
                link = await transport.dial(address, expect=node.public_key)
        except (OSError, ValueError, PeerMismatch, trio.TooSlowError) as error:
            progress.failures[address] = error
            problems.append(f"{address}: {f'no answer within {within:g} s' if isinstance(error, trio.TooSlowError) else error}")
        else:
            progress.done()
            return link
    raise DialError("; ".join(problems) or f"{node.enode} has no address", target=node)


async def call(
    node: NodeRecord | str,
    local: LocalNode,
    transports: Iterable[Transport] | Carriers | None = None,
    *,
    timeout: float = math.inf,  # noqa: ASYNC109  (it is shared out, see `dial`)
    progress: Progress | None = None,
) -> Session:
    """Dial a node, shake hands and exchange Hellos: the session is then `Session.refuse`d, or `run_session` runs it.

    `local` is this side (`local_node` makes one), `timeout` the seconds from dialling to Hello. The limits of `local` hold too: for each
    address, and for handshake and Hello together. `progress` tells how far things have come and how long each step took, also if this
    fails: DialError if no address leads to the node in time, trio.TooSlowError if the node then takes too long, PeerDisconnected if it
    refuses or hangs up (`PeerDisconnected.hung_up` tells which), RemoteProtocolError if it breaks the rules; ValueError for text that is
    no node.
    """
    node = node_of(node, "the node to call")
    require(local, LocalNode, "local is a LocalNode", "local_node(key) makes one")
    deadline = trio.current_time() + timeout
    link = await dial(node, transports, timeout=timeout, each=local.limits.dial_timeout, progress=progress)
    with trio.fail_at(deadline):
        return await open_session(link, local, expect=node.public_key, progress=progress)
