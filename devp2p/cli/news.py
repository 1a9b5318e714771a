"""A node's news on stdout: lines for people (`TextNews`), or a JSON object a line for programs (`JsonNews`)."""

import json
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Protocol, TextIO, assert_never

import trio

from devp2p.capability import AnyCapability, Peer
from devp2p.errors import DialError, PeerDisconnected, describe_reason
from devp2p.nat import NatStatus
from devp2p.node import DialFailed, Event, Node, PeerConnected, PeerDropped, PeerReady, PeerRefused, SlotDecision, TrustRemoved
from devp2p.peers.slots import PeerView, SlotsView
from devp2p.terminal import profile_as_json, profile_as_text, write_json, write_text

_SHORT = 16  # hex digits of a node-ID in text, as many as other clients log


class ChainNews(Protocol):
    """The chain of a node that runs eth, told to programs and to people."""

    def as_json(self) -> dict[str, object]:
        """What the node has of it."""
        ...

    def as_text(self) -> str:
        """The same in a line."""
        ...

    def peer_as_json(self, peer: Peer, capability: AnyCapability) -> dict[str, object]:
        """What a peer has told of its own, when a capability became ready; nothing if it is not about chains."""
        ...

    def peer_as_text(self, peer: Peer, capability: AnyCapability) -> str:
        """The same, to be written behind the capability's name."""
        ...


class News(Protocol):
    """Where the news of a node goes."""

    def started(self, node: Node, capabilities: Sequence[AnyCapability], metrics: Sequence[str] = ()) -> None:
        """It listens. `metrics`: where it serves its metrics."""

    def happened(self, event: Event) -> None:
        """Something happened to a peer."""

    def left_out(self, counts: Mapping[str, int], seconds: float) -> None:
        """So many events of each kind were left out in the last seconds."""

    def slots(self, node: Node) -> None:
        """How its slots are filled now."""

    def nat(self, node: Node) -> None:
        """What its router forwards to it has changed."""

    def stopped(self) -> None:
        """It has ended, cleanly."""


class JsonNews:
    """One object a line; the keys of each are in the help of ``devp2p node``, and `as_json`."""

    def __init__(self, file: TextIO, chain: ChainNews | None = None) -> None:
        self._file = file
        self._chain = chain

    def started(self, node: Node, capabilities: Sequence[AnyCapability], metrics: Sequence[str] = ()) -> None:
        """The first line, and the second if there is a chain."""
        self._write(
            {
                "event": "listening",
                "enode": node.enode,
                **({"enr": node.enr} if node.enr is not None else {}),
                "id": node.record.id.hex(),
                "public_key": bytes(node.public_key).hex(),
                "addresses": [str(address) for address in node.addresses],
                "capabilities": [_offer(capability) for capability in capabilities],
                **({"metrics": list(metrics)} if metrics else {}),
            }
        )
        if self._chain is not None:
            self._write({"event": "chain", **self._chain.as_json()})

    def happened(self, event: Event) -> None:
        """A line for each event."""
        of_its_chain: dict[str, object] = {}
        if self._chain is not None and isinstance(event, PeerReady):
            of_its_chain = self._chain.peer_as_json(event.peer, event.capability)
        self._write({**as_json(event, trio.current_time()), **of_its_chain})

    def left_out(self, counts: Mapping[str, int], seconds: float) -> None:
        """A line with the counts."""
        self._write({"event": "left_out", "counts": dict(counts), "seconds": round(seconds, 3)})

    def nat(self, node: Node) -> None:
        """A line with what the router forwards, and what others dial now."""
        self._write(nat_as_json(node))

    def slots(self, node: Node) -> None:
        """A line with all of it."""
        self._write(slots_as_json(node))

    def stopped(self) -> None:
        """The last line."""
        self._write({"event": "stopped"})

    def _write(self, news: dict[str, object]) -> None:
        write_json({**news, "time": round(time.time(), 3)}, self._file)


