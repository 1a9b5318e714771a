"""Introduction records in a node's handshakes: those that it shows, those that it is shown, and what comes of them (pure).

A node is shown records by whoever calls it, before that one has proved anything. So looking at them changes nothing: only when the first
frame has proved the caller a record counts as used, and its introducer's quota as touched. What is looked at first costs nothing. A
signature is recovered, at most three of them, only if the node lets itself be introduced at all, and before the introducer is
looked up: or else whoever makes records up would learn from the answers whom the node knows.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from devp2p.arguments import require
from devp2p.bounded import Recent
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import NodeId, PublicKey
from devp2p.peers import Judgement
from devp2p.wire.dpx import Consent, IntroductionRecord, IntroductionVerdict, Pact, UsedRecords, introduction

if TYPE_CHECKING:
    from devp2p.node.policy import Policy

_HELD: Final = 256  # nodes to which others have introduced us
_EXPECTED: Final = 1024
_VERDICTS: Final = {
    Judgement.FINE: IntroductionVerdict.OK,
    Judgement.UNKNOWN: IntroductionVerdict.UNKNOWN_INTRODUCER,
    Judgement.QUOTA: IntroductionVerdict.QUOTA,
}


class Vouching:
    """One node's; see `wire.dpx.Introductions`. Records are dated by `wall`, in seconds since 1970, and all else is on trio's clock."""

    def __init__(self, own: PublicKey, policy: "Policy", wall: Callable[[], float], consent: Consent = Consent.NONE) -> None:
        self.consent: Consent = consent
        """Whom the node lets be introduced to it."""
        self._own = own
        self._policy = policy
        self._wall = wall
        self._used = UsedRecords()
        self._expected: Recent[bytes, bytes] = Recent(_EXPECTED, introduction.LIFETIME)
        self._held: Recent[NodeId, tuple[IntroductionRecord, ...]] = Recent(_HELD, introduction.LIFETIME)

    # Those that we show

    def hold(self, record: IntroductionRecord, subject: NodeId) -> None:
        """Keep a record that introduces us to a node, the newest of each introducer, until it is shown or no longer good."""
        now = self._policy.clock.trio()
        others = [one for one in self._held.get(subject, now) or () if one.introducer != record.introducer and one.expires > self._wall()]
        self._held.set(subject, (*others[1 - introduction.MOST_SHOWN :], record), now)

    def records_for(self, remote: PublicKey, /) -> tuple[bytes, ...]:
        """See `Introductions`."""
        held = self._held.get(remote.node_id, self._policy.clock.trio()) or ()
        return tuple(record.encode() for record in held if record.expires > self._wall())

    def is_introduced_to(self, node_id: NodeId) -> bool:
        """Whether there is something to show to a node."""
        return bool(self._held.get(node_id, self._policy.clock.trio()))

    # Those that we are shown

    def verdicts(self, remote: PublicKey, records: Sequence[bytes], /) -> tuple[IntroductionVerdict, ...]:
        """See `Introductions`."""
        if self.consent is Consent.NONE:
            return (IntroductionVerdict.NO_CONSENT,) * len(records)
        return tuple(self._verdict(remote, data) for data in records[: introduction.MOST_SHOWN])

    def _verdict(self, remote: PublicKey, data: bytes) -> IntroductionVerdict:
        now = self._policy.clock.trio()
        try:
            record = IntroductionRecord.decode(data)
            introducer = record.introducer_key().node_id
        except DecodingError:
            return IntroductionVerdict.INVALID
        if record.fault(self._own, remote.node_id, self._wall()) or self._used.fault(record, now) or not record.is_signed():
            return IntroductionVerdict.INVALID
        return _VERDICTS[self._policy.introducers.judge(introducer, remote.node_id, self._policy.slots_of(_names(record)), now)]

    def expect(self, audience: NodeId, introducer: NodeId, nonce: bytes) -> None:
        """An introducer says that a node will come, and with which record, from whatever address."""
        self._expected.set(introducer + audience, nonce, self._policy.clock.trio())

    def expects(self, audience: NodeId, introducer: NodeId, nonce: bytes) -> bool:
        """Whether an introducer has said that a node will come with a record of this nonce."""
        return self._expected.get(introducer + audience, self._policy.clock.trio()) == nonce

    # What comes of them

    def proved(self, pact: Pact, /) -> str:
        """See `Introductions`."""
        if pact.initiated:
            self._held.pop(pact.remote.node_id)
        elif self.consent is Consent.NONE:  # it was withdrawn in between
            return ""
        shown = zip(pact.offer.introductions, pact.accept.verdict.introductions, strict=False)
        taken = [IntroductionRecord.decode(data) for data, code in shown if code == IntroductionVerdict.OK]
        introducers = [found for record in taken if (found := self._introduce(record, pact)) is not None]
        return f"introduced by {' and '.join(introducers)}" if introducers else ""

    def _introduce(self, record: IntroductionRecord, pact: Pact) -> str | None:
        """Take a record, and name its introducer; None if it was used in another handshake meanwhile, or is one too many for us."""
        now, peer = self._policy.clock.trio(), pact.remote.node_id
        if not pact.initiated:
            if self._used.fault(record, now) is not None:
                return None
            self._used.use(record, now)
        introducer, lifetime = record.introducer_key().node_id, max(0.0, record.expires + introduction.SKEW - self._wall())
        judgement = self._policy.introducers.introduce(introducer, peer, self._policy.slots_of(_names(record)), now, lifetime)
        if judgement is not Judgement.FINE:
            return None
        return f"{introducer.hex()[:16]}{', as it had said' if self.expects(peer, introducer, record.nonce) else ''}"


def _names(record: IntroductionRecord) -> set[str]:
    return {grade.name for grade in record.grades}


def consent_of(text: str) -> Consent:
    """Read what a user says; LocalProtocolError for anything else, TypeError for what is no text."""
    require(text, str, "introductions is 'none', 'known' or 'any'")
    found = next((consent for consent in Consent if consent.name.lower() == text), None)
    if found is None:
        raise LocalProtocolError(f"introductions is 'none', 'known' or 'any', not {text!r}")
    return found
