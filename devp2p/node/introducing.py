"""The conversation by which nodes introduce each other (dpx/1, section 8), over the control messages of their sessions.

    audience                        introducer                        subject
                                              <── IntroductionConsent ──
       ── IntroductionRequest ──>
       <── Introduction ─────────             ── IntroductionNote ────>
       ── auth with the record ─────────────────────────────────────────>

A stranger is told nothing, not even that there is nothing. Whatever a peer may send as often as it likes is bounded before it costs a
signature.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from os import urandom
from typing import Final

import trio

from devp2p.arguments import number, whole
from devp2p.bounded import Throttle
from devp2p.capability import AnyCapability, Peer
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import NodeId, PrivateKey, PublicKey
from devp2p.node.policy import Policy
from devp2p.node.roster import Roster
from devp2p.node.vouching import Vouching
from devp2p.peers import Subject, grade_of
from devp2p.records import NodeRecord, Record
from devp2p.trust import Trust
from devp2p.wire.dpx import Consent, Feature, Grade, IntroductionRecord, Pact, control

SOURCE: Final = "introduced"
"""Of candidates to whom a peer has introduced us."""
MOST_ASKED: Final = 4

_TO: Final = {Consent.NONE: (), Consent.KNOWN: (Trust.KNOWN,), Consent.ANY: (Trust.KNOWN, Trust.INTRODUCED)}
_CONSENTS: Final = (0.1, 4)  # that one peer may give in a second, and at once; each may cost a signature
_NOTES: Final = (4 / 3600, 4)

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Asked:
    """A request of ours that is not answered yet."""

    left: int
    """How many answers may still come."""
    found: list[NodeRecord] = field(default_factory=list[NodeRecord])
    done: trio.Event = field(default_factory=trio.Event)


@dataclass(slots=True, eq=False)
class _Talk:
    """What is said with one peer."""

    peer: Peer
    pact: Pact
    otherwise: Callable[[control.Control], None]
    """Who hears what is not about introductions."""
    enr: Record | None = None
    """The peer's own record, from its consent."""
    asked: _Asked | None = None


