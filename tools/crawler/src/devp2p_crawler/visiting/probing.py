"""A probe: everything that can be asked of one node, step by step, and what to do where a step fails."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

import trio

from devp2p import Discovery, DiscoveryLimits, Endpoint, NodeRecord, Progress, open_discovery
from devp2p.capabilities.ethereum.networks import NETWORKS, advertised_fork_id
from devp2p_crawler.analysis import Call, ProbeStep, StepState, fork_step, standing, steps_of_call
from devp2p_crawler.filters import Described, geth
from devp2p_crawler.frontier import Courtesy, Politeness
from devp2p_crawler.model import KnownNode, Outcome, SignedRecord, Visit
from devp2p_crawler.visiting.hearing import RlpxCaller, tcp_addresses
from devp2p_crawler.visiting.rlpx import visit_rlpx

OnStep: TypeAlias = Callable[[ProbeStep], None]
_FAR: Final = [256, 255, 254]
"""Distances at which a node of discovery v5 knows others, if anywhere."""
_NOT_PUBLIC: Final = (
    "others cannot reach that: let it name its public address (go-ethereum: --nat extip:ADDRESS; most nodes find it out by themselves after"
    " a while)"
)


@dataclass(slots=True)
class Probe:
    """What a probe has found so far."""

    node: NodeRecord
    """As it was given; then with what its own record says."""
    steps: list[ProbeStep] = field(default_factory=list[ProbeStep])
    visit: Visit | None = None
    record: NodeRecord | None = None
    """Its record, from itself, or as it was given."""
    answers_by_udp: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether it said its Hello."""
        return self.visit is not None and self.visit.said is not None and self.visit.said.client is not None

    @property
    def is_refused(self) -> bool:
        """Whether it is there, and refused us before its Hello."""
        return self.visit is not None and not self.is_reached and self.visit.outcome in {Outcome.TOO_MANY_PEERS, Outcome.DISCONNECTED}

    @property
    def verdict(self) -> str:
        """All of it in one sentence."""
        faults = [step.name for step in self.steps if step.state is StepState.FAILED]
        doubts = [step.name for step in self.steps if step.state is StepState.WARNING]
        named = f"; look at {', '.join(faults + doubts)}" if faults or doubts else ""
        if self.is_reached:
            return f"it can be called{named or ', and nothing is wrong with it'}"
        if self.is_refused:
            return f"it is there, and refused us{named}"
        if self.answers_by_udp:
            return f"it is there, and cannot be called by TCP{named}"
        return f"it cannot be reached{named}"


async def probe(
    node: NodeRecord,
    caller: RlpxCaller,
    *,
    on_step: OnStep = lambda _: None,
    versions: tuple[int, ...] = (4, 5),
    seconds: Callable[[], int] = lambda: int(time.time()),
) -> Probe:
    """Ask a node all there is to ask; `on_step` hears of each step as it is done. Raises nothing for what the node or the network does.

    OSError if no socket for UDP can be had here. `seconds` says the time, since 1970, by which forks are due.
    """
    found = Probe(node)

    def done(step: ProbeStep) -> None:
        found.steps.append(step)
        on_step(step)

    done(await _address(found))
    courtesy = Courtesy(Politeness())

    def may_send(to: Endpoint) -> bool:
        """Whether one more datagram may go there; whoever asks us in turn gets no more answers than a crawl gives."""
        return courtesy.may_send(courtesy.host(to.ip, to.port), trio.current_time())

    limits = DiscoveryLimits.for_questions(at_once=16, remembered=256)
    opening = open_discovery(caller.local.key, listen="udp://*:0", versions=versions, limits=limits, asks_only=True, may_send=may_send)
    async with opening as discovery:
        if 4 in versions:
            await _ask_v4(discovery, found, done)
        if 5 in versions:
            await _ask_v5(discovery, found, done)
    for step in await _call(found, caller):
        done(step)
    if (fork := _fork(found, seconds())) is not None:
        done(fork)
    done(_dialable(found))
    done(_listed(found))
    return found


# Address


async def _address(found: Probe) -> ProbeStep:
    node = found.node
    endpoints = [(address.host, f"TCP {address.port}") for address in tcp_addresses(node)] or [
        (host, f"UDP {port}") for host, port in node.udp_endpoints
    ]
    if not endpoints:
        advice = "write them behind the key: enode://KEY@HOST:PORT"
        return ProbeStep(name="address", state=StepState.FAILED, says="it names no address", advice=advice)
    host, port = endpoints[0]
    ips = await _resolve(host)
    if not ips:
        return ProbeStep(
            name="address", state=StepState.FAILED, says=f"the name {host} has no address", advice="see whether it is written right"
        )
    udp = ", ".join(f"UDP {port}" for _, port in node.udp_endpoints[:1])
    ports = ", ".join(dict.fromkeys(part for part in (port, udp) if part))
    said = f"{', '.join(map(str, ips))}; {ports}"
    if any(ip.is_global for ip in ips):
        return ProbeStep(name="address", state=StepState.OK, says=said, facts={"ips": [str(ip) for ip in ips]})
    kind = "loopback" if ips[0].is_loopback else "private" if ips[0].is_private else "not public"
    return ProbeStep(
        name="address",
        state=StepState.WARNING,
        says=f"{said}: {kind}, so only who is near reaches it",
        advice=_NOT_PUBLIC,
        facts={"ips": [str(ip) for ip in ips]},
    )


