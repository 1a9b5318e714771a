"""A crawl as it runs: who is visited next, how many at a time, and when it is over.

Theory of operation. One task starts visits, as many as may be under way, and sleeps until one is over or a node is due; each visit is a
task of its own. A node that answers by UDP is then called by TCP. When nobody is left to visit, nodes are asked further questions
(`frontier.Cover`), and when those bring no news either, the crawl is over; one that monitors waits until somebody is due again.

Nothing waits for the stores: rows are handed over several times a second. Timers go by trio's clock, which no setting of the system's
clock moves; only rows bear the system's time.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import trio
import trio.lowlevel

from devp2p import Address, Discovery, Endpoint, NodeRecord, keccak256
from devp2p_crawler.analysis import estimate_recall
from devp2p_crawler.crawling.asking import Asking
from devp2p_crawler.crawling.calling import Calling
from devp2p_crawler.crawling.counts import Rate, memory
from devp2p_crawler.crawling.fleet import Fleet
from devp2p_crawler.crawling.silence import Silences
from devp2p_crawler.crawling.sources import Trees
from devp2p_crawler.crawling.state import State, endpoint_of
from devp2p_crawler.frontier import LATEST, Concurrency, Entry, Question, Targets
from devp2p_crawler.model import Recall, Snapshot
from devp2p_crawler.stores import Writer
from devp2p_crawler.visiting import RlpxCaller

_STEP: Final = 0.2
"""Seconds between two looks at how things go."""
_TICK: Final = 0.02  # seconds; a timer that is this short shows how late the loop is
_VERY_LATE: Final = 0.2
_LONGEST_WAIT: Final = 60.0  # for the share of a host; who would have to wait longer is left for another crawl
_STARTED_AT_ONCE: Final = 64
_OCCUPIED: Final = 1.0  # seconds, until another node may be visited at an endpoint where one is being visited
_LAG_FADES: Final = 0.7


@dataclass(slots=True)
class _Before:
    lost: int = 0
    answered: int = 0


class Crawler:
    """A crawl; `run_crawl` makes it and runs it."""

    def __init__(self, state: State, discovery: Discovery, caller: RlpxCaller, writer: Writer) -> None:
        self.settings = state.settings
        self.crawl: bytes = state.crawl
        """Its id, 16 bytes."""
        self.listening: str = discovery.address.where
        """Where our UDP socket is, such as "127.0.0.1:30303"."""
        self.accepting: Address | None = None
        """Where we take calls by TCP."""
        self.fleet: Fleet | None = None
        """Where a frontier is shared."""
        self._state, self._discovery, self._writer = state, discovery, writer
        self._asking = Asking(state, discovery, Targets(keccak256, secrets.token_bytes))
        self.calling: Calling = Calling(state, caller)
        self.trees: Trees = Trees(state, discovery)
        self._concurrency = Concurrency(state.settings.concurrency)
        self._silences = Silences(state, discovery)
        self._began = trio.current_time()
        self._before = _Before()
        self._in_flight = self._further = 0
        self._is_ending = self._was_full = self._is_settled = False
        self._ask_at = 0.0
        self._round_ends = self._began + LATEST
        self._lag = 0.0
        self._sent, self._found = Rate(), Rate()
        self.is_done: bool = False
        """Whether all that was to be visited was."""

    def begins(self) -> None:
        """All nodes to begin with are entered."""
        self._silences.starts = len(self._state.queue)

    def goes_on(self, uncalled: Iterable[Entry], silent: Iterable[Entry]) -> None:
        """Enter what a crawl that was broken off had not come to: calls, and a second look at those that were silent."""
        for entry in uncalled:
            self.calling.add(entry)
        for entry in silent:
            self._asking.was_silent(entry)

    def heard(self, node: NodeRecord, _version: int) -> None:
        """A node has asked us something by itself."""
        known, endpoint = self._state.queue.get(node.id), endpoint_of(node)
        if known is not None:
            self._asking.came(known)
            return
        if endpoint is None or self._state.refusal(node) is not None:
            return
        now, courtesy = trio.current_time(), self._state.courtesy
        # One host may be as many nodes as it likes: those that we could not visit now are left out.
        if courtesy.when_to_visit(courtesy.host(endpoint.ip, endpoint.port), node.id, now) <= now:
            self._state.trusted(node)

    async def run(self) -> None:
        """Visit nodes until nobody is left; with `monitor`, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._silences.look)
            await self._schedule(nursery)
            nursery.cancel_scope.cancel()
        self.is_done = True

    def room(self) -> int:
        """How many nodes may be added to those that are queued, so that there is enough to do."""
        return 0 if self._is_ending else self._concurrency.limit - self._state.queue.queued

    async def drain(self) -> None:
        """Begin no more visits, and wait for those under way: who was called half would be called again by whoever goes on."""
        self._is_ending = True
        while self._in_flight or self._further or self.calling.in_flight:  # noqa: ASYNC110  (it is over soon)
            await trio.sleep(_TICK)

    def snapshot(self) -> Snapshot:
        """How the crawl stands."""
        state, counts, statistics = self._state, self._state.counts, self._discovery.statistics
        elapsed = trio.current_time() - self._began
        outcomes = {kind.name.lower(): {outcome.name.lower(): n for outcome, n in of.items()} for kind, of in counts.visits.items() if of}
        sums: dict[str, int] = {}
        for of in outcomes.values():
            for name, number in of.items():
                sums[name] = sums.get(name, 0) + number
        done = counts.alive + counts.failed
        return Snapshot(
            elapsed=elapsed,
            left=None if self.settings.monitor or not done else elapsed * state.queue.queued / done,
            found=len(state.queue),
            alive=counts.alive,
            dialled=counts.dialled,
            hellos=counts.hellos,
            failed=counts.failed,
            queued=state.queue.queued,
            waiting=state.queue.resting,
            in_flight=self._in_flight + self.calling.in_flight,
            concurrency=self._concurrency.limit,
            packets_sent=statistics.sent,
            packets_received=statistics.received,
            packets_rate=self._sent.value,
            found_rate=self._found.value,
            recall=self._recall(),
            loop_lag=self._lag,
            memory=memory(),
            spooled=self._writer.spooled,
            lost=self._writer.lost,
            outcomes=sums,
            clients=dict(counts.clients.most_common(20)),
            networks=dict(counts.networks.most_common(20)),
            inbound=counts.inbound,
            visits=outcomes,
            rtts={kind.name.lower(): tuple(classes) for kind, classes in counts.rtts.items() if any(classes)},
            write_lag=self._writer.lag,
            skipped=dict(counts.skipped),
            is_done=self.is_done,
            silence=self._silences.now(elapsed, is_over=self.is_done),
        )

    def _recall(self) -> Recall | None:
        counts = self._state.counts
        if not (self._is_settled and self._asking.second_look.is_done) or self.settings.monitor:
            return None  # while much is new, who is named by chance was named before by chance, too: it would be far too high
        return estimate_recall(
            sum(counts.samples), len(counts.samples), found=counts.alive, waiting=self._asking.second_look.missed, since=counts.since
        )

    async def _schedule(self, nursery: trio.Nursery) -> None:
        state = self._state
        while True:
            state.changed = trio.Event()
            if self._is_ending:
                await trio.sleep_forever()
            self._start_visits(nursery)
            self.calling.start(nursery)
            if not state.queue.queued and (self.fleet is None or self.fleet.is_quiet):
                self._ask_further(nursery)
                if self._is_idle() and not self._goes_on(nursery):
                    return
            due = state.queue.next_due()
            with trio.move_on_at(float("inf") if due is None else due):
                await state.changed.wait()
            await trio.lowlevel.checkpoint()  # others first

    def _goes_on(self, nursery: trio.Nursery) -> bool:
        """Nobody is left to visit: see whether some deserve another look; tell whether it goes on."""
        if not self.settings.monitor:
            return self._asking.second_pass() or self._take_doubtful(nursery) or not (self.fleet is None or self.fleet.is_over)
        if not self._take_doubtful(nursery) and trio.current_time() >= self._round_ends:
            self._round_ends = trio.current_time() + LATEST
            for cover in self._state.covers.values():
                cover.reopen()
        return True

    def _is_idle(self) -> bool:
        resting = self._state.queue.resting if not self.settings.monitor else 0
        return not (self._is_asking() or resting or self.trees.is_reading or self.calling.in_flight or len(self.calling))

    def _is_asking(self) -> bool:
        return bool(self._state.queue.queued or self._in_flight or self._further)

    def _start_visits(self, nursery: trio.Nursery) -> None:
        for _ in range(_STARTED_AT_ONCE):
            if self._in_flight >= self._concurrency.limit:
                self._was_full = True
                return
            entry = self._next()
            if entry is None:
                return
            self._visit_soon(entry, nursery)
        self._state.wake()  # there may be more, after others had their turn

    def _next(self) -> Entry | None:
        """The next node that may be visited now."""
        state, now = self._state, trio.current_time()
        for _ in range(_STARTED_AT_ONCE):
            entry = state.queue.take(now)
            if entry is None:
                return None
            reason = state.refusal(entry.node)
            if reason is not None:
                state.counts.skipped[reason] += 1
                state.leave(entry)
                continue
            if self.fleet is not None and not self.fleet.holds(entry.id):
                state.queue.retire(entry)
                continue
            when = self._when(entry, now)
            if when <= now:
                return entry
            if when - now <= _LONGEST_WAIT or self.settings.monitor:
                state.queue.rest(entry, when)
            else:
                state.counts.skipped["crowded host"] += 1
                state.rest(entry, when)
        state.wake()
        return None

    def _when(self, entry: Entry, now: float) -> float:
        endpoint = endpoint_of(entry.node)
        if endpoint is None:
            return now
        if endpoint in self._state.sent:
            return now + _OCCUPIED
        return self._state.courtesy.when_to_visit(self._state.courtesy.host(endpoint.ip, endpoint.port), entry.id, now)

    def _visit_soon(self, entry: Entry, nursery: trio.Nursery) -> None:
        endpoint = endpoint_of(entry.node)
        if endpoint is None or self._state.begin(endpoint, entry.id):
            self._in_flight += 1
            nursery.start_soon(self._visit, entry, endpoint)
        else:
            self._state.queue.rest(entry, trio.current_time() + _OCCUPIED)

    async def _visit(self, entry: Entry, endpoint: Endpoint | None) -> None:
        is_over = False
        try:
            with self._state.faults.contained():
                if await self._asking.visit(entry, endpoint):
                    self.calling.add(entry)
                is_over = True
        finally:
            self._in_flight -= 1
        if not is_over:
            self._state.leave(entry)
        self._state.wake()

    def _ask_further(self, nursery: trio.Nursery) -> None:
        """Ask about parts of the key space where nobody was found, and once all visits are over wherever there may be news."""
        now, asking = trio.current_time(), self._is_asking()
        if asking and (now < self._ask_at or self._in_flight > self._concurrency.limit / 2):
            return
        self._ask_at = now + _STEP
        covers = self._state.covers.items()
        found = [(one, version) for version, cover in covers for one in (cover.about_empty_parts() if asking else cover.questions())]
        if not asking and any(question.by_chance for question, _ in found):
            self._state.counts.sample_anew()  # what is named by chance from here on tells how it is in the end
            self._is_settled = True
        for question, version in found:
            self._further += 1
            nursery.start_soon(self._ask, question, version)

    async def _ask(self, question: Question, version: int) -> None:
        try:
            with self._state.faults.contained():
                await self._asking.further(question, version)
        finally:
            self._further -= 1
            self._state.wake()

    def _take_doubtful(self, nursery: trio.Nursery) -> bool:
        """Visit some of those whom nobody told who is believed; tell whether there are such."""
        begun = False
        while self._in_flight < self._concurrency.limit and (entry := self._state.queue.take_doubtful()) is not None:
            if self._when(entry, trio.current_time()) > trio.current_time() or self._state.refusal(entry.node) is not None:
                self._state.queue.retire(entry)
                continue
            self._visit_soon(entry, nursery)
            begun = True
        return begun

    async def _watch(self) -> None:
        """Measure how late the loop is, adapt the number of visits, hand over rows."""
        worst, steps = 0.0, round(_STEP / _TICK)
        while True:
            for _ in range(steps):
                due = trio.current_time() + _TICK
                await trio.sleep_until(due)
                late = trio.current_time() - due
                worst = max(worst, late)
                if late > _VERY_LATE:
                    self._state.late = trio.current_time()
            self._lag = max(worst, self._lag * _LAG_FADES)
            lost, answered = self._asking.lost - self._before.lost, self._asking.answered - self._before.answered
            self._before = _Before(self._asking.lost, self._asking.answered)
            self._concurrency.step(lost=lost, answered=answered, lag=worst, was_full=self._was_full)
            self._was_full, worst = False, 0.0
            now = trio.current_time()
            self._sent.note(now, self._discovery.statistics.sent)
            self._found.note(now, self._state.counts.alive)
            self._state.rows.flush()
            self._state.wake()
