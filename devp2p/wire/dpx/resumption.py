"""Resumption: all handshakes of a node in which secrets from before are offered, answered and kept (dpx/1, section 7).

An auth proves nothing about its sender, and an ack nothing before the first record. So `offer`, `answer` and `resumed` keep only what is
under way, by the nonce of our own packet, and what is kept of a peer changes in `proved`, and in `confirmed`, which its records have asked
for. Secrets are looked up under the key that the handshake is with, so nobody can resume what belongs to another.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final

from devp2p.bounded import Recent
from devp2p.errors import DecodingError, HandshakeError
from devp2p.keys import PublicKey
from devp2p.trust import Trust
from devp2p.wire.dpx.acquaintance import Acquaintance, decode, encode
from devp2p.wire.dpx.element import Accept, Feature, Mode, Offer, ResumeVerdict, Token
from devp2p.wire.dpx.failures import ACCEPTED, DIALLED, Action, Failure
from devp2p.wire.dpx.lineage import DAY, SETTLED, Generation, Lineage
from devp2p.wire.dpx.sealing import id_of, opens_answer, opens_offer, seal_answer, seal_offer
from devp2p.wire.rlpx import Ack, Agreement, Auth

MOST_PEERS: Final = 8192
"""Of how many peers secrets are kept. Of more those go that we had a session with longest ago, strangers first."""
_SHARE_OF_STRANGERS: Final = 4  # a quarter of the places at most is theirs when there are too many
_PLAIN_FOR: Final = 60.0  # seconds after a failure for which a dial offers no secrets
_REMEMBERED: Final = 4096  # ids that were used of late, and peers at which a first record was not authentic
_PLACES: Final = {Mode.RESUMED: 0, Mode.RESUMED_PREVIOUS: 1}
_MODES: Final = tuple(_PLACES)
_NOBODY: Final = Acquaintance()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a recipient says to the tokens that it was offered."""

    verdict: ResumeVerdict
    mode: Mode | None = None
    """`Mode.RESUMED` or `Mode.RESUMED_PREVIOUS`; None: nothing is resumed."""
    sealed: bytes | None = None
    """Our share, sealed under what is resumed."""
    secret: bytes | None = field(default=None, repr=False)
    """What is resumed."""