async def _resolve(host: str) -> list[IPv4Address | IPv6Address]:
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    try:
        found = await trio.socket.getaddrinfo(host, None)
    except OSError:
        return []
    return list(dict.fromkeys(ip_address(str(name[0]).partition("%")[0]) for *_, name in found))


# Discovery


async def _ask_v4(discovery: Discovery, found: Probe, done: OnStep) -> None:
    if not found.node.udp_endpoints:
        done(ProbeStep(name="v4 ping", state=StepState.SKIPPED, says="it names no UDP port"))
        return
    pinged = await discovery.ping(found.node, version=4)
    port = found.node.udp_endpoints[0][1]
    if pinged is None:
        done(_silent("v4 ping", port, "it may speak discovery v5 alone, have another key, or"))
        return
    found.answers_by_udp = True
    seen = f"; it sees us at {pinged.seen_as}" if pinged.seen_as.ip else ""
    done(ProbeStep(name="v4 ping", state=StepState.OK, says=f"it answers at UDP {port}{seen}", seconds=pinged.rtt))
    began = trio.current_time()
    record = await discovery.request_enr(found.node, version=4)
    done(_record_step("v4 record", found, record, trio.current_time() - began))
    began = trio.current_time()
    named = await discovery.find_nodes(found.node, found.node.public_key, version=4)
    done(_neighbours_step("v4 neighbours", named, trio.current_time() - began))


async def _ask_v5(discovery: Discovery, found: Probe, done: OnStep) -> None:
    node = found.record or found.node
    if node.enr is None:
        done(ProbeStep(name="v5 handshake", state=StepState.SKIPPED, says="it takes the node's record, which nobody has told (enr:...)"))
        return
    if not node.udp_endpoints:
        done(ProbeStep(name="v5 handshake", state=StepState.SKIPPED, says="its record names no UDP port"))
        return
    pinged = await discovery.ping(node, version=5)
    if pinged is None:
        done(_silent("v5 handshake", node.udp_endpoints[0][1], "it may not speak discovery v5 (go-ethereum: --discovery.v5), or"))
        return
    found.answers_by_udp = True
    done(ProbeStep(name="v5 handshake", state=StepState.OK, says=f"it answers at UDP {node.udp_endpoints[0][1]}", seconds=pinged.rtt))
    began = trio.current_time()
    own = await discovery.find_nodes(node, [0], version=5)
    done(_record_step("v5 record", found, own[0] if own else None, trio.current_time() - began))
    began = trio.current_time()
    done(_neighbours_step("v5 neighbours", await discovery.find_nodes(node, _FAR, version=5), trio.current_time() - began))


def _silent(name: str, port: int, may: str) -> ProbeStep:
    advice = f"{may} UDP port {port} is shut: let it through its firewall, and forward it in its router (NAT)"
    return ProbeStep(name=name, state=StepState.WARNING, says=f"no answer at UDP {port}", advice=advice)


def _record_step(name: str, found: Probe, record: NodeRecord | None, taken: float) -> ProbeStep:
    if record is None or record.enr is None:
        return ProbeStep(
            name=name,
            state=StepState.WARNING,
            says="it gave no record of itself (EIP-868)",
            advice="its client is old, or lost our question: try again",
            seconds=taken,
        )
    known, enr = found.record or found.node, record.enr
    older = known.enr is not None and known.enr.sequence > enr.sequence
    if not older:
        found.record = record
    entries = ", ".join(key.decode("ascii", "replace") for key in enr.entries if key not in {b"id", b"secp256k1"})
    where = f"{enr.ip or enr.ip6 or 'no address'}, TCP {enr.tcp or enr.tcp6 or 'none'}, UDP {enr.udp or enr.udp6 or 'none'}"
    given = found.node.enr
    change = f", where the one given has {given.sequence}" if given is not None and given.sequence != enr.sequence else ""
    return ProbeStep(
        name=name,
        state=StepState.OK,
        says=f"number {enr.sequence}{change}: {where}; entries {entries}",
        seconds=taken,
        facts={"enr": enr.text, "sequence": enr.sequence},
    )


def _neighbours_step(name: str, named: tuple[NodeRecord, ...] | None, taken: float) -> ProbeStep:
    if named:
        says = f"it names {len(named)} other node{'s' * (len(named) > 1)}"
        return ProbeStep(name=name, state=StepState.OK, says=says, seconds=taken, facts={"named": len(named)})
    if named is None:
        says, advice = "it did not say whom it knows", "it is careful with strangers, or overloaded: others may not learn of nodes by it"
    else:
        says, advice = "it knows nobody", "see whether it has bootnodes, and whether its UDP port is open"
    return ProbeStep(name=name, state=StepState.WARNING, says=says, advice=advice, seconds=taken, facts={"named": 0})


