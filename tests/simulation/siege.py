"""S1: a node that has just started, among honest nodes and an attacker's many, for hours."""

from collections import Counter
from dataclasses import dataclass

from devp2p.addresses import SITE, network_of
from devp2p.discovery.events import Event, LookupDone
from devp2p.discovery.v4.bonds import Discv4Limits
from tests.discovery.strangers import START
from tests.simulation.crowd import VICTIM, Crowd, People, make_victim
from tests.simulation.network import Network

HOUR = 3600.0


@dataclass(frozen=True)
class Siege:
    """How it has ended."""

    entries: int
    """Nodes in the victim's table."""
    sybils: int
    """The attacker's among them."""
    crowded: int
    """The most of them of one network."""
    hits: float
    """The share of the victim's searches whose result has the honest node closest to the target."""

    @property
    def share(self) -> float:
        """The attacker's part of the table."""
        return self.sybils / self.entries


def besiege(people: People, seed: int, *, hours: float, searches: int = 50, limits: Discv4Limits | None = None) -> Siege:
    """Let the victim live: honest nodes do so for a day on average, one of them pings it every 15 s, one of the attacker's every 2 s."""
    network: Network[bytes, Event] = Network(seed, loss=0.01)
    network.now = START
    crowd = Crowd(network, seed, people)
    victim = make_victim(seed, bootnodes=[puppet.record for puppet in crowd.chance.sample(crowd.honest, 3)], limits=limits)
    network.add(VICTIM, victim)
    until = START + hours * HOUR
    crowd.live(until, lifetime=24 * HOUR, visits=1 / 15, pressure=1 / 2)
    network.run(until)
    bad = {puppet.id for puppet in crowd.sybils}
    entries = [entry.contact for entry in victim.table]
    sybils = Counter(network_of(contact.endpoint.ip, SITE) for contact in entries if contact.id in bad)
    hits = 0
    for _ in range(searches):
        target = crowd.chance.randbytes(64)
        network.events.clear()
        operation = victim.lookup(target, network.now)
        network.touch(VICTIM)
        network.run_for(30.0)
        [found] = [event for _, _, event in network.events if isinstance(event, LookupDone) and event.operation == operation]
        hits += crowd.closest(target).id in {contact.id for contact in found.contacts}
    return Siege(len(entries), sybils.total(), max(sybils.values(), default=0), hits / searches)
