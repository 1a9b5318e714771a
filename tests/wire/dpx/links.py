"""Two nodes whose links break at any moment, as values: what they keep is kept by the real `Resumption`, and all of it can be searched.

A link carries what a handshake does, in each direction in order: an auth, an ack with the recipient's first record, the initiator's first
record, and COMMITTED of either side. Each end may die between any two of these, at any moment, and what was on its way to the other end
may still come there. So a node that dies is one whose ends all die, and what is lost is what comes to an end that is dead.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.wire.dpx.acquaintance import Acquaintance, encode
from devp2p.wire.dpx.element import Accept, Feature, Mode, Offer, Verdict
from devp2p.wire.dpx.lineage import SETTLED
from devp2p.wire.dpx.resumption import Resumption, TrustLost
from devp2p.wire.dpx.sealing import id_of
from devp2p.wire.rlpx import Ack, Agreement, Auth

FEATURES: Final = Feature.CHACHA20_POLY1305 | Feature.MUX | Feature.RESUME
KEYS: Final = tuple(PrivateKey.from_bytes(bytes([number]) * 32).public_key for number in (1, 2))
POOL: Final = sorted((sha256(b"%d" % number).digest() for number in range(256)), key=id_of)
"""Secrets by the order of their ids, so that a new one can be made newer or older than all of its number."""
RANK: Final = {id_of(secret): rank for rank, secret in enumerate(POOL)}


def share(serial: int, side: int) -> bytes:
    return bytes([serial, side]) * 16


def an_auth(remote: PublicKey, serial: int) -> Auth:
    return Auth(bytes(65), bytes(remote), bytes([serial]) * 32, b"\x04")


def an_ack(serial: int) -> Ack:
    return Ack(bytes(64), bytes([serial]) * 31 + b"\xff", b"\x04")


def fork(resumption: Resumption) -> Resumption:
    """A copy that goes its own way. Everything that is kept is a value, so it is enough to copy what holds it."""
    forked = copy.copy(resumption)
    for name, value in vars(resumption).items():
        if name == "_under_way":
            setattr(forked, name, {nonce: replace(one) for nonce, one in value.items()})
        elif name in {"_known", "_strangers", "_changed", "_unsaved", "_confirmed"}:
            setattr(forked, name, value.copy())
        elif name in {"_touched", "_plain", "_strikes"}:
            recent = type(value)(value._size, value._lifetime)
            recent._entries = value._entries.copy()
            setattr(forked, name, recent)
    return forked


@dataclass(frozen=True)
class Link:
    """One link between the two."""

    serial: int
    initiator: int
    offer: Offer
    accept: Accept | None = None
    secret: bytes = b""
    """What its session leaves for the next."""
    on_way: tuple[tuple[object, ...], tuple[object, ...]] = ((), ())
    """What is on its way to each side."""
    dead: frozenset[int] = frozenset()
    """The ends that have died."""
    proved: frozenset[int] = frozenset()
    """The sides that have seen the other's first record."""
    promised: frozenset[int] = frozenset()
    """The sides that will say that they keep the secret as soon as it is written down."""

    def agreement(self, side: int) -> Agreement:
        """What a side would have agreed on."""
        auth, ack = an_auth(KEYS[self.initiator], self.serial), an_ack(self.serial)
        return Agreement(
            KEYS[1 - side], initiated=side == self.initiator, ephemeral=b"", static=b"", auth=auth, ack=ack, auth_packet=b"", ack_packet=b""
        )

    def sent(self, side: int, *what: object) -> "Link":
        """With something on its way from one side."""
        on_way = list(self.on_way)
        on_way[1 - side] = (*on_way[1 - side], *what)
        return replace(self, on_way=(on_way[0], on_way[1]))


