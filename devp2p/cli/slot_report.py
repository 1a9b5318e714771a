"""The slots of a node, told from time to time: a table for people, an object for programs."""

from devp2p.node import Node
from devp2p.peers.slots import PeerView, SlotsView

_SHORT = 16  # hex digits of a node-ID


def as_json(node: Node) -> dict[str, object]:
    """The view as an object for JSON: `devp2p.peers.slots.values.SlotsView`, with IDs as hex and classes as words."""
    view = node.slots()
    return {
        "event": "slots",
        "budget": view.budget,
        "dialled": view.dialled,
        "inbound": view.inbound,
        "outside": view.outside,
        "value": round(view.value, 4),
        "changes": view.changes,
        "changes_allowed": view.changes_allowed,
        "pace": node.pace,
        "capabilities": {
            one.spec.name: {
                "slots": one.spec.slots,
                "filled": {kind.value: count for kind, count in one.filled.items()},
                "peers": one.peers,
                "median_rating": None if one.median is None else round(one.median, 4),
                "value": round(one.value, 4),
            }
            for one in view.capabilities
        },
        "peers": [_peer(node, peer) for peer in view.peers],
    }


def as_text(node: Node) -> list[str]:
    """The view as lines: a summary of each capability, then each of its slots, best first."""
    view = node.slots()
    taken = len(view.peers) - view.outside
    pace = "" if node.pace == 1 else f", at {node.pace:g} times the usual pace"
    lines = [f"slots: {taken} of {view.budget} places ({view.dialled} dialled, {view.inbound} inbound) and {view.outside} outside{pace}"]
    for one in view.capabilities:
        filled = sum(one.filled.values())
        median = "-" if one.median is None else f"{one.median:.2f}"
        lines.append(f"  {one.spec.name}: {filled} of {one.spec.slots} filled; median rating {median}")
        lines += _slots_of(node, view, one.spec.name)
    return lines


def _slots_of(node: Node, view: SlotsView, name: str) -> list[str]:
    filled = sorted((peer for peer in view.peers if name in peer.slots), key=lambda peer: -peer.quantiles[name])
    return [
        f"    {peer.slots[name].value:<8} {peer.id.hex()[:_SHORT]}  {_rating(node, peer, name)}  value {peer.marginal:5.2f}"
        f"  since {peer.tenure:.0f} s  {peer.why}"
        for peer in filled
    ]


def _rating(node: Node, peer: PeerView, name: str) -> str:
    rating = node.steering.rating(peer.id, name)
    return f"quantile {peer.quantiles[name]:4.2f}  rating {'-' if rating is None else format(rating, '.2f'):>7}"


def _peer(node: Node, peer: PeerView) -> dict[str, object]:
    ratings = {name: node.steering.rating(peer.id, name) for name in peer.quantiles}
    return {
        "id": peer.id.hex(),
        "inbound": peer.inbound,
        "since": round(peer.tenure, 3),
        "slots": {name: kind.value for name, kind in peer.slots.items()},
        "quantiles": {name: round(value, 4) for name, value in peer.quantiles.items()},
        "ratings": {name: None if rating is None else round(rating, 4) for name, rating in ratings.items()},
        "value": round(peer.marginal, 4),
        "why": peer.why,
    }
