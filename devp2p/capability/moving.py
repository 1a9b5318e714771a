"""Moving a session to another link, as capabilities do it: see `Peer.successor`."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from devp2p.addresses import Address
from devp2p.transports import Arrival, Link


class Successor(Protocol):
    """The link over which a session is to go on, once there is one.

    It is opened as any other: handshake and Hellos over it prove that the same peer is there, with the same capabilities. Of several the
    last one counts, and those before it are closed; but one that was opened here is not followed by one that arrives, and what came to the
    node before the successor was awaited is none.
    """

    async def dial(self, address: Address) -> Link:
        """Dial the peer by the node's own transports, from where they listen if they can; the link is then to be opened, or closed.

        Raises DialError.
        """
        ...

    async def nudge(self, address: Address, data: bytes) -> None:
        """Send a datagram of no meaning from where the node's transport for an address listens, so that NATs let in what comes from there.

        OSError if that cannot be, ValueError for a transport without datagrams.
        """
        ...

    def expect(self, address: Address) -> None:
        """A few links from the host of this address may come to the node, however soon one after the other (`Limits.inbound_retry`)."""
        ...

    async def open(self, link: Arrival) -> None:
        """Open a link of one's own making, as the initiator or the recipient, whichever it says that we are.

        Raises RemoteProtocolError for a peer that breaks the rules there, or is another one, PeerDisconnected for one that hangs up or
        refuses, trio.TooSlowError for one that takes too long; the link is closed then.
        """
        ...

    async def arrived(self) -> None:
        """Wait until a link is open, whichever side has dialled it."""
        ...

    async def go_on(self) -> bool:
        """Let the session go on over that link; the peer must do so too. Then ``peer.link`` says what it is.

        False if the link failed first, or the peer does not move within ``Limits.handshake_timeout``; then all stays as it was.
        LocalProtocolError if there is no link, PeerDisconnected if the session ends meanwhile. Nothing is lost, and nothing comes twice.
        """
        ...


Mover: TypeAlias = Callable[[], AbstractAsyncContextManager[Successor]]
"""Lets links to a peer arrive that are to succeed the one of its session; see `Peer.successor`."""
