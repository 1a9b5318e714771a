"""How far a call has come: `Progress`, which who calls makes and reads."""

from typing import Literal, TypeAlias

import trio

from devp2p import wire
from devp2p.addresses import Address
from devp2p.keys import PublicKey
from devp2p.transports import LinkFacts

NO_ANSWER = "it may have another key than the enode says, or be turning away calls at the moment"
"""Why a node may hang up that was called and says nothing: it cannot even read a call for another key."""
NO_KEY = "it speaks no dpx/1 prelude, or tells nobody its key: write its key before the address, as in enode://<public key>@HOST:PORT"
"""Why a node may hang up that was asked for its key: stock nodes take the question for a handshake of impossible size."""
_NO_CALL = "it has told its key, and may be turning away calls at the moment"

Step: TypeAlias = Literal["connect", "handshake", "hello"]
"""What a call does, in this order. Where the link has proved the peer there is no handshake."""


class Progress:
    """How far a call has come. Make one, give it to `call`, `dial` or `open_session`, and read it at any time, however they end."""

    def __init__(self) -> None:
        self.address: Address | None = None
        """Where the node was reached, else where it was dialled last; None if it was not, as none of its addresses can be dialled."""
        self.link: LinkFacts | None = None
        """What leads there, once something does."""
        self.failures: dict[Address, Exception] = {}
        """Why addresses led to nobody: OSError, HandshakeError (PeerMismatch is one), trio.TooSlowError, ValueError for one that cannot be
        dialled, or whatever else a transport raised. Those still being dialled when another led there are not among them."""
        self.seconds: dict[Step, float] = {}
        """How long the completed steps took; ``connect`` at the address that led to the node."""
        self.awaited: Step = "connect"
        """The step that has begun, or the last one."""
        self.asks_key: bool = False
        """Whether the node was asked for its key first."""
        self.remote: PublicKey | None = None
        """The node's key, where it was asked for, hands were shaken with it, or the link proves it; it is proved when there is a Hello."""
        self.hello: wire.Hello | None = None
        """What the peer said of itself. A peer may do so and leave at once, so that the call fails all the same."""
        self._since = 0.0

    @property
    def why_silent(self) -> str:
        """What may be behind it if the node leaves without an answer to the handshake."""
        if self.asks_key:
            return NO_KEY if self.remote is None else _NO_CALL
        return NO_ANSWER

    def begin(self, step: Step) -> None:
        """A step begins."""
        self.awaited = step
        self._since = trio.current_time()

    def connected(self, address: Address, link: LinkFacts, seconds: float) -> None:
        """The address that led to the node, the link that came of it, and how long that took."""
        self.address = address
        self.link = link
        self.awaited = "connect"
        self.seconds["connect"] = seconds

    def done(self) -> None:
        """The step is completed."""
        self.seconds[self.awaited] = trio.current_time() - self._since

    def note(self, event: wire.Event | wire.HandshakeCompleted) -> None:
        """Something has come out of an opening."""
        match event:
            case wire.HandshakeCompleted(remote):
                self.remote = remote
                self.done()
                self.begin("hello")
            case wire.HelloReceived(hello):
                self.done()
                self.hello = hello
            case _:
                pass
