"""Calls: `dial` finds the address at which a node is, `call` opens a session with it there; `listen` is where others call.

Whoever calls nodes does it so: the node itself, ``devp2p ping``, a crawler. Admission, and what a session is for, are the caller's.
"""

import math
from collections.abc import Iterable
from typing import Final

import trio

from devp2p.addresses import Address, address_of
from devp2p.arguments import require
from devp2p.errors import DialError
from devp2p.keys import PublicKey
from devp2p.limits import Limits
from devp2p.records import NodeRecord, node_of
from devp2p.session.local import LocalNode
from devp2p.session.opening import Session, open_session
from devp2p.session.progress import Progress
from devp2p.session.racing import Race
from devp2p.transports import Carriers, Link, Listener, Transport

_DIAL_TIMEOUT: Final = Limits().dial_timeout


async def dial(
    node: NodeRecord | str | Address,
    transports: Iterable[Transport] | Carriers | None = None,
    *,
    timeout: float = math.inf,  # noqa: ASYNC109  (it is for all together)
    each: float = _DIAL_TIMEOUT,
    progress: Progress | None = None,
) -> Link:
    """Connect to a node: its addresses race, each by the transport for it, and the first link that stands is the one.

    They begin in the order of `transports.in_order`, the next one when one has failed, or 250 ms after the last (RFC 8305); what else has
    begun when a link stands is given up. An `Address` stands for whatever node is there. Each address has `each` seconds at most, all
    together `timeout`. `transports` are by default those that come with the library and prove no key of ours, as TLS does. Raises
    DialError, which names each address with what is wrong there, ValueError for text that is no node.
    """
    node = _target(node, "the node to dial")
    addresses = (node,) if isinstance(node, Address) else node.addresses
    carriers = transports if isinstance(transports, Carriers) else Carriers(transports)
    progress = progress or Progress()
    link = await Race(carriers, addresses, _key_of(node), progress, timeout=timeout, each=each).run()
    if link is not None:
        return link
    problems = [f"{address}: {_told(problem)}" for address, problem in progress.failures.items()]
    raise DialError("; ".join(problems) or f"{node if isinstance(node, Address) else node.enode} has no address", target=node)


async def call(
    node: NodeRecord | str | Address,
    local: LocalNode,
    transports: Iterable[Transport] | Carriers | None = None,
    *,
    timeout: float = math.inf,  # noqa: ASYNC109  (see `dial`)
    progress: Progress | None = None,
) -> Session:
    """Dial a node, shake hands and exchange Hellos: the session is then `Session.refuse`d, or `run_session` runs it.

    An `Address` stands for whatever node is there: it is asked for its key, which few tell (dpx/1, section 9; `reveal_key` in `open_node`),
    and `Session.public_key` says who it was. Nothing shows that it is the one that you meant.
    `local` is this side (`local_node` makes one), `timeout` the seconds from dialling to Hello. The limits of `local` hold too: for each
    address, and for handshake and Hello together. `progress` tells how far things have come and how long each step took, also if this
    fails: DialError if no address leads to the node in time, trio.TooSlowError if the node then takes too long, PeerDisconnected if it
    refuses or hangs up (`PeerDisconnected.hung_up` tells which), RemoteProtocolError if it breaks the rules; ValueError for text that is
    no node.
    """
    node = _target(node, "the node to call")
    require(local, LocalNode, "local is a LocalNode", "local_node(key) makes one")
    deadline = trio.current_time() + timeout
    transports = transports if isinstance(transports, Carriers) else Carriers(transports, local.key)
    link = await dial(node, transports, timeout=timeout, each=local.limits.dial_timeout, progress=progress)
    with trio.fail_at(deadline):
        return await open_session(link, local, expect=_key_of(node), ask_key=isinstance(node, Address), progress=progress)


async def listen(address: str | Address, transports: Iterable[Transport] | Carriers | None = None) -> Listener:
    """Begin to listen at an address, such as ``tcp://*:30303``; port 0 is any free one, and `Listener.addresses` says which.

    For programs that are called without being a node: ``listener.serve(on_link)`` hands on the links that come, and `open_session` shakes
    hands over one. How many of them there may be at a time is the caller's to bound. `transports` are by default as for `dial`. ValueError
    for text that is no address, and where there is no transport for it, OSError if it cannot be listened at.
    """
    carriers = transports if isinstance(transports, Carriers) else Carriers(transports)
    return await carriers.bind(address_of(address, "the address to listen at"))


def _told(problem: Exception) -> str:
    return f"no answer {problem}" if isinstance(problem, trio.TooSlowError) else str(problem) or type(problem).__name__


def _target(node: NodeRecord | str | Address, what: str) -> NodeRecord | Address:
    require(
        node,
        (str, NodeRecord, Address),
        f"{what} is text such as 'enode://<public key>@<host>:<port>', a NodeRecord, or an Address, for whoever is there",
    )
    return node if isinstance(node, Address) else node_of(node, what)


def _key_of(node: NodeRecord | Address) -> PublicKey | None:
    return None if isinstance(node, Address) else node.public_key
