"""Extensions of the handshake: what rides in auth and ack behind the specified elements (EIP-8), made for one peer.

Peers ignore elements that they do not know, so an extension may offer something to anybody, and finds out from the ack's elements whether
the peer has taken it. An `Extension` is asked for elements and told what came of them. `Contained` is one whose faults cannot end a node.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from devp2p import rlp
from devp2p.arguments import require, several
from devp2p.containment import unless_it_fails
from devp2p.errors import HandshakeError, LocalProtocolError
from devp2p.keys import PublicKey
from devp2p.wire.framing import Framing
from devp2p.wire.rlpx.agreement import Agreement
from devp2p.wire.rlpx.packets import ACK_ROOM, AUTH_ROOM, MAX_PACKET, Ack, Auth

_ITEM = rlp.codec(rlp.Raw)


class Extension:
    """Speaks for the node in every handshake; derive from it, and override what matters to you. Its methods are quick and do not block.

    Nothing is proved before the peer's first valid frame. Anyone can send an auth with any key in it, or one that was sent before, and an
    answer is wanted all the same. So what you keep under a peer's key changes in `proved` only. What you need there comes back in the
    `Agreement`: the elements of both sides, nonces, packets and shared secrets.

    Each `offer` is followed by exactly one call of `proved`, `failed` or `unanswered`, each `answer` by one of `proved` or `failed`. The
    nonce of our own packet tells which: it is never used twice. Many handshakes may be under way at one time, some of them with one peer:
    where two nodes dial each other at once, both links are proved, and only then is one of the two closed.
    Before a node does anything else, it asks for an offer and an answer in a handshake with itself, which fails, to find out whether they
    can be sent. A link that has proved its peer has no handshake, and asks for nothing.
    """

    def offer(self, remote: PublicKey, auth: Auth) -> Sequence[bytes]:  # noqa: ARG002  (to be overridden)
        """Give the elements for our auth to `remote`, each as its RLP encoding; `auth` is the rest of it. At most `AUTH_ROOM` bytes.

        Those of dpx/1, which come behind yours, take some 60 bytes with a stranger and 1350 at most; where they have no room the session
        is a stock one.
        """
        return ()

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> Sequence[bytes]:  # noqa: ARG002
        """Give the elements for our ack to what claims to be `remote`; `auth` came from it, and `ack` is the rest of ours.

        At most `ACK_ROOM` bytes. It is not asked about an auth in the format from before EIP-8, whose ack has no place for elements.
        """
        return ()

    def padding(self, size: int) -> bytes | None:  # noqa: ARG002
        """Give what follows the list in our auth or ack, which has `size` bytes without it; what is too long for the packet is cut.

        None for 100 to 300 random bytes, as EIP-8 recommends.
        """
        return None

    def framing(self, agreement: Agreement) -> Framing | None:  # noqa: ARG002
        """Choose what messages travel in from here on, Hello first, if both sides have agreed on other than RLPx frames; else None.

        Nothing is proved yet: the first frame is what proves the peer, so whatever is chosen must authenticate it by keys that only the two
        sides of this agreement can derive. HandshakeError if what the peer answered is such that there can be no session.
        """
        return None

    def proved(self, agreement: Agreement) -> None:
        """The peer's first frame was valid: it holds its static key, and has both packets as they are in `agreement`."""

    def failed(self, agreement: Agreement) -> None:
        """There was an agreement, but no valid frame came: the link was lost, took too long, or the first frame was bad.

        It proves nothing about `agreement.remote`: whoever is on the way, or sends an old auth again, can bring this about.
        """

    def unanswered(self, remote: PublicKey, auth: Auth) -> None:
        """Our auth got no valid ack: the link was lost, took too long, or something else came. It proves nothing about `remote`."""


