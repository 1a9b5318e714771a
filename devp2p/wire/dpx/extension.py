"""How dpx/1 comes about: what a node offers and accepts in its handshakes (dpx/1, section 1).

A side that offers finds out from the ack whether the other has taken it. If not, the session is a stock one, and nobody is told. What is
malformed in an auth counts as absent, so that whoever writes such a thing has a stock session; in an ack it ends the handshake, since a
peer that claims to speak dpx/1 and does not is broken.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from devp2p.errors import DecodingError, HandshakeError
from devp2p.keys import PublicKey
from devp2p.trust import Trust
from devp2p.wire.dpx import control
from devp2p.wire.dpx.element import (
    REQUIRED,
    Accept,
    Feature,
    Mode,
    Offer,
    Params,
    Verdict,
    decode_accept,
    decode_offer,
    encode_accept,
    encode_offer,
    find,
)
from devp2p.wire.dpx.framing import DpxFraming
from devp2p.wire.dpx.introduction import Introductions, IntroductionVerdict
from devp2p.wire.dpx.keys import derive
from devp2p.wire.dpx.pact import Pact
from devp2p.wire.dpx.records import RecordOpener, RecordSealer
from devp2p.wire.dpx.resumption import NOTHING_OFFERED, Resumption
from devp2p.wire.dpx.shaping import padme
from devp2p.wire.rlpx import Ack, Agreement, Auth, Extension

SHARE_SIZE: Final = 32
_AUTH_SIZES: Final = 384, 584  # bytes of packets: those of go-ethereum and reth
_ACK_SIZES: Final = 317, 416
OURS: Final = REQUIRED | Feature.AES_256_GCM | Feature.SHAPE
"""All that we can do."""


class Dpx(Extension):
    """Speaks dpx/1 for one node, in all its handshakes."""

    def __init__(self, random_bytes: Callable[[int], bytes], *, features: Feature = OURS, params: Params | None = None) -> None:
        """`random_bytes` gives as many as it is asked for; `features` and `params` are what we offer and accept."""
        self._random_bytes = random_bytes
        self._features = features | REQUIRED
        self._params = Params() if params is None else params
        self.introductions: Introductions | None = None
        """The node's part in introductions; without one they are neither offered nor accepted."""
        self.resumption: Resumption | None = None
        """What the node keeps of its peers' sessions; without it none is resumed."""
        self._sizes = _AUTH_SIZES
        self._pacts: dict[bytes, Pact] = {}
        """Of handshakes that have proved nobody yet, by the nonce of our own packet."""

    @property
    def features(self) -> Feature:
        """What we offer and accept."""
        introduces = Feature.INTRODUCE if self.introductions is not None else Feature(0)
        return self._features | introduces | (Feature.RESUME if self.resumption is not None else Feature(0))

    def offer(self, remote: PublicKey, auth: Auth) -> tuple[bytes, ...]:
        """See `Extension`."""
        share, features = self._random_bytes(SHARE_SIZE), self.features
        tokens = () if self.resumption is None else self.resumption.offer(remote, auth, share, features)
        self._sizes = _AUTH_SIZES
        shown = () if self.introductions is None else self.introductions.records_for(remote)
        return (encode_offer(Offer(features, share, tokens, shown, self._params)),)

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> tuple[bytes, ...]:
        """See `Extension`."""
        self._sizes = _ACK_SIZES
        offer = _offer_in(auth)
        if offer is None:
            return ()
        features, share = offer.features & self.features, self._random_bytes(SHARE_SIZE)
        codes = self._verdicts(remote, offer) if Feature.INTRODUCE in features else ()
        mode = Mode.INTRODUCED if IntroductionVerdict.OK in codes else Mode.PLAIN
        answer = NOTHING_OFFERED if self.resumption is None else self.resumption.answer(remote, auth, ack, offer, share)
        accept = Accept(features, share, answer.mode or mode, answer.sealed, Verdict(answer.verdict, codes), self._params)
        return (encode_accept(accept),)

    def padding(self, size: int) -> bytes:
        """See `Extension`: so much that the packet is of any size that other clients' have, whatever is in it (dpx/1, section 10).

        Each packet is padded right after it was asked for elements. One that is too large for that, as with introductions, is of one of few
        sizes.
        """
        least, most = self._sizes
        least = max(least, size)
        wanted = least + int.from_bytes(self._random_bytes(8)) % (most - least + 1) if least <= most else padme(size)
        return self._random_bytes(wanted - size)

    def framing(self, agreement: Agreement) -> DpxFraming | None:
        """See `Extension`. HandshakeError for an ack with what was not offered, or malformed."""
        offer, accept = _offer_in(agreement.auth), _accept_in(agreement.ack)
        if offer is None or accept is None:
            return None
        if int(accept.features) & ~int(offer.features) or REQUIRED not in accept.features:  # ~ of a Feature lacks what it does not know
            raise HandshakeError(f"an ack accepts the features {accept.features:#x} of dpx/1, where {offer.features:#x} were offered")
        codes = accept.verdict.introductions
        if len(codes) > len(offer.introductions) or (accept.mode is Mode.INTRODUCED and IntroductionVerdict.OK not in codes):
            raise HandshakeError("an ack takes introductions that were not offered")
        old = None if self.resumption is None else self.resumption.resumed(agreement, accept)
        if old is None and accept.sealed is not None:
            raise HandshakeError("an ack resumes what was not offered")
        keys = derive(agreement, (offer.share, accept.share), accept.mode, old)
        sealing, opening = keys.pair(initiated=agreement.initiated)
        keys = replace(keys, to_recipient=b"", to_initiator=b"")  # of which all later ones can be derived: only the records have them
        pact = Pact(agreement.remote, offer, accept, keys, initiated=agreement.initiated)
        self._pacts[_own_nonce(agreement)] = pact
        cipher = AESGCM if Feature.AES_256_GCM in accept.features else ChaCha20Poly1305
        return DpxFraming(pact, RecordSealer(sealing, cipher), RecordOpener(opening, cipher))

    def proved(self, agreement: Agreement) -> None:
        """See `Extension`."""
        nonce = _own_nonce(agreement)
        pact = self._pacts.pop(nonce, None)
        if pact is None:  # a stock session, which says nothing about what we have with a peer that may speak dpx/1 again
            if self.resumption is not None:
                self.resumption.failed(nonce, agreement.remote)
            return
        if self.resumption is not None:
            self._resumed(self.resumption, pact, agreement)
        if self.introductions is not None and Feature.INTRODUCE in pact.features:
            why = self.introductions.proved(pact)
            if why and pact.profile.trust is Trust.STRANGER:
                lost = f"; {pact.profile.why}" if pact.profile.why else ""  # it was known before
                pact.profile = replace(pact.profile, trust=Trust.INTRODUCED, why=why + lost)

    def failed(self, agreement: Agreement) -> None:
        """See `Extension`."""
        nonce = _own_nonce(agreement)
        pact = self._pacts.pop(nonce, None)
        if self.resumption is not None:
            self.resumption.failed(nonce, agreement.remote, is_broken=pact is not None and pact.is_broken)

    def unanswered(self, remote: PublicKey, auth: Auth) -> None:
        """See `Extension`."""
        if self.resumption is not None:
            self.resumption.failed(auth.nonce, remote)

    @staticmethod
    def _resumed(resumption: Resumption, pact: Pact, agreement: Agreement) -> None:
        """The peer has proved itself: its next session can resume this one, and we say so as soon as that is certain."""
        outcome = resumption.proved(agreement, pact.features, pact.keys.resumption)
        mode = "resumed" if outcome.generation else pact.profile.mode
        pact.profile = replace(pact.profile, mode=mode, trust=outcome.trust, generation=outcome.generation, why=outcome.why)
        remote, otherwise = pact.remote, pact.heard  # and not the pact: two that hold each other would wait for the garbage collector

        def heard(message: control.Control) -> None:
            if isinstance(message, control.Committed):
                resumption.confirmed(remote, message.generation or b"")
            else:
                otherwise(message)

        pact.heard = heard
        if (committed := outcome.committed) is None:
            return

        def say() -> None:
            if committed in resumption.of(pact.remote.node_id).ids:  # it took long, and another link can have taken its place
                pact.say(control.Committed(committed))

        resumption.when_saved(say)

    def _verdicts(self, remote: PublicKey, offer: Offer) -> tuple[IntroductionVerdict, ...]:
        return () if self.introductions is None else self.introductions.verdicts(remote, offer.introductions)


def _own_nonce(agreement: Agreement) -> bytes:
    """What tells our handshakes from one another."""
    return agreement.auth.nonce if agreement.initiated else agreement.ack.nonce


def _offer_in(auth: Auth) -> Offer | None:
    """The offer in an auth, unless it is malformed, or lacks what everybody can do."""
    element = find(auth.elements)
    if element is None:
        return None
    try:
        offer = decode_offer(element)
    except DecodingError:
        return None
    return offer if REQUIRED in offer.features else None


def _accept_in(ack: Ack) -> Accept | None:
    element = find(ack.elements)
    if element is None:
        return None
    try:
        return decode_accept(element)
    except DecodingError as error:
        raise HandshakeError(f"the element of dpx/1 in an ack is malformed: {error}") from None
