"""The driver of the simulations; and that real nodes do the same in it with envelopes as with true signatures."""

import pytest

from devp2p.addresses import Endpoint
from tests.discovery.nodes import endpoint_of
from tests.simulation.envelopes import envelopes
from tests.simulation.grown import Grown, grow_v4, grow_v5
from tests.simulation.network import Network


class Echo:
    """Sends each datagram back, one second later."""

    def __init__(self) -> None:
        self.log: list[tuple[float, str]] = []
        self.due: list[tuple[float, str, Endpoint]] = []
        self.ready: list[tuple[str, Endpoint]] = []

    def receive_datagram(self, data: str, addr: Endpoint, now: float) -> None:
        self.log.append((now, data))
        self.due.append((now + 1.0, data, addr))

    def datagrams_to_send(self, _now: float) -> list[tuple[str, Endpoint]]:
        ready, self.ready = self.ready, []
        return ready

    def next_timer(self) -> float | None:
        return min((due for due, _, _ in self.due), default=None)

    def handle_timer(self, now: float) -> None:
        self.ready += [(data, addr) for due, data, addr in self.due if due <= now]
        self.due = [each for each in self.due if each[0] > now]

    def next_event(self) -> None:
        return None


def two_echoes(loss: float = 0.0, delay: tuple[float, float] = (0.25, 0.25), datagrams: int = 1) -> tuple[Network[str, None], list[Echo]]:
    network: Network[str, None] = Network(7, loss=loss, delay=delay)
    echoes = [Echo(), Echo()]
    echoes[0].ready = [(f"{number:04}", endpoint_of(1)) for number in range(datagrams)]
    network.add(endpoint_of(1), echoes[1])
    network.add(endpoint_of(0), echoes[0])
    return network, echoes


def test_datagrams_take_their_time_and_timers_ring():
    network, (first, second) = two_echoes()
    network.run(4.0)
    assert second.log == [(0.25, "0000"), (2.75, "0000")]
    assert first.log == [(1.5, "0000"), (4.0, "0000")]
    assert network.now == 4.0


def test_datagrams_are_lost_and_overtake_as_the_seed_says():
    logs = []
    for _ in range(2):
        network, (_, second) = two_echoes(0.3, (0.1, 0.2), 1000)
        network.run(0.5)
        logs.append(second.log)
    assert logs[0] == logs[1]
    assert 650 < len(logs[0]) < 750
    assert [data for _, data in logs[0]] != sorted(data for _, data in logs[0])


def test_nothing_reaches_a_silenced_node_and_it_does_nothing():
    network, (first, second) = two_echoes()
    network.run(0.5)
    network.silence(endpoint_of(1))
    network.run(5.0)
    assert (len(second.log), first.log) == (1, [])
    network.add(endpoint_of(1), second)  # its timer is long due
    network.run(6.0)
    assert len(first.log) == 1


def test_churn_comes_as_often_as_told():
    network: Network[str, None] = Network(1)
    times: list[float] = []
    network.churn(2.0, 1000.0, lambda: times.append(network.now))
    network.run(2000.0)
    assert 400 < len(times) < 600
    assert times == sorted(times)
    assert max(times) < 1000


@pytest.mark.parametrize("grow", [grow_v4, grow_v5])
def test_with_envelopes_a_network_does_exactly_what_it_does_with_signatures(grow):
    def traces(grown: Grown) -> tuple[object, ...]:
        tables = [[(entry.contact.id, entry.checks, entry.seen) for entry in node.table] for node in grown.nodes.values()]
        return grown.network.traffic, grown.network.now, tables, grown.survey(5, 1)

    true = traces(grow(12, 7, loss=0.05, each=0.3, then=20.0))
    with envelopes():
        assert traces(grow(12, 7, loss=0.05, each=0.3, then=20.0)) == true
    assert traces(grow(12, 8, loss=0.05, each=0.3, then=20.0)) != true
