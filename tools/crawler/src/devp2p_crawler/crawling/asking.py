"""The stage by UDP: visits to nodes, and further questions to those that have answered."""

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import trio

from devp2p import Discovery, Endpoint, NodeRecord
from devp2p_crawler.crawling.rows import only_at
from devp2p_crawler.crawling.state import State, asleep, endpoint_of, wall
from devp2p_crawler.frontier import Entry, Place, Question, SecondLook, Targets, closest_distances
from devp2p_crawler.model import Kind, Outcome, Visit
from devp2p_crawler.visiting import UdpVisit, UdpVisitor

_RETRIES: Final = 1
_SECOND_TRY: Final = 1.0  # seconds until a node is asked again whose answer may have been missed
_LOSSY: Final = 0.05  # of questions to nodes that are there; with more, silence is not believed at once
_ENOUGH: Final = 50
_SOME_LOSS: Final = 0.01
_SLOW: Final = 500_000  # microseconds of a round trip; few are as long, if not too much is under way
_VISITS_OWED: Final = 1  # to who answers, and gives no record
_CAME: Final = 2  # visits beside, to who seemed silent and asks us something
_FURTHER_PACKETS: Final = 3


class Asking:
    """Asks nodes by UDP."""

    def __init__(self, state: State, discovery: Discovery, targets: Targets) -> None:
        self._state, self._discovery, self._targets = state, discovery, targets
        self._visitor = UdpVisitor(discovery, state.crawl, wall)
        self.lost: int = 0
        """Questions without an answer, to nodes that had just answered another; since the beginning."""
        self.answered: int = 0
        self._began = trio.current_time()
        self.second_look: SecondLook = SecondLook(secrets.SystemRandom().random)

    async def visit(self, entry: Entry, endpoint: Endpoint | None) -> bool:
        """Visit a node, for which `State.begin` has taken the endpoint, by all versions that it may speak; tell whether it is there."""
        state, began, slept = self._state, trio.current_time(), asleep()
        if endpoint is None:
            state.visited(entry, Outcome.NO_ADDRESS, [self._nowhere(entry)])
            return False
        alive, visits = False, list[Visit]()
        try:
            for version in state.settings.versions:
                node = entry.node  # others may tell of another place meanwhile
                if self._asked_at(node, version) != endpoint:
                    continue
                asked = state.sent[endpoint]
                found = await self._ask(node, version)
                visits.append(replace(found.visit, asked=state.sent[endpoint] - asked))
                alive |= self._take(entry, node, found)
                for question in state.covers[version].answered(entry.id) if found.visit.told is not None else ():
                    await self.further(question, version)
        finally:
            del state.sent[endpoint]
        if not alive and self._may_be_wrong(entry, began, slept):
            state.seen(entry).retries += 1
            state.wrote(visits)
            state.queue.rest(entry, trio.current_time() + _SECOND_TRY)
            return False
        state.queue.judge(entry, alive=alive)
        if not alive and entry.others:
            entry.node = entry.others.pop(0)  # somebody else says that it is elsewhere
            state.wrote(visits)
            state.queue.rest(entry, trio.current_time())
            return False
        state.visited(entry, Outcome.OK if alive else Outcome.SILENT, visits)
        self._judge_silence(entry, alive=alive)
        return alive

    def _judge_silence(self, entry: Entry, *, alive: bool) -> None:
        """See whether a node that was just visited is to be visited once more in the end."""
        seen = self._state.seen(entry)
        if not alive:
            self.was_silent(entry)
            return
        if seen.was_silent:
            seen.was_silent = False
            self.second_look.was_there()
        if entry.node.enr is None and seen.owed < _VISITS_OWED:
            seen.owed += 1
            self.second_look.owes(entry)

    def was_silent(self, entry: Entry) -> None:
        """A node had no answer, now or before this crawl was broken off."""
        self._state.seen(entry).was_silent = True
        if entry.is_trusted or any(teller.is_believed for teller in entry.tellers):
            self.second_look.silent(entry)

    def came(self, entry: Entry) -> None:
        """A node that we know has asked us something: it is there, even if our own question had no answer."""
        seen = self._state.seen(entry)
        if seen.was_silent and seen.times_came < _CAME and entry.place is Place.RESTING:
            seen.times_came += 1
            self._state.queue.rest(entry, trio.current_time())
            self._state.wake()

    def second_pass(self) -> bool:
        """Have those visited once more who may have been missed; tell whether there are any."""
        is_lossy = self.lost > _SOME_LOSS * (self.lost + self.answered) or self._state.late > self._began
        again = self.second_look.next(is_lossy=is_lossy)
        for entry in again:
            self._state.queue.rest(entry, trio.current_time())
        return bool(again)

    async def further(self, question: Question, version: int) -> None:
        """Ask a node a further question."""
        state, entry = self._state, self._state.queue.get(question.node)
        if entry is None or state.refusal(entry.node) is not None:
            return
        endpoint = endpoint_of(entry.node)
        if endpoint is None or self._asked_at(entry.node, version) != endpoint:
            return
        if state.courtesy.room(state.courtesy.host(endpoint.ip, endpoint.port), trio.current_time()) < _FURTHER_PACKETS:
            return
        around = self._targets.at(question.place) if version == 4 else [256 - question.bits]
        node = entry.node
        named = await self._discovery.find_nodes(node, around, version=version)
        if named is None:
            state.covers[version].unanswered(question)
        else:
            state.named(node, self._wanted(node, named), state.covers[version], by_chance=question.by_chance)
        state.wake()

    def _asked_at(self, node: NodeRecord, version: int) -> Endpoint | None:
        """Where discovery asks a node by a version; None if it cannot."""
        one = self._discovery.v4 if version == 4 else self._discovery.v5
        contact = None if one is None else one.protocol.contact_of(node)
        return None if contact is None else contact.endpoint

    async def _ask(self, node: NodeRecord, version: int) -> UdpVisit:
        if version == 4:
            return await self._visitor.by_v4(node)
        return await self._visitor.by_v5(node, closest_distances(len(self._state.queue)))

    def _take(self, entry: Entry, asked: NodeRecord, found: UdpVisit) -> bool:
        """Take in what a node has said that was asked as `asked`; tell whether it is there."""
        state = self._state
        alive = found.visit.outcome.is_alive
        self.lost += found.lost + ((found.visit.rtt or 0) > _SLOW) + (alive and self._state.seen(entry).retries > 0)
        self.answered += found.answered
        if not alive:
            return False
        state.answered(entry)
        told = found.node
        if told is not None and told.enr is not None:
            state.recorded(entry, told)
            if asked.enr is None or told.enr.sequence > asked.enr.sequence:
                asked = _at_the_same_place(asked, told)
        else:
            state.recorded(entry, asked)
        entry.node = only_at(asked, found.visit.ip)
        state.named(asked, self._wanted(asked, found.named))
        return True

    def _wanted(self, teller: NodeRecord, named: Iterable[NodeRecord]) -> tuple[NodeRecord, ...]:
        wanted: list[NodeRecord] = []
        for node in named:
            reason = self._state.refusal(node)
            if reason is None:
                wanted.append(node)
            elif node.id != teller.id:
                self._state.counts.skipped[reason] += 1
        return tuple(wanted)

    def _may_be_wrong(self, entry: Entry, began: float, slept: float) -> bool:
        """Whether a silence may be our fault, or the network's, so that one should ask again."""
        seen, total = self._state.seen(entry), self.lost + self.answered
        if seen.retries >= _RETRIES:
            return False
        if self._state.late > began or asleep() > slept + _SECOND_TRY:
            return True
        if not (entry.is_trusted or len(entry.tellers) > 1):
            return False
        # By v5 a node that gave a challenge, and no answer to our proof in time, looks as silent as one that is not there.
        if 4 not in self._state.settings.versions:
            return True
        lossy = total >= _ENOUGH and self.lost > _LOSSY * total
        return lossy or (entry.is_trusted and not entry.tellers)

    def _nowhere(self, entry: Entry) -> Visit:
        kind = Kind.V4 if 4 in self._state.settings.versions else Kind.V5
        now = wall()
        return Visit(crawl=self._state.crawl, node=entry.id, kind=kind, began=now, ended=now, outcome=Outcome.NO_ADDRESS)


def _at_the_same_place(asked: NodeRecord, told: NodeRecord) -> NodeRecord:
    """A node with its own record, unless that names another place: then it stays where it answered, which nobody else has vouched for."""
    return told if endpoint_of(told) == endpoint_of(asked) else asked
