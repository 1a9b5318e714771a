"""The stage by TCP: nodes that answered by UDP are called, and those that call us are heard."""

from collections import deque
from dataclasses import replace
from ipaddress import ip_address

import trio

from devp2p import Address, NodeRecord, PublicKey
from devp2p_crawler.crawling.rows import packed
from devp2p_crawler.crawling.state import State, wall
from devp2p_crawler.frontier import Entry
from devp2p_crawler.model import Kind, Outcome, Visit
from devp2p_crawler.visiting import RlpxCaller, tcp_addresses, visit_rlpx


class Calling:
    """Calls nodes by RLPx, each once in ten minutes."""

    def __init__(self, state: State, caller: RlpxCaller) -> None:
        self._state, self._caller = state, caller
        self._waiting: deque[Entry] = deque()
        self.pending: set[bytes] = set()
        """Nodes that are to be called, or are being called."""
        self.in_flight: int = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, entry: Entry) -> None:
        """A node is there: it may be called."""
        if self._state.settings.dial and _dialable(entry.node) is not None:
            self._waiting.append(entry)
            self.pending.add(entry.id)

    def start(self, nursery: trio.Nursery) -> None:
        """Begin as many calls as may be under way."""
        now = trio.current_time()
        for _ in range(len(self._waiting)):
            if self.in_flight >= self._state.settings.dials:
                return
            entry = self._waiting.popleft()
            address = _dialable(entry.node)
            if address is None or self._state.refusal(entry.node) is not None:
                self.pending.discard(entry.id)
                continue
            host = self._state.courtesy.host(packed(address.host), address.port or 0)
            if self._state.courtesy.when_to_dial(host, entry.id, now) > now:
                self.pending.discard(entry.id)
                continue  # the next visit by UDP leads here again
            self._state.courtesy.dialled(host, entry.id, now)
            self.in_flight += 1
            nursery.start_soon(self._call_safely, entry, address)

    async def _call_safely(self, entry: Entry, address: Address) -> None:
        with self._state.faults.contained():
            await self._call(entry, address)

    async def _call(self, entry: Entry, address: Address) -> None:
        began = wall()
        try:
            visit = await visit_rlpx(replace(entry.node, addresses=(address,)), self._caller)
        except trio.Cancelled:  # it has been bothered all the same, which whoever goes on should know
            self._state.rows.visit(
                Visit(
                    crawl=self._state.crawl,
                    node=entry.id,
                    kind=Kind.RLPX,
                    began=began,
                    ended=wall(),
                    outcome=Outcome.OUR_FAULT,
                    ip=packed(address.host),
                    port=address.port or 0,
                    asked=1,
                )
            )
            raise
        finally:
            self.in_flight -= 1
            self.pending.discard(entry.id)
            self._state.wake()
        seen = self._state.seen(entry)
        if not seen.was_called:
            seen.was_called = True
            self._state.counts.dialled += 1
        self.take(entry, visit)

    def came(self, visit: Visit, key: PublicKey) -> None:
        """A node has called us, from behind NAT perhaps: nobody else may have told of it."""
        state = self._state
        reason = state.settings.unwanted(visit.node, visit.ip)
        if reason is not None:
            state.counts.skipped[reason] += 1
            return
        port = visit.said.listen_port if visit.said is not None else None
        state.trusted(NodeRecord(key, (Address("tcp", str(ip_address(visit.ip)), port),) if port and visit.ip else ()))
        entry = state.queue.get(visit.node)
        if entry is None:
            state.wrote([visit])
            return
        seen = state.seen(entry)
        if not seen.has_come:
            seen.has_come = True
            state.counts.inbound += 1
        self.take(entry, visit)

    def take(self, entry: Entry, visit: Visit) -> None:
        """A visit by TCP is over, whoever has called."""
        state, seen = self._state, self._state.seen(entry)
        state.rows.visit(visit)
        state.counts.visited(visit)
        if visit.outcome.is_alive:
            state.answered(entry)
        if visit.said is not None and visit.said.client is not None and not seen.has_said:
            seen.has_said = True
            state.counts.hellos += 1
            state.counts.said(visit.said.client, visit.said.network_id)
        if visit.outcome is Outcome.TOO_MANY_PEERS:
            seen.standing = seen.standing.after(visit.outcome, trio.current_time())


def _dialable(node: NodeRecord) -> Address | None:
    """Where a node takes calls, at an IP address."""
    return next((address for address in tcp_addresses(node) if address.is_dialable and packed(address.host)), None)
