"""First contacts of a `Discv5` with a strict peer (strict_v5.py) that calls at about the same time."""

import random
from collections import Counter
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from devp2p.addresses import Endpoint
from devp2p.discovery.events import PingResult
from devp2p.discovery.v5 import requests as v5_requests
from tests.discovery.strict_v5 import StrictPeer
from tests.discovery.v5_wire import Party, make_party
from tests.simulation.network import Network


class Lines(Network[bytes, object]):
    """Datagrams of one direction keep their order; each direction has a delay of its own."""

    def __init__(self, seed: int, loss: float = 0.0) -> None:
        super().__init__(seed, loss=loss)
        self._delays: dict[Endpoint, float] = {}

    def _send(self, data: bytes, source: Endpoint, to: Endpoint) -> None:
        delay = self._delays.setdefault(to, self.random.uniform(0.0005, 0.15))
        self.delay = delay, delay
        super()._send(data, source, to)


def cross(seed: int, *, pings: int = 1, loss: float = 0.0, both_strict: bool = False) -> list[str]:
    """Let two nodes that have never met ping each other at about the same time; what became of their pings."""
    lines = Lines(seed, loss)
    strict = StrictPeer(1, random.Random(f"strict {seed}"))
    other: Party | StrictPeer = StrictPeer(2, random.Random(f"other {seed}")) if both_strict else make_party(2, seed=str(seed))
    node = other if isinstance(other, StrictPeer) else other.node
    lines.add(strict.endpoint, strict)
    lines.add(other.endpoint, node)

    def call(*, from_strict: bool) -> None:
        if from_strict:
            strict.ping(other.contact, lines.now)
        else:
            node.ping(strict.contact, lines.now)
        lines.touch(strict.endpoint if from_strict else other.endpoint)

    for place in range(2 * pings):
        lines.at(lines.random.uniform(0.0, 0.3), partial(call, from_strict=bool(place % 2)))
    lines.run(10.0)
    ours = [event for _, _, event in lines.events if isinstance(event, PingResult)]
    results = [*strict.results.values(), *("ok" if event.pong is not None else "timeout" for event in ours)]
    results += other.results.values() if isinstance(other, StrictPeer) else []
    assert len(results) == 2 * pings
    return results


def outcomes(seeds: int, **options: Any) -> Counter[str]:
    return Counter(result for seed in range(seeds) for result in cross(seed, **options))


@pytest.mark.parametrize("pings", [1, 4])
def test_pings_that_cross_at_a_first_contact_with_a_strict_peer_are_all_answered(pings):
    assert outcomes(300 // pings, pings=pings).keys() == {"ok"}


def test_of_a_node_that_did_not_hold_its_requests_back_a_strict_peer_would_lose_some():
    with patch.object(v5_requests, "_HOLD", 0.0):
        assert outcomes(300)["ended"] > 30


@pytest.mark.parametrize("pings", [1, 4])
def test_where_datagrams_are_lost_a_strict_peer_loses_no_more_sessions_to_us_than_to_its_like(pings):
    ours, strict = outcomes(150, pings=pings, loss=0.1), outcomes(150, pings=pings, loss=0.1, both_strict=True)
    assert ours["ended"] <= strict["ended"]
    assert ours["ended"] < 0.02 * ours.total()


def test_a_request_to_a_node_that_we_challenge_waits_for_its_handshake():
    strict, party = StrictPeer(1, random.Random(1)), make_party(2)
    lines = Lines(1)
    lines.add(strict.endpoint, strict)
    lines.add(party.endpoint, party.node)
    strict.ping(party.contact, lines.now)
    strict_request = strict.datagrams_to_send(lines.now)
    for data, _ in strict_request:
        party.node.receive_datagram(data, strict.endpoint, lines.now)
    (challenge,) = party.node.datagrams_to_send(lines.now)
    party.node.ping(strict.contact, lines.now)
    assert party.node.datagrams_to_send(lines.now) == []
    strict.receive_datagram(challenge[0], party.endpoint, lines.now)
    lines.touch(strict.endpoint)
    lines.run_for(0.45)
    assert strict.results == {1: "ok"}
    assert [event.pong is not None for _, _, event in lines.events if isinstance(event, PingResult)] == [True]


def test_request_ids_do_not_begin_with_a_zero():
    """Some read them as numbers, and answer without the zeros."""
    party = make_party(1)
    party.node._exchange._requests._random_bytes = bytes
    made = [party.node._exchange._requests._request_id() for _ in range(10)]
    assert {len(made_id) for made_id in made} == {8}
    assert all(made_id[0] for made_id in made)