class Introducing:
    """One node's conversations."""

    def __init__(  # noqa: PLR0913  (made in one place, when the node is opened)
        self,
        key: PrivateKey,
        policy: Policy,
        roster: Roster,
        vouching: Vouching,
        *,
        wall: Callable[[], float],
        enr: Callable[[], Record | None],
    ) -> None:
        """`wall`: the time in seconds since 1970. `enr`: our own record, None if we have none."""
        self._key = key
        self._policy = policy
        self._roster = roster
        self._vouching = vouching
        self._wall = wall
        self._enr = enr
        self._talks: dict[NodeId, _Talk] = {}
        self._consents, self._notes = Throttle(*_CONSENTS), Throttle(*_NOTES)
        self._seq = 0

    # The sessions

    def began(self, peer: Peer, pact: Pact | None) -> None:
        """A session has begun; `pact` is what came of its handshake in dpx/1, if both sides speak it."""
        if pact is None or Feature.INTRODUCE not in pact.features:
            return
        talk = self._talks[peer.id] = _Talk(peer, pact, pact.heard)
        pact.heard = partial(self._heard, talk)
        peer.introducer = partial(self._introduce_me, talk)
        if self._vouching.consent is not Consent.NONE:
            self._say_consent(talk)

    def ended(self, peer: Peer) -> None:
        """It is over."""
        talk = self._talks.get(peer.id)
        if talk is None or talk.peer is not peer:
            return
        del self._talks[peer.id]
        talk.pact.heard, peer.introducer = talk.otherwise, None  # which hold each other
        self._policy.referrals.withdraw(peer.id)
        if talk.asked is not None:
            talk.asked.done.set()

    # What the user wants

    @property
    def consent(self) -> Consent:
        """Whom the node lets be introduced to it."""
        return self._vouching.consent

    def let(self, consent: Consent) -> None:
        """Let others be introduced to us, or no longer, from now on."""
        if consent is self._vouching.consent:
            return
        self._vouching.consent = consent
        for talk in self._talks.values():
            self._say_consent(talk)

    def _say_consent(self, talk: _Talk) -> None:
        enr = None if self._vouching.consent is Consent.NONE else self._enr()
        talk.pact.say(control.IntroductionConsent(b"", self._vouching.consent, None if enr is None else enr.encode()))

    async def _introduce_me(
        self,
        talk: _Talk,
        capability: type[AnyCapability],
        count: int,
        timeout: float,  # noqa: ASYNC109  (what has come until then is returned)
    ) -> tuple[NodeRecord, ...]:
        """See `Peer.introduce_me`."""
        whole(count, "count", 1, MOST_ASKED)
        number(timeout, "timeout")
        index = next((place for place, one in enumerate(talk.peer.capabilities, 1) if isinstance(one, capability)), None)
        if index is None:
            raise KeyError(f"{capability.__name__} is not shared with {talk.peer!r}, so it can introduce nobody who has it")
        await trio.lowlevel.checkpoint()
        if talk.peer.ended is not None:
            raise talk.peer.ended.again()
        if talk.asked is not None:
            raise LocalProtocolError(f"{talk.peer!r} was asked just now: wait for its introductions, or ask for up to {MOST_ASKED} at once")
        asked = talk.asked = _Asked(count)
        try:
            talk.pact.say(control.IntroductionRequest(index, count))
            with trio.move_on_after(timeout):
                await asked.done.wait()
        finally:
            talk.asked = None
        return tuple(asked.found)

    # What peers say

    def _heard(self, talk: _Talk, message: control.Control) -> None:
        match message:
            case control.IntroductionConsent():
                self._consented(talk, message)
            case control.IntroductionRequest(index, count):
                self._requested(talk, index, count)
            case control.Introduction(enr, record):
                self._introduced(talk, enr, record)
            case control.IntroductionNote(audience, nonce, expires):
                self._noted(talk, NodeId(audience), nonce, expires)
            case _:
                talk.otherwise(message)

    def _consented(self, talk: _Talk, message: control.IntroductionConsent) -> None:
        # A mode of a later version says something that we do not understand: we introduce nobody by it.
        to = next((to for mode, to in _TO.items() if mode == message.mode), ())
        # To withdraw it costs next to nothing, and counts however often a peer changes its mind.
        if to and not self._consents.allows(talk.peer.id, self._policy.clock.trio()):
            return
        try:
            audience = PublicKey.from_bytes(message.subject).node_id if message.subject else b""
            enr = Record.decode(message.enr) if to and message.enr is not None else None
        except DecodingError as error:
            _logger.debug("%r consents to introductions in a way that means nothing: %s", talk.peer, error)
            return
        if enr is not None and enr.public_key == talk.peer.public_key:
            talk.enr = enr
        self._policy.referrals.consent(talk.peer.id, to, audience)

    def _requested(self, talk: _Talk, index: int, count: int) -> None:
        peer, now = talk.peer, self._policy.clock.trio()
        if peer.trust is Trust.STRANGER or index > len(peer.capabilities):
            return
        capability = peer.capabilities[index - 1]
        standing = self._policy.ratings.standing
        subjects = (  # which nobody looks at for a peer that asks too often
            Subject(one.peer.id, standing(one.peer.id, capability.name, now).quantile)
            for one in self._talks.values()
            if one.enr is not None and one.peer.trust is Trust.KNOWN and capability in one.peer.active and one.peer.ended is None
        )
        for node_id in self._policy.referrals.choose(peer.id, peer.trust, subjects, count, now):
            self._introduce(self._talks[NodeId(node_id)], talk)

    def _introduce(self, subject: _Talk, audience: _Talk) -> None:
        wall = int(self._wall())
        self._seq = max(self._seq + 1, int(self._wall() * 1000))  # larger than before a restart, too
        record = IntroductionRecord.sign(
            self._key,
            subject.peer.public_key,
            audience.peer.id,
            issued=wall,
            seq=self._seq,
            nonce=urandom(16),
            grades=self._grades(subject.peer),
        )
        assert subject.enr is not None  # noqa: S101  (or else it is not chosen)
        _logger.info("introducing %s to %s", subject.peer.id.hex()[:16], audience.peer.id.hex()[:16])
        subject.pact.say(control.IntroductionNote(audience.peer.id, record.nonce, record.expires))
        audience.pact.say(control.Introduction(subject.enr.encode(), record.encode()))

    def _grades(self, peer: Peer) -> list[Grade]:
        now, standing = self._policy.clock.trio(), self._policy.ratings.standing
        grades = [Grade(one.name, one.version, grade_of(standing(peer.id, one.name, now).quantile)) for one in peer.active]
        return sorted(grades, key=lambda grade: -grade.grade)[:8]

    def _introduced(self, talk: _Talk, enr: bytes, data: bytes) -> None:
        asked = talk.asked
        if asked is None or not asked.left:
            return
        asked.left -= 1
        try:
            found, record = NodeRecord.from_enr(Record.decode(enr)), IntroductionRecord.decode(data)
        except DecodingError as error:
            _logger.debug("%r introduces nobody: %s", talk.peer, error)
        else:
            is_its_own = record.introducer == talk.peer.public_key.compressed
            wrong = record.fault(found.public_key, self._key.public_key.node_id, self._wall())
            if is_its_own and wrong is None and record.is_signed():
                self._vouching.hold(record, found.id)
                counts = self._policy.introducers.may_introduce(talk.peer.id, self._policy.clock.trio())
                self._policy.candidates.offer(found, SOURCE, introduced=counts)  # else whoever is asked could have its own dialled first
                asked.found.append(found)
            else:
                _logger.debug("%r introduces %s, but %s", talk.peer, found.enode, wrong or "has not signed that")
        if not asked.left:
            asked.done.set()

    def _noted(self, talk: _Talk, audience: NodeId, nonce: bytes, expires: int) -> None:
        now = self._policy.clock.trio()
        if not self._policy.introducers.may_introduce(talk.peer.id, now) or expires <= self._wall():
            return
        if self._vouching.consent is not Consent.NONE and self._notes.allows(talk.peer.id, now):
            self._vouching.expect(audience, talk.peer.id, nonce)
