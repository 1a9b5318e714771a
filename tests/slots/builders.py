"""Peers, candidates and crowds of nodes to ask the policy about."""

from typing import Any

from devp2p.peers.ratings import Standing
from devp2p.peers.slots.values import SlotCandidate, SlotPeer, SlotSpec
from tests.slots.world import Node, node_id

ETH = SlotSpec("eth", 10)


def network(number: int) -> bytes:
    return bytes([number // 256, number % 256])


def crowd(first: int, count: int, gives: float = 10.0, *, spread: float = 0.0, name: str = "eth") -> list[Node]:
    """Nodes in networks of their own; the last gives `spread` more than the first."""
    return [Node(first + number, {name: gives + spread * number / max(1, count - 1)}, network(first + number)) for number in range(count)]


def rated(quantile: float | None, **more: Any) -> Standing:
    return Standing(quantile=quantile, rating=None if quantile is None else quantile * 4 - 1, **more)


def peer(number: int, quantile: float | None = 0.5, since: float = -1e6, **more: Any) -> SlotPeer:
    fields = {"standings": {"eth": rated(quantile)}, "inbound": False, "since": since, "network": network(number), **more}
    return SlotPeer(id=node_id(number), **fields)


def candidate(number: int, quantile: float | None = None, **more: Any) -> SlotCandidate:
    fields = {"standings": {"eth": rated(quantile)}, "network": network(number), **more}
    return SlotCandidate(id=node_id(number), **fields)