class Contained(Extension):
    """Asks another extension; where that fails, or gives what no packet can hold, there are no elements.

    The first failure of each method is logged with its traceback. So a stranger who makes an extension fail has a handshake without it.
    """

    def __init__(self, extension: Extension) -> None:
        self._offer = unless_it_fails(partial(offered, extension), ())
        self._answer = unless_it_fails(partial(answered, extension), ())
        self._padding = unless_it_fails(partial(chosen_padding, extension), None)
        self._framing = unless_it_fails(partial(_framing_or_refusal, extension), None)
        self._proved = unless_it_fails(extension.proved, None)
        self._failed = unless_it_fails(extension.failed, None)
        self._unanswered = unless_it_fails(extension.unanswered, None)

    def offer(self, remote: PublicKey, auth: Auth) -> Sequence[bytes]:
        """See `Extension`."""
        return self._offer(remote, auth)

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> Sequence[bytes]:
        """See `Extension`."""
        return self._answer(remote, auth, ack)

    def padding(self, size: int) -> bytes | None:
        """See `Extension`."""
        return self._padding(size)

    def framing(self, agreement: Agreement) -> Framing | None:
        """See `Extension`. One that fails ends in stock frames, which a peer that expects others refuses; HandshakeError as from it."""
        chosen = self._framing(agreement)
        if isinstance(chosen, HandshakeError):
            raise chosen
        return chosen

    def proved(self, agreement: Agreement) -> None:
        """See `Extension`."""
        self._proved(agreement)

    def failed(self, agreement: Agreement) -> None:
        """See `Extension`."""
        self._failed(agreement)

    def unanswered(self, remote: PublicKey, auth: Auth) -> None:
        """See `Extension`."""
        self._unanswered(remote, auth)


class Combined(Extension):
    """Several extensions in one: each rides beside the others, and the first that has one chooses the framing and the padding.

    What they say may grow with what each knows of the peer. One that finds no room behind those before it is left out of that packet.
    """

    def __init__(self, *extensions: Extension) -> None:
        self._extensions = extensions

    def offer(self, remote: PublicKey, auth: Auth) -> Sequence[bytes]:
        """See `Extension`."""
        return _one_after_another((offered(one, remote, auth) for one in self._extensions), AUTH_ROOM)

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> Sequence[bytes]:
        """See `Extension`."""
        return _one_after_another((answered(one, remote, auth, ack) for one in self._extensions), ACK_ROOM)

    def padding(self, size: int) -> bytes | None:
        """See `Extension`."""
        return next((own for one in self._extensions if (own := one.padding(size)) is not None), None)

    def framing(self, agreement: Agreement) -> Framing | None:
        """See `Extension`. All are asked, since each may refuse what the peer answered."""
        chosen = [own for one in self._extensions if (own := one.framing(agreement)) is not None]
        return chosen[0] if chosen else None

    def proved(self, agreement: Agreement) -> None:
        """See `Extension`."""
        for one in self._extensions:
            one.proved(agreement)

    def failed(self, agreement: Agreement) -> None:
        """See `Extension`."""
        for one in self._extensions:
            one.failed(agreement)

    def unanswered(self, remote: PublicKey, auth: Auth) -> None:
        """See `Extension`."""
        for one in self._extensions:
            one.unanswered(remote, auth)


def _framing_or_refusal(extension: Extension, agreement: Agreement) -> Framing | HandshakeError | None:
    try:
        return extension.framing(agreement)
    except HandshakeError as refusal:
        return refusal


def offered(extension: Extension, remote: PublicKey, auth: Auth) -> tuple[bytes, ...]:
    """Ask for the elements of an auth, and check them: TypeError or LocalProtocolError for what cannot be sent."""
    return _sendable(extension.offer(remote, auth), f"what {type(extension).__name__}.offer returns", "auth", AUTH_ROOM)


def answered(extension: Extension, remote: PublicKey, auth: Auth, ack: Ack) -> tuple[bytes, ...]:
    """The same for an ack."""
    return _sendable(extension.answer(remote, auth, ack), f"what {type(extension).__name__}.answer returns", "ack", ACK_ROOM)


def chosen_padding(extension: Extension, size: int) -> bytes | None:
    """The same for the padding of either; TypeError for what is no bytes."""
    own = extension.padding(size)
    if own is not None:
        require(own, bytes, f"what {type(extension).__name__}.padding returns is bytes, or None")
    return own


def _one_after_another(parts: Iterable[Sequence[bytes]], room: int) -> list[bytes]:
    """Those of some extensions' elements that have room together; of each one all or none."""
    found = list[bytes]()
    for part in parts:
        if (size := sum(map(len, part))) <= room:
            found += part
            room -= size
    return found


def _sendable(elements: Iterable[bytes], what: str, packet: str, room: int) -> tuple[bytes, ...]:
    found = several(elements, what)
    for element in found:
        require(element, bytes, f"each element of {what} is bytes, one encoded RLP item", "rlp.encode(...) makes one")
        try:
            _ITEM.encode(element)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"an element of {what} is {error}: rlp.encode(...) makes one") from None
    if (size := sum(map(len, found))) > room:
        raise LocalProtocolError(
            f"{what} has {size} bytes, where an {packet} of at most {MAX_PACKET} has room for {room}: return fewer or shorter elements"
        )
    return found