NOTHING_OFFERED: Final = Answer(ResumeVerdict.NONE_OFFERED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a session's beginning says of the peer that has proved itself."""

    trust: Trust = Trust.STRANGER
    generation: int = 0
    """How many sessions the chain has, this one included, if one was resumed; else 0."""
    why: str = ""
    committed: bytes | None = None
    """The id of the session's secret, if it is kept now: the peer is to be told as soon as it is saved (`Resumption.when_saved`)."""


@dataclass(frozen=True, slots=True)
class TrustLost:
    """A peer that was known is a stranger in a session."""

    remote: PublicKey
    failure: Failure
    action: Action
    """What was done to what is kept of it."""


@dataclass(slots=True)
class _UnderWay:
    """One handshake."""

    offered: tuple[tuple[Lineage, Generation], ...] = ()
    tokens: tuple[Token, ...] = ()
    used: tuple[bytes, Generation] | None = None
    """What is resumed, with the root of its chain."""
    failure: Failure | None = None
    is_plain: bool = False
    """Whether we offer nothing because the last dial failed."""
    is_broken: bool = False
    """Whether the ack was not by who has the secret."""
    is_overtaken: bool = False
    """Whether another link with the peer has made what was offered old, so that nothing follows from its being unknown."""


@dataclass(frozen=True, slots=True)
class _Touch:
    """The last use of a secret in a handshake."""

    nonce: bytes
    before: float
    """When the one before it was."""


def _ignore(_: object) -> None:
    pass


def _nothing() -> None:
    pass


class Resumption:
    """One node's."""

    def __init__(self, clock: Callable[[], float], *, most: int = MOST_PEERS) -> None:
        """`clock` gives seconds since 1970. Of at most so many peers secrets are kept."""
        self.on_loss: Callable[[TrustLost], object] = _ignore
        """Is told of a peer that was known and is a stranger in a session."""
        self.on_change: Callable[[], object] = _nothing
        """Is called when `changes` has something new."""
        self.is_kept: bool = False
        """Whether somebody takes `changes` and writes them down, so that nothing is promised before `saved`."""
        self._clock = clock
        self._most = most
        self._known: OrderedDict[bytes, Acquaintance] = OrderedDict()
        self._strangers: OrderedDict[bytes, Acquaintance] = OrderedDict()
        self._under_way: dict[bytes, _UnderWay] = {}
        self._touched: Recent[bytes, _Touch] = Recent(_REMEMBERED, SETTLED)
        self._plain: Recent[bytes, frozenset[bytes]] = Recent(_REMEMBERED, _PLAIN_FOR)
        self._strikes: Recent[bytes, int] = Recent(_REMEMBERED, 7 * DAY)
        self._confirmed: dict[bytes, PublicKey] = {}
        """Those of them that the peer holds, too; older ones go when they are written down."""
        self._forgot = -inf
        self._changed: dict[bytes, None] = {}
        self._promised: deque[Callable[[], object]] = deque(maxlen=_REMEMBERED)
        """What is to be said when what has changed since the last `changes` is written down."""
        self._being_saved: deque[Callable[[], object]] = deque(maxlen=_REMEMBERED)
        """The same of what `changes` has given."""
        self._unsaved: dict[bytes, bool] = {}
        """The ids of secrets that are not written down yet, and whether `changes` has given them. They are not used: that would promise
        them as well, since a peer that sees us use a secret lets go of the one before it."""

    # What is kept, for whoever writes it down.

    def load(self, kept: Mapping[bytes, bytes]) -> int:
        """Take up what was kept of which node-IDs, used longest ago first. How many cannot be read, and count as not kept."""
        unreadable = 0
        for node_id, data in kept.items():
            try:
                acquaintance = decode(data)
            except DecodingError:
                unreadable += 1
                continue
            if acquaintance.lineages:
                (self._known if acquaintance.is_known else self._strangers)[node_id] = acquaintance
        return unreadable

    def changes(self) -> dict[bytes, bytes | None]:
        """What is kept now of each node-ID of which it has changed since the last call; None if nothing is. `saved` is to follow."""
        changed, self._changed = self._changed, {}
        self._being_saved += self._promised
        self._promised.clear()
        self._unsaved = dict.fromkeys(self._unsaved, True)
        found = {node_id: self._known.get(node_id) or self._strangers.get(node_id) for node_id in changed}
        return {node_id: None if one is None else encode(one) for node_id, one in found.items()}

    def saved(self) -> None:
        """What `changes` gave is written down: whoever is to know that is told."""
        saved = {one for one, given in self._unsaved.items() if given}
        self._unsaved = {one: given for one, given in self._unsaved.items() if not given}
        for one in saved & self._confirmed.keys():
            self.confirmed(self._confirmed.pop(one), one)
        said = tuple(self._being_saved)
        self._being_saved.clear()
        for say in said:
            say()

    def unsaved(self, changes: Iterable[bytes]) -> None:
        """What `changes` gave could not be written down: it is given again, and nobody is told anything."""
        self._changed = dict.fromkeys(changes) | self._changed
        self._unsaved = dict.fromkeys(self._unsaved, False)

    def when_saved(self, say: Callable[[], object]) -> None:
        """Call this once what is kept now is written down: at once, if nobody writes it down."""
        if self.is_kept:
            self._promised.append(say)
        else:
            say()

    def __len__(self) -> int:
        return len(self._known) + len(self._strangers)

    def of(self, node_id: bytes) -> Acquaintance:
        """What is kept of a node, which may be nothing."""
        found = self._known.get(node_id) or self._strangers.get(node_id) or _NOBODY
        return found.current(self._clock())

    def is_known(self, node_id: bytes) -> bool:
        """Whether a node was known at its last session, so that it is worth more than a stranger."""
        found = self._known.get(node_id)
        return found is not None and found.current(self._clock()).is_known

    # One handshake. Until it is proved nothing is kept of it.

    def offer(self, remote: PublicKey, auth: Auth, share: bytes, features: Feature) -> tuple[Token, ...]:
        """Give the tokens for our auth, whose `share` and `features` the offer will have."""
        now = self._clock()
        is_plain = self._plain.has(remote.node_id, now)
        offered = () if is_plain or Feature.RESUME not in features else self._saved(self.of(remote.node_id).offered())
        tokens = tuple(seal_offer(one.secret, share, auth, features) for _, one in offered)
        for token in tokens:
            self._touch(token.id, auth.nonce, now)
        self._under_way[auth.nonce] = _UnderWay(offered, tokens, is_plain=is_plain)
        return tokens

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack, offer: Offer, share: bytes) -> Answer:
        """Answer the tokens in an offer; our ack's accept will have `share`."""
        kept, now = self.of(remote.node_id), self._clock()
        handshake = self._under_way[ack.nonce] = _UnderWay()
        usable = [b"" if token.id in self._unsaved else token.id for token in offer.tokens]
        match = kept.match(usable) if Feature.RESUME in offer.features else None
        if match is None:
            handshake.is_overtaken = any(self._touched.has(token.id, now) or token.id in self._unsaved for token in offer.tokens)
            handshake.failure = Failure.WITHHELD if kept.lineages and not handshake.is_overtaken else None
            return Answer(ResumeVerdict.UNKNOWN) if offer.tokens and Feature.RESUME in offer.features else NOTHING_OFFERED
        token, secret = offer.tokens[match.place], match.generation.secret
        if not opens_offer(secret, token, offer.share, auth, offer.features):
            handshake.failure = Failure.NOT_SEALED
            return Answer(ResumeVerdict.DOES_NOT_OPEN)
        handshake.used = match.lineage.root, match.generation
        self._touch(token.id, ack.nonce, now)
        return Answer(ResumeVerdict.RESUMED, _MODES[match.place], seal_answer(secret, share, token.sealed, ack), secret)

    def resumed(self, agreement: Agreement, accept: Accept) -> bytes | None:
        """The secret that a handshake resumes, or None. HandshakeError for an accept in an ack that cannot be true."""
        if not agreement.initiated:
            handshake = self._under_way.get(agreement.ack.nonce)
            return None if handshake is None or handshake.used is None else handshake.used[1].secret
        handshake = self._under_way.setdefault(agreement.auth.nonce, _UnderWay())
        if accept.mode not in _PLACES:
            if handshake.tokens:
                handshake.failure = _SAID.get(accept.verdict.resume, Failure.NOT_RESUMED)
            return None
        place, sealed = _PLACES[accept.mode], accept.sealed
        if place >= len(handshake.tokens) or sealed is None or Feature.RESUME not in accept.features:
            raise HandshakeError("an ack resumes what was not offered")
        lineage, generation = handshake.offered[place]
        if not opens_answer(generation.secret, sealed, accept.share, handshake.tokens[place].sealed, agreement.ack):
            handshake.is_broken = True
            raise HandshakeError("an ack resumes what its sender has no secret of")
        handshake.used = lineage.root, generation
        return generation.secret

    def failed(self, nonce: bytes, remote: PublicKey, *, is_broken: bool = False) -> None:
        """A handshake of ours, by the nonce of our packet, has come to nothing. Nothing that is kept of the peer changes.

        `is_broken`: there was an agreement, and the first record was not authentic. If we have dialled, the next dial is plain.
        """
        handshake = self._under_way.pop(nonce, None)
        if handshake is None or not handshake.tokens or not (is_broken or handshake.is_broken):
            return
        if DIALLED[Failure.NOT_AUTHENTIC].first is Action.DIAL_PLAIN:
            self._plain.set(remote.node_id, frozenset(token.id for token in handshake.tokens), self._clock())

    def wants_plain(self, remote: PublicKey) -> bool:
        """Whether the next dial of this node is to be plain, and so worth trying at once."""
        return self._plain.has(remote.node_id, self._clock())

    def proved(self, agreement: Agreement, features: Feature, secret: bytes) -> Outcome:
        """The peer's first record was authentic. `features` are what both do, and `secret` is what the next session may resume.

        What is kept has changed when this returns, and then the peer is to be told of `Outcome.committed`.
        """
        nonce = agreement.auth.nonce if agreement.initiated else agreement.ack.nonce
        handshake, node_id, now = self._under_way.pop(nonce, None) or _UnderWay(), agreement.remote.node_id, self._clock()
        kept = self.of(node_id)
        if handshake.used is not None:
            root, used = handshake.used
            new = kept.resumed(root, used, secret, now, self._recent_of(kept, now, nonce))
            self._strikes.pop(node_id)
            lineage = next((one for one in new.lineages if one.root == root), None)
            trust = Trust.KNOWN if lineage is not None and lineage.known else Trust.STRANGER
            why = "" if lineage is None or not lineage.known else _why(used.number + 1, now - lineage.born)
            outcome = Outcome(trust, used.number + 1, why)
        else:
            if any(kept.held(lineage.root) != lineage.held for lineage, _ in handshake.offered):
                handshake.is_overtaken, handshake.failure = True, None
            new, why = self._after_failure(agreement, handshake, kept, now)
            if Feature.RESUME in features and not handshake.is_overtaken:
                new = new.started(secret, now)
            outcome = Outcome(why=why)
        self._keep(node_id, new)
        if not new.holds(secret):
            return outcome
        if self.is_kept:
            self._unsaved[id_of(secret)] = False
        return replace(outcome, committed=id_of(secret))

    def confirmed(self, remote: PublicKey, id: bytes) -> None:  # noqa: A002  (that is what it is called)
        """The peer, which has proved itself, says that it holds the secret with this id."""
        now = self._clock()
        kept = self.of(remote.node_id)
        if id in self._unsaved:
            self._confirmed[id] = remote
            return
        self._keep(remote.node_id, kept.confirmed(id, now, self._recent_of(kept, now)))

    def _after_failure(self, agreement: Agreement, handshake: _UnderWay, kept: Acquaintance, now: float) -> tuple[Acquaintance, str]:
        """What is kept after a session has resumed nothing, and why the peer is no more than a stranger."""
        node_id, failure = agreement.remote.node_id, handshake.failure
        plain = self._plain.pop(node_id) if handshake.is_plain else None
        ids: Iterable[bytes] = (token.id for token in handshake.tokens)
        if plain is not None:
            failure, ids = Failure.NOT_AUTHENTIC, plain
        if failure is None:
            return kept, ""
        recent = self._recent_of(kept, now, agreement.auth.nonce)
        row = (DIALLED if agreement.initiated else ACCEPTED)[failure]
        new, times = self._count(node_id, failure, kept, now)
        action = row.at(times)
        if action is row.again and row.limit:
            if now - self._forgot < row.limit:
                action = Action.KEEP
            else:
                self._forgot = now
        if action is Action.FORGET:
            new = replace(new.without(set(ids), now, recent), refused=0)
        elif action is Action.DISTRUST:
            new = new.doubted(now)
        if row.is_news and kept.is_known:
            self.on_loss(TrustLost(agreement.remote, failure, action))
        return new, failure.value

    def _count(self, node_id: bytes, failure: Failure, kept: Acquaintance, now: float) -> tuple[Acquaintance, int]:
        """Note a failure where the table counts them, and give how many there were."""
        if failure is Failure.NOT_SEALED:
            within = ACCEPTED[failure].within
            unopened = (*(time for time in kept.unopened if now - time < within), now)
            return replace(kept, unopened=unopened), len(unopened)
        if failure is Failure.NOT_OPENED:
            return replace(kept, refused=kept.refused + 1), kept.refused + 1
        if failure is Failure.NOT_AUTHENTIC:
            strikes = (self._strikes.get(node_id, now) or 0) + 1
            self._strikes.set(node_id, strikes, now)
            return kept, strikes
        return kept, 1

    def _saved(self, offered: Iterable[tuple[Lineage, Generation]]) -> tuple[tuple[Lineage, Generation], ...]:
        """Those that may be used."""
        return tuple((lineage, one) for lineage, one in offered if one.id not in self._unsaved)

    def _touch(self, id: bytes, nonce: bytes, now: float) -> None:  # noqa: A002
        """A secret is offered or used in a handshake, which is known by the nonce of our packet."""
        before = self._touched.when(id)
        self._touched.set(id, _Touch(nonce, -inf if before is None else before), now)

    def _recent_of(self, kept: Acquaintance, now: float, nonce: bytes = b"") -> set[bytes]:
        """The ids of secrets that were offered or used over links that may still be there, other than that of a certain handshake."""
        return {one.id for lineage in kept.lineages for one in lineage.generations if self._is_recent(one.id, now, nonce)}

    def _is_recent(self, id: bytes, now: float, nonce: bytes) -> bool:  # noqa: A002
        touch, when = self._touched.get(id, now), self._touched.when(id)
        if touch is None or when is None:
            return False
        return touch.nonce != nonce or now - touch.before < SETTLED

    def _keep(self, node_id: bytes, new: Acquaintance) -> None:
        """Keep this of a node from now on."""
        old = self._known.pop(node_id, None) or self._strangers.pop(node_id, None) or _NOBODY
        if new.lineages:
            (self._known if new.is_known else self._strangers)[node_id] = new
        if new != old:
            self._note(node_id)
            self._let_go(old, new)
        if len(self) > self._most:
            crowded = self._strangers if len(self._strangers) > self._most // _SHARE_OF_STRANGERS or not self._known else self._known
            gone, old = crowded.popitem(last=False)
            self._note(gone)
            self._let_go(old, _NOBODY)
        if self._changed:
            self.on_change()

    def _note(self, node_id: bytes) -> None:
        """What is kept of a node is to be written down, if anybody does. Of those of whom nothing is kept not too many are remembered."""
        if self.is_kept:
            self._changed[node_id] = None
        if len(self._changed) > 2 * self._most:
            self._changed = {one: None for one in self._changed if one in self._known or one in self._strangers}

    def _let_go(self, old: Acquaintance, new: Acquaintance) -> None:
        """Nothing is remembered of secrets that are not kept any more."""
        for one in old.ids - new.ids if self._unsaved else ():
            self._unsaved.pop(one, None)
            self._confirmed.pop(one, None)


_SAID: Final = {ResumeVerdict.UNKNOWN: Failure.UNKNOWN, ResumeVerdict.DOES_NOT_OPEN: Failure.NOT_OPENED}


def _why(number: int, age: float) -> str:
    days = int(age // DAY)
    return f"session {number} of a chain that is {'a day' if days == 1 else f'{days} days'} old"