@dataclass
class World:
    """Two nodes, and their links."""

    sides: tuple[Resumption, Resumption]
    now: list[float]
    links: tuple[Link, ...] = ()
    dials: int = 0
    waits: int = 0
    span: tuple[int, int] = (128, 128)
    """Between which places in `POOL` all secrets are that were there."""
    crashes: int = 0
    written: tuple[bytes, bytes] | None = None
    """What each side finds again after a crash; None: all that it kept, since it is written down in the same moment."""
    shared: bool = False
    """Whether the two ever had a secret in common."""
    lost: list[TrustLost] = field(default_factory=list)
    story: tuple[str, ...] = ()
    """What has happened, for whoever has to understand why something is wrong."""

    @classmethod
    def begun(cls, *kept: Acquaintance) -> "World":
        """What the two sides keep of each other at first."""
        now = [0.0]
        lost: list[TrustLost] = []
        sides = [Resumption(lambda: now[0]) for _ in (0, 1)]
        for side, one in enumerate(kept):
            sides[side].load({KEYS[1 - side].node_id: encode(one)})
        world = cls((sides[0], sides[1]), now, lost=lost)
        world.shared = world.is_shared
        return world

    def kept(self, side: int) -> Acquaintance:
        """What a side keeps of the other."""
        self.now[0] = self.waits * 2 * SETTLED
        return self.sides[side].of(KEYS[1 - side].node_id)

    @property
    def is_shared(self) -> bool:
        """Whether they have a secret in common."""
        mine, theirs = ({one.id for lineage in self.kept(side).lineages for one in lineage.generations} for side in (0, 1))
        return not mine.isdisjoint(theirs)

    def forked(self, what: str, *, dials: int = 0, waits: int = 0) -> "World":
        """A copy in which something is about to happen."""
        world = replace(
            self,
            sides=(fork(self.sides[0]), fork(self.sides[1])),
            lost=self.lost.copy(),
            story=(*self.story, what),
            dials=self.dials + dials,
            waits=self.waits + waits,
        )
        for side in world.sides:
            side.on_loss = world.lost.append
        self.now[0] = world.waits * 2 * SETTLED
        return world

    def with_link(self, link: Link) -> None:
        """Replace a link. An end that nothing can come to any more, as the other has died, dies at once: else it would do so later."""
        others = tuple(one for one in self.links if one.serial != link.serial)
        if len(link.dead) == 1 and not link.on_way[left := 1 - min(link.dead)]:
            self.give_up(link, left)
            link = replace(link, dead=frozenset((0, 1)))
        self.links = others if len(link.dead) == 2 else tuple(sorted((*others, link), key=lambda one: one.serial))

    def give_up(self, link: Link, side: int) -> None:
        """An end dies, and its side knows."""
        if side not in link.proved:
            agreement = link.agreement(side)
            self.sides[side].failed(agreement.auth.nonce if side == link.initiator else agreement.ack.nonce, KEYS[1 - side])

    def steps(self, dials: int, waits: int = 0, crashes: int = 0) -> Iterator["World"]:
        """Every world that can follow, with so many dials, long waits and crashes in all."""
        for side in (0, 1):
            if (
                (self.dials < dials and (self.dials or not side))
                and len(self.links) < 2
                and not any(link.initiator == side and side not in link.dead for link in self.links)
            ):
                yield self.dialled(side)
        if self.waits < waits and not self.links:
            yield self.forked("a long time", waits=1)
        if self.written is not None:
            for side in (0, 1):
                if self.written[side] != encode(self.kept(side)) or any(side in link.promised for link in self.links):
                    yield self.writes(side)
                    if self.crashes < crashes:
                        yield self.crashed(side)
        for link in self.links:
            for side in (0, 1):
                if side not in link.dead:
                    yield self.died(link, side)
                    if link.on_way[side]:
                        for newest in (True, False) if link.on_way[side][0] == "auth" else (True,):
                            yield self.delivered(link, side, newest=newest)

    def may_dial(self, side: int) -> bool:
        """A side dials when its own last dial is over, and there are two links at most."""
        return len(self.links) < 2 and not any(link.initiator == side and side not in link.dead for link in self.links)

    def dialled(self, side: int) -> "World":
        world = self.forked(f"{side} dials", dials=1)
        serial = self.dials + 1
        own = share(serial, side)
        tokens = world.sides[side].offer(KEYS[1 - side], an_auth(KEYS[side], serial), own, FEATURES)
        world.with_link(Link(serial, side, Offer(FEATURES, own, tokens)).sent(side, "auth"))
        return world

    def died(self, link: Link, side: int) -> "World":
        world = self.forked(f"end {side} of link {link.serial} dies")
        world.give_up(link, side)
        on_way = list(link.on_way)
        on_way[side] = ()
        world.with_link(replace(link, dead=link.dead | {side}, on_way=(on_way[0], on_way[1])))
        return world

    def writes(self, side: int) -> "World":
        """A side writes down what it keeps, and says so."""
        world = self.forked(f"{side} writes")
        world.sides[side].changes()
        world.write(side)
        world.sides[side].saved()
        for link in self.links:
            if side in link.promised:
                link = replace(link, promised=link.promised - {side})  # noqa: PLW2901
                world.with_link(link if side in link.dead else link.sent(side, id_of(link.secret)))
        return world

    def write(self, side: int) -> None:
        assert self.written is not None
        written = list(self.written)
        written[side] = encode(self.kept(side))
        self.written = written[0], written[1]

    def crashed(self, side: int) -> "World":
        """A side dies and begins anew with what it has written down."""
        assert self.written is not None
        world = self.forked(f"{side} crashes")
        world.crashes += 1
        for link in self.links:
            on_way = list(link.on_way)
            on_way[side] = ()
            world.with_link(replace(link, dead=link.dead | {side}, on_way=(on_way[0], on_way[1])))
        now = self.now
        fresh = Resumption(lambda: now[0])
        fresh.load({KEYS[1 - side].node_id: self.written[side]})
        fresh.on_loss, fresh.is_kept = world.lost.append, True
        world.sides = (fresh, world.sides[1]) if side == 0 else (world.sides[0], fresh)
        return world

    def delivered(self, link: Link, side: int, *, newest: bool) -> "World":
        """What is on its way to a side comes there. A secret that is made then is newer or older than all others of its number."""
        what, *rest = link.on_way[side]
        world = self.forked(f"{side} gets {what!r} on link {link.serial}")
        own, other = world.sides[side], KEYS[1 - side]
        on_way = list(link.on_way)
        on_way[side] = tuple(rest)
        link = replace(link, on_way=(on_way[0], on_way[1]))
        match what:
            case "auth":
                answer = own.answer(other, an_auth(other, link.serial), an_ack(link.serial), link.offer, share(link.serial, side))
                mode = answer.mode or Mode.PLAIN
                world.span = (self.span[0] - (not newest), self.span[1] + newest)
                accept = Accept(FEATURES, share(link.serial, side), mode, answer.sealed, Verdict(answer.verdict))
                link = replace(link, accept=accept, secret=POOL[world.span[newest]]).sent(side, "ack", "record")
            case "ack":
                assert link.accept is not None
                try:
                    own.resumed(link.agreement(side), link.accept)
                except HandshakeError as error:
                    raise AssertionError("two honest sides cannot open each other's seals") from error
                link = link.sent(side, "record")
            case "record":
                outcome = own.proved(link.agreement(side), FEATURES, link.secret)
                link = replace(link, proved=link.proved | {side})
                if outcome.committed is not None and self.written is None:
                    link = link.sent(side, outcome.committed)
                elif outcome.committed is not None:
                    link = replace(link, promised=link.promised | {side})
            case bytes(id):
                own.confirmed(other, id)
            case _:
                raise AssertionError(what)
        world.with_link(link)
        world.shared |= world.is_shared
        return world

    def key(self) -> object:
        """What distinguishes this world from others, whatever its secrets are."""
        kept = [self.kept(side) for side in (0, 1)]
        ids = {one.id for each in kept for lineage in each.lineages for one in lineage.generations}
        ids |= {lineage.root for each in kept for lineage in each.lineages}
        for link in self.links:
            ids |= {token.id for token in link.offer.tokens} | ({id_of(link.secret)} if link.secret else set())
            ids |= {what for side in (0, 1) for what in link.on_way[side] if isinstance(what, bytes)}
        ranks = {name: rank for rank, name in enumerate(sorted(ids, key=lambda name: RANK.get(name, 0)))}
        now = self.now[0]
        least: dict[bytes, int] = {}
        for each in kept:
            for lineage in each.lineages:
                least[lineage.root] = min(least.get(lineage.root, 99), lineage.generations[0].number)

        def one_side(each: Acquaintance, resumption: Resumption) -> object:
            lineages = tuple(
                (
                    ranks[lineage.root],
                    now - lineage.used < SETTLED,
                    tuple((ranks[g.id], g.number - least[lineage.root], g.confirmed, now - g.made < SETTLED) for g in lineage.generations),
                )
                for lineage in each.lineages
            )
            touches = ((name, resumption._touched.get(name, now)) for name in ranks)
            touched = frozenset((ranks[name], touch.nonce, touch.before) for name, touch in touches if touch is not None)
            under_way = tuple(
                (nonce_place, one.used and ranks.get(one.used[1].id, -1), one.failure, one.is_overtaken)
                for nonce_place, one in enumerate(resumption._under_way.values())
            )
            return (
                lineages,
                touched,
                under_way,
                tuple(sorted((ranks.get(name, -1), name in resumption._confirmed) for name in resumption._unsaved)),
            )

        links = tuple(
            (
                place,
                link.initiator,
                tuple(ranks[token.id] for token in link.offer.tokens),
                link.secret and ranks[id_of(link.secret)],
                tuple(tuple(ranks[w] if isinstance(w, bytes) else w for w in way) for way in link.on_way),
                link.dead,
                link.proved,
                link.promised,
            )
            for place, link in enumerate(self.links)
        )
        sides = tuple(one_side(each, resumption) for each, resumption in zip(kept, self.sides, strict=True))
        unwritten = self.written and tuple(self.written[side] != encode(kept[side]) and self.written[side] for side in (0, 1))
        return sides, links, self.dials, self.waits, self.crashes, unwritten, self.shared


def search(start: World, dials: int, waits: int = 0, crashes: int = 0) -> tuple[int, int]:
    """Look at every world that can follow: how many there are, and in how many the two share a secret."""
    seen = {hash(start.key())}  # the keys themselves would take gigabytes
    front, shared = [start], 0
    while front:
        world = front.pop()
        shared += world.is_shared
        assert world.is_shared or not world.shared, "\n".join(("two nodes that shared a secret share none any more:", *world.story))
        assert not (world.shared and world.lost), "\n".join(("trust is lost without a reason:", repr(world.lost), *world.story))
        for following in world.steps(dials, waits, crashes):
            key = hash(following.key())
            if key not in seen:
                seen.add(key)
                front.append(following)
    return len(seen), shared