# The call


async def _call(found: Probe, caller: RlpxCaller) -> list[ProbeStep]:
    node, own = found.node, found.record
    if not node.addresses and own is not None:
        node = replace(node, addresses=own.addresses)
    node = replace(node, enr=None if own is None else own.enr)
    progress = Progress()
    found.visit = visit = await visit_rlpx(node, caller, progress=progress)
    recorded = None if own is None or own.enr is None else own.enr.tcp or own.enr.tcp6
    address = progress.address
    return steps_of_call(
        Call(
            visit=visit,
            address=str(address or "it"),
            port=visit.port,
            awaited=progress.awaited,
            seconds={str(step): taken for step, taken in progress.seconds.items()},
            answers_by_udp=found.answers_by_udp,
            recorded_port=recorded,
        )
    )


# What follows


def _fork(found: Probe, now: int) -> ProbeStep | None:
    said = None if found.visit is None else found.visit.said
    record = found.record or found.node
    advertised = advertised_fork_id(record)
    if said is not None and said.fork_hash is not None:
        place = standing(fork_hash=said.fork_hash, fork_next=said.fork_next, at=now, network_id=said.network_id, genesis=said.genesis)
        hash_ = None if advertised is None else advertised.hash
        return fork_step(place, said.fork_hash, said.fork_next or 0, "status", advertised=hash_)
    if advertised is None:
        return None
    place = standing(fork_hash=advertised.hash, fork_next=advertised.next, at=now)
    return fork_step(place, advertised.hash, advertised.next, "record", advertised=None)


def _dialable(found: Probe) -> ProbeStep:
    """Whether those who find it by its record can call it, too."""
    own = found.record or found.node
    name, visit = "dialable", found.visit
    if visit is None or not (found.is_reached or found.is_refused):
        return ProbeStep(name=name, state=StepState.FAILED, says="no call has reached it")
    if own.enr is None:
        advice = "nodes that find it by discovery v4 can call it; a record, which v5 and lists need, it did not give"
        return ProbeStep(name=name, state=StepState.WARNING, says="it can be called where you said, and has no record", advice=advice)
    enr = own.enr
    places = [(str(ip), ip.packed, port) for ip, port in ((enr.ip, enr.tcp), (enr.ip6, enr.tcp6 or enr.tcp)) if ip is not None and port]
    if (visit.ip, visit.port) in [(ip, port) for _, ip, port in places]:
        return ProbeStep(name=name, state=StepState.OK, says="where its record says that it is, it can be called")
    told = ", ".join(f"{host} TCP {port}" for host, _, port in places) or "no address and TCP port"
    return ProbeStep(
        name=name,
        state=StepState.WARNING,
        says=f"it was reached at another place than its record names: {told}",
        advice=f"those who find it by v5 or a list call it there: {_NOT_PUBLIC}; forward the port of the same number",
    )


def _listed(found: Probe) -> ProbeStep:
    """Whether the filter with which lists in DNS are made would take it: that of go-ethereum's nodeset, by its record."""
    own = found.record or found.node
    if own.enr is None:
        return ProbeStep(name="dns list", state=StepState.WARNING, says="no: a list has records, and it gave none")
    raw = own.enr.encode()
    described = Described(_as_known(found, SignedRecord(node=bytes(own.id), sequence=own.enr.sequence, raw=raw, seen=0)))
    networks = [name for name in NETWORKS if geth.by_eth_network(name)(described)]
    lacks = [] if networks else ["a fork id of a known network (its record has no eth entry, or another one)"]
    if not geth.dialable(described):
        lacks.append("a TCP port in its record")
    if described.address is None or not described.address.is_global:
        lacks.append("a public address in its record")
    if not found.is_reached:
        lacks.append("an answer to our call")
    if lacks:
        return ProbeStep(name="dns list", state=StepState.WARNING, says=f"no: it lacks {', '.join(lacks)}", facts={"lists": []})
    return ProbeStep(name="dns list", state=StepState.OK, says=f"yes: that of {', '.join(networks)}", facts={"lists": networks})


def _as_known(found: Probe, record: SignedRecord) -> KnownNode:
    """As much of a `KnownNode` as filters of records look at."""
    now, visit, node = 0, found.visit, found.node
    return KnownNode(
        node=bytes(node.id),
        public_key=bytes(node.public_key),
        first_seen=now,
        last_seen=now,
        first_ok=None,
        last_ok=None,
        last_visit=None,
        score=0,
        record=record,
        ip=b"" if visit is None else visit.ip,
        udp=0,
        tcp=0 if visit is None else visit.port,
        said=None if visit is None else visit.said,
        said_at=None,
        outcomes={},
        rtt=None,
        handshakes=0,
        vantages=frozenset(),
    )