class TextNews:
    """A few lines about the node, then one for each event, with the time of day."""

    def __init__(self, file: TextIO, chain: ChainNews | None = None) -> None:
        self._file = file
        self._chain = chain

    def started(self, node: Node, capabilities: Sequence[AnyCapability], metrics: Sequence[str] = ()) -> None:
        """What the node is, and how to reach it."""
        write_text(f"running    {', '.join(map(_offer, capabilities))}", self._file)
        write_text(f"listening  {', '.join(map(str, node.addresses))}", self._file)
        write_text(f"enode      {node.enode}", self._file)
        if any(address.is_wildcard for address in node.addresses[:1]):
            write_text("           (from other machines, with this one's address instead of 127.0.0.1)", self._file)
        if node.enr is not None:
            write_text(f"enr        {node.enr}", self._file)
        for url in metrics:
            write_text(f"metrics    {url}", self._file)
        if self._chain is not None:
            write_text(f"chain      {self._chain.as_text()}", self._file)
        write_text("Ctrl-C ends it.", self._file)

    def happened(self, event: Event) -> None:
        """A line for each event."""
        of_its_chain = ""
        if self._chain is not None and isinstance(event, PeerReady):
            of_its_chain = self._chain.peer_as_text(event.peer, event.capability)
        write_text(f"{time.strftime('%H:%M:%S')}  {as_text(event, trio.current_time())}{of_its_chain}", self._file)

    def left_out(self, counts: Mapping[str, int], seconds: float) -> None:
        """A line with the counts."""
        shown = ", ".join(f"{count} x {kind}" for kind, count in counts.items())
        write_text(f"{time.strftime('%H:%M:%S')}  not shown   in the last {seconds:.0f} s: {shown}", self._file)

    def nat(self, node: Node) -> None:
        """A line, and the enode if there is a new one."""
        write_text(f"{time.strftime('%H:%M:%S')}  {nat_as_text(node)}", self._file)

    def slots(self, node: Node) -> None:
        """A small table."""
        for line in slots_as_text(node):
            write_text(line, self._file)

    def stopped(self) -> None:
        """The prompt of the shell says it."""


def json_lost(lines: int) -> str:
    """The line that stands for lines that nobody read in time."""
    return json.dumps({"event": "lost", "lines": lines, "time": round(time.time(), 3)})


def text_lost(lines: int) -> str:
    """The same for people."""
    return f"{time.strftime('%H:%M:%S')}  {lines} lines are missing here: nobody read them in time"


def as_json(event: Event, now: float) -> dict[str, object]:
    """The event as an object for JSON. `now` is on trio's clock."""
    match event:
        case PeerConnected(peer):
            return {
                "event": "connected",
                **_names(peer),
                "client": peer.client_id,
                "capabilities": [_offer(capability) for capability in peer.capabilities],
                "inbound": peer.inbound,
                "address": str(peer.address),
                "session": profile_as_json(peer.profile),
            }
        case PeerReady(peer, capability):
            return {"event": "ready", **_names(peer), "capability": _offer(capability)}
        case PeerDropped(peer, end):
            return {
                "event": "dropped",
                **_names(peer),
                **_reason(end),
                "by_remote": end.by_remote,
                "detail": end.detail,
                "seconds": round(now - peer.since, 3),
            }
        case PeerRefused(address, error, _):
            return {"event": "refused", "address": str(address), **_reason(error), "error": str(error)}
        case DialFailed(record, error, retry):
            return {"event": "dial_failed", "enode": record.enode, **_reason(error), "error": str(error), "retry": round(retry, 3)}
        case SlotDecision(decision):
            return {"event": "decision", "what": type(decision).__name__.lower(), "id": decision.id.hex(), "why": decision.reason}
        case TrustRemoved(key, why, done):
            return {"event": "trust_removed", "id": key.node_id.hex(), "public_key": bytes(key).hex(), "why": why, "done": done}
    assert_never(event)


def as_text(event: Event, now: float) -> str:
    """The event as a line for people: what happened, to which peer, and the rest. `now` is on trio's clock."""
    match event:
        case PeerConnected(peer):
            shared = ", ".join(map(_offer, peer.capabilities))
            where = f"{'from' if peer.inbound else 'at'} {peer.address}"
            return _line("connected", _short(peer), f"{shared} with {peer.client_id} {where} by {profile_as_text(peer.profile)}")
        case PeerReady(peer, capability):
            return _line("ready", _short(peer), _offer(capability))
        case PeerDropped(peer, end):
            return _line("dropped", _short(peer), f"after {now - peer.since:.1f} s, {end}")
        case PeerRefused(address, error, _):
            return _line("refused", str(address), str(error))
        case DialFailed(record, error, retry):
            # The error begins with the enode, which nobody wants to read at every attempt.
            what = str(error).removeprefix(f"{record.enode}: ")
            return _line("no session", record.id.hex()[:_SHORT], f"{what}; next attempt in {retry:.0f} s")
        case SlotDecision(decision):
            return _line(type(decision).__name__.lower(), decision.id.hex()[:_SHORT], decision.reason)
        case TrustRemoved(key, why, done):
            return _line("distrusted", key.node_id.hex()[:_SHORT], f"{why}; {done}")
    assert_never(event)


