"""What a probe of one node found, in words: each step with its result, and what to do where it failed (pure).

A probe asks in an order in which each step needs the ones before it, so that the first that fails says most. What it means often shows in
others only: a node that answers by UDP and not by TCP is there, and its firewall is not what its owner believes.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from devp2p import describe_reason
from devp2p_crawler.analysis.clients import parse_client
from devp2p_crawler.analysis.forks import ForkStanding, Readiness
from devp2p_crawler.model import Outcome, Said, Visit


class StepState(enum.Enum):
    """What came of a step."""

    OK = "ok"
    WARNING = "warning"
    """It is not as it should be, and others may still be served."""
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeStep:
    """One step of a probe. Texts may hold what the node said."""

    name: str
    state: StepState
    says: str
    advice: str | None = None
    """What its owner, or who asks, can do."""
    seconds: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The same for programs, as JSON has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A visit by RLPx, with what is known of each of its steps."""

    visit: Visit
    address: str
    port: int
    awaited: str
    """The step that was under way when it ended: connect, handshake or hello."""
    seconds: Mapping[str, float]
    """Of connect, handshake and hello, as far as they were completed."""
    answers_by_udp: bool
    """Whether the node has answered anything by UDP."""
    recorded_port: int | None = None
    """For TCP, in the node's own record."""


_FIRST_TIME: Final = 1_438_269_973
"""When mainnet began: what is less is the number of a block."""
_LAST_TIME: Final = 2**35
_WAITED: Final = {"connect": "tcp", "handshake": "rlpx", "hello": "hello"}
_SAME_KEY: Final = (
    "compare the key with what the node says of itself (go-ethereum: admin.nodeInfo.enode): it changes where the node's data directory is"
    " made anew; if it is the same, the node turns calls away at the moment: try again in a minute"
)
_OTHER_PROGRAM: Final = "see which program listens at that port: it may be a consensus client, or a web server"


def steps_of_call(call: Call) -> list[ProbeStep]:
    """The steps tcp, rlpx, hello and status of a call; those after one that failed are skipped."""
    found = [
        ProbeStep(name=_WAITED[step], state=StepState.OK, says=_done(step, call), seconds=call.seconds[step], facts=_facts(step, call))
        for step in _WAITED
        if step in call.seconds
    ]
    if "hello" not in call.seconds:
        found.append(_failed(call))
    else:
        found.append(_status(call))
    names = [step.name for step in found]
    rest = [name for name in ("tcp", "rlpx", "hello", "status") if name not in names]
    return found + [ProbeStep(name=name, state=StepState.SKIPPED, says="not reached") for name in rest]


def _done(step: str, call: Call) -> str:
    said = call.visit.said or Said()
    match step:
        case "connect":
            return f"{call.address} takes connections"
        case "handshake":
            return "the handshake was answered, so the key is the node's"
        case _:
            capabilities = ", ".join(said.capabilities) or "no capability"
            return f"{said.client or 'no name'}; {capabilities}"


def _facts(step: str, call: Call) -> Mapping[str, Any]:
    said = call.visit.said
    if step != "hello" or said is None:
        return {}
    client = parse_client(said.client or "")
    return {
        "client": said.client,
        "capabilities": list(said.capabilities),
        "listen_port": said.listen_port,
        "parsed": None if client is None else {"name": client.name, "version": client.version, "language": client.language},
    }


def _failed(call: Call) -> ProbeStep:
    says, advice = _why_failed(call)
    alive = call.visit.outcome in {Outcome.TOO_MANY_PEERS, Outcome.DISCONNECTED}
    return ProbeStep(
        name=_WAITED.get(call.awaited, "tcp"),
        state=StepState.WARNING if alive else StepState.FAILED,
        says=says,
        advice=advice,
        facts={"outcome": call.visit.outcome.name.lower(), "reason": None if call.visit.said is None else call.visit.said.reason},
    )


def _why_failed(call: Call) -> tuple[str, str]:
    said = call.visit.said
    match call.visit.outcome:
        case Outcome.SILENT:
            return "no answer", _when_silent(call)
        case Outcome.REFUSED:
            return f"the host refuses connections at port {call.port}: nobody listens there", _when_refused(call)
        case Outcome.UNREACHABLE:
            return (
                "there is no way to that address from here",
                "see whether the address is right, and whether this machine has IPv6 if it is one",
            )
        case Outcome.NO_ADDRESS:
            return "it names no address and port for TCP", "write them behind the key: enode://KEY@HOST:PORT"
        case Outcome.OUR_FAULT:
            return "this machine could not even try", "see its limits on open files, its own firewall and its network"
        case Outcome.HUNG_UP if call.awaited == "handshake":
            return "it hung up on our handshake: it cannot read what is meant for another key", _SAME_KEY
        case Outcome.HUNG_UP:
            return "it hung up before it said Hello", "it turns calls away at the moment: try again in a minute"
        case Outcome.HANDSHAKE_TIMEOUT:
            return "it took the connection and did not answer the handshake", f"{_OTHER_PROGRAM}; or the node is overloaded"
        case Outcome.HELLO_TIMEOUT:
            return "it answered the handshake and said no Hello", "it is overloaded, or stuck: see its log"
        case Outcome.WRONG_KEY:
            return "another node says Hello there", "write the key of the node that is there, or its address of today"
        case Outcome.TOO_MANY_PEERS:
            return "it is there, and has no room for us: too many peers (0x04)", "that is usual; its owner may raise its number of peers"
        case Outcome.DISCONNECTED:
            return f"it is there, and refused us: {describe_reason((said and said.reason) or 0)}", "see its log for the reason"
        case _:
            return "what came is against the specification", _OTHER_PROGRAM