def nat_as_json(node: Node) -> dict[str, object]:
    """What a node's router forwards, as an object for JSON."""
    status = node.nat or NatStatus()
    return {
        "event": "nat",
        "method": status.method or None,
        "external": str(ip_address(status.external)) if status.external else None,
        "mapped": [{"protocol": one.protocol, "port": one.port, "external": str(where)} for one, where in status.mapped.items()],
        "problem": status.problem or None,
        "enode": node.enode,
        **({"enr": node.enr} if node.enr is not None else {}),
    }


def nat_as_text(node: Node) -> str:
    """The same as a line for people."""
    status = node.nat or NatStatus()
    where = ", ".join(f"{one} at {endpoint}" for one, endpoint in status.mapped.items())
    seen = f"we are at {ip_address(status.external)}" if status.external else "not reached from outside"
    rest = f"{where or seen}{f'; {status.problem}' * bool(status.problem)}"
    return _line("nat", status.method or "no router", rest + (f"; {node.enode}" if status.external else ""))


def slots_as_json(node: Node) -> dict[str, object]:
    """A node's slots as an object for JSON: `devp2p.peers.slots.SlotsView`, with IDs as hex and classes as words."""
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
        "peers": [_slots_of_peer(peer) for peer in view.peers],
    }


def slots_as_text(node: Node) -> list[str]:
    """The same as lines for people: a summary of each capability, then each of its slots, best first."""
    view = node.slots()
    taken = len(view.peers) - view.outside
    pace = "" if node.pace == 1 else f", at {node.pace:g} times the usual pace"
    lines = [f"slots: {taken} of {view.budget} places ({view.dialled} dialled, {view.inbound} inbound) and {view.outside} outside{pace}"]
    for one in view.capabilities:
        filled = sum(one.filled.values())
        median = "-" if one.median is None else f"{one.median:.2f}"
        lines.append(f"  {one.spec.name}: {filled} of {one.spec.slots} filled; median rating {median}")
        lines += _lines_of(view, one.spec.name)
    return lines


def _lines_of(view: SlotsView, name: str) -> list[str]:
    filled = sorted((peer for peer in view.peers if name in peer.slots), key=lambda peer: -peer.quantiles[name])
    return [
        f"    {peer.slots[name].value:<8} {peer.id.hex()[:_SHORT]}  {_quantile_and_rating(peer, name)}  value {peer.marginal:5.2f}"
        f"  since {peer.tenure:.0f} s  {peer.why}"
        for peer in filled
    ]


def _quantile_and_rating(peer: PeerView, name: str) -> str:
    rating = peer.ratings.get(name)
    return f"quantile {peer.quantiles[name]:4.2f}  rating {'-' if rating is None else format(rating, '.2f'):>7}"


def _slots_of_peer(peer: PeerView) -> dict[str, object]:
    ratings = {name: peer.ratings.get(name) for name in peer.quantiles}
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


def _line(what: str, who: str, rest: str) -> str:
    return f"{what:<10}  {who}  {rest}"


def _short(peer: Peer) -> str:
    return peer.id.hex()[:_SHORT]


def _names(peer: Peer) -> dict[str, object]:
    return {"public_key": bytes(peer.public_key).hex(), "id": peer.id.hex()}


def _reason(error: Exception) -> dict[str, object]:
    """The reason that one side gave the other; a RemoteProtocolError's is only what the peer should be told."""
    reason = error.reason if isinstance(error, PeerDisconnected | DialError) else None
    return {"reason": reason, "reason_text": None if reason is None else describe_reason(reason)}


def _offer(capability: AnyCapability) -> str:
    return f"{capability.name}/{capability.version}"