def _when_silent(call: Call) -> str:
    if call.answers_by_udp:
        return f"it answers by UDP, so it is there: let TCP port {call.port} through its firewall, and forward it in its router (NAT)"
    return (
        f"nothing comes back by UDP either: see whether it runs and has this address still, and let port {call.port} through its firewall"
        " for UDP and TCP"
    )


def _when_refused(call: Call) -> str:
    if call.recorded_port is not None and call.recorded_port not in {0, call.port}:
        return f"its own record says TCP port {call.recorded_port}: write that one"
    return "start the node, or write the port at which it listens; behind NAT, see where its router forwards that port to"


def _status(call: Call) -> ProbeStep:
    visit, said = call.visit, call.visit.said or Said()
    taken = (visit.ended - visit.began) / 1e6 - sum(call.seconds.values())
    if said.network_id is not None:
        head = f", block {said.head_number:,}" if said.head_number is not None else ""
        return ProbeStep(
            name="status",
            state=StepState.OK,
            says=f"eth/{said.eth_version}, network {said.network_id}{head}",
            seconds=max(0.0, taken),
            facts={
                "eth_version": said.eth_version,
                "network_id": said.network_id,
                "genesis": None if said.genesis is None else said.genesis.hex(),
                "fork_hash": None if said.fork_hash is None else said.fork_hash.hex(),
                "fork_next": said.fork_next,
                "head": None if said.head is None else said.head.hex(),
                "head_number": said.head_number,
            },
        )
    if visit.outcome is Outcome.OK:
        return ProbeStep(name="status", state=StepState.SKIPPED, says="it speaks no version of eth that we do")
    says = {
        Outcome.STATUS_TIMEOUT: ("it speaks eth and said no Status", "it may be starting, or stuck: see its log"),
        Outcome.TOO_MANY_PEERS: ("it has no room for us: too many peers (0x04)", "that is usual, and says nothing against it"),
        Outcome.DISCONNECTED: (f"it left: {describe_reason(said.reason or 0)}", "see its log for the reason"),
    }.get(visit.outcome, ("what came as its Status is against the specification", "see which version of its client it runs"))
    state = StepState.WARNING if visit.outcome is Outcome.TOO_MANY_PEERS else StepState.FAILED
    return ProbeStep(name="status", state=state, says=says[0], advice=says[1], facts={"reason": said.reason})


_FORKS: Final = {
    Readiness.READY: (StepState.OK, "it has passed what was due", None),
    Readiness.NOT_READY: (
        StepState.WARNING,
        "it does not know the next fork, {upcoming}, as we do",
        "update its client before that, or it will be left on a chain of its own",
    ),
    Readiness.BEHIND: (StepState.WARNING, "it has not reached the fork {upcoming}, which it knows of", "it is fetching the chain: wait"),
    Readiness.STALE: (
        StepState.FAILED,
        "it has missed the fork {upcoming}: it is on another chain",
        "update its client: it knows nothing of that fork",
    ),
    Readiness.AHEAD: (StepState.OK, "it knows of a fork that is not known here", None),
    Readiness.UNKNOWN: (StepState.OK, "nothing can be said of its forks here", None),
}


def _place(fork: int | None) -> str:
    """A block, or a time, as people read it."""
    if fork is None or not _FIRST_TIME <= fork < _LAST_TIME:
        return f"block {fork}"
    return f"{datetime.fromtimestamp(fork, UTC):%Y-%m-%d %H:%M} UTC"


def fork_step(standing: ForkStanding, fork_hash: bytes, fork_next: int, source: str, *, advertised: bytes | None) -> ProbeStep:
    """The step of the fork id that a node said, in its `source`; `advertised` is the hash in its record, if there is one."""
    state, says, advice = _FORKS[standing.readiness]
    network = standing.network or "an unknown network"
    passed = f", after {standing.passed}" if standing.passed else ""
    says = says.format(upcoming=_place(standing.upcoming))
    text = f"{fork_hash.hex()}{f', next {fork_next}' if fork_next else ''}: {network}{passed}; {says}"
    if advertised not in {None, fork_hash} and state is StepState.OK:
        state, text = StepState.WARNING, f"{text}; its record still says {advertised.hex() if advertised else ''}"
        advice = "its record follows when the node has run for a while with its chain up to date"
    return ProbeStep(
        name="fork id",
        state=state,
        says=text,
        advice=advice,
        facts={
            "source": source,
            "hash": fork_hash.hex(),
            "next": fork_next,
            "network": standing.network,
            "readiness": standing.readiness.value,
            "passed": standing.passed,
            "upcoming": standing.upcoming,
        },
    )
