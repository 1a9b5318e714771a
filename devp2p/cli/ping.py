"""``devp2p ping``: call a node, hear what it is, and take leave.

It offers no capability, and so never runs a session: every node says Hello before it looks at what the other side offers.
"""

import argparse
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from devp2p.addresses import Address
from devp2p.cli.websockets import add_authorities, websockets
from devp2p.errors import DialError, DisconnectReason, HandshakeError, PeerDisconnected, RemoteProtocolError, describe_reason
from devp2p.keys import PrivateKey
from devp2p.limits import Limits
from devp2p.records import NodeRecord
from devp2p.session import Progress, Step, call, local_node
from devp2p.terminal import (
    Exit,
    add_proxy,
    explain,
    node_or_address,
    profile_as_json,
    profile_as_text,
    read_key,
    seconds,
    warn,
    write_fields,
    write_json,
    write_text,
)
from devp2p.transports import Carriers, LinkFacts, Proxy, Transport
from devp2p.trust import Profile
from devp2p.wire import Hello, base

SUMMARY = "ask a node what it is"
DESCRIPTION = """\
Dial a node, shake hands, and say what its Hello tells: its client, its
capabilities, whether the session was one of dpx/1 or of stock RLPx, what
carried it and by which way, and how long each step took. No capability has to
be shared. The handshake proves that the node holds the key in its enode. Where
only an address is given, it asks the node there for its key: few tell it
(devp2p node --reveal-key), and stock nodes hang up.
"""
EPILOG = """\
examples:
  devp2p ping enode://<public key>@203.0.113.5:30303
  devp2p ping --json --timeout 3 unix://<public key>@/run/node.sock
  devp2p ping quic://<public key>@203.0.113.5:30303
  devp2p ping tcp://203.0.113.5:30303
  devp2p ping --proxy socks5://127.0.0.1:9050 \\
      enode://<public key>@<name>.onion:30303

exit codes:
  0  the node said what it is
  1  it could not be reached, or the handshake failed
  2  wrong arguments, or no key where one should be
  3  it is there, but refused: it sent a Disconnect instead of its Hello
"""
_STATUS = {Exit.OK: "ok", Exit.FAILED: "unreachable", Exit.REFUSED: "refused"}
_AWAITED: dict[Step, str] = {"connect": "connection", "handshake": "answer to the handshake", "hello": "Hello"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "node",
        metavar="ENODE",
        type=node_or_address,
        help="the node: enode://<128 hex digits>@HOST:PORT, SCHEME://<128 hex digits>@HOST:PORT for another transport, or its ENR "
        "(enr:...); or tcp://HOST:PORT, to find out whose key is there",
    )
    parser.add_argument("--key", metavar="FILE", help="call as the node with this key (default: a new one for each call)")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, default=10.0, help="how long to wait, from dialling to Hello (default: 10)"
    )
    add_proxy(parser.add_argument)
    add_authorities(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, whatever the outcome")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    key = PrivateKey.generate() if options.key is None else read_key(options.key)
    extra = websockets(options)
    answer = trio.run(partial(ping, options.node, key, timeout=options.timeout, proxy=options.proxy, extra=extra))
    show(answer, as_json=options.json)
    return answer.status


@dataclass(slots=True)
class Answer:
    """What came of a call."""

    record: NodeRecord | None
    """The node; None if only its address was given, and it has not told its key."""
    address: Address
    """Where it was dialled; the last address tried."""
    seconds: dict[Step, float] = field(default_factory=dict[Step, float])
    """How long the steps took that were completed."""
    hello: Hello | None = None
    profile: Profile | None = None
    """What the two sides spoke, if there was a Hello."""
    farewell: int | None = None
    """The reason of the peer's Disconnect, instead of its Hello or after it."""
    error: str = ""
    """What went wrong, if there is neither Hello nor Disconnect."""
    asked: bool = False
    """Whether the node was asked for its key."""
    link: LinkFacts | None = None
    """What led there, if anything did."""

    @property
    def status(self) -> Exit:
        """The exit status that says it."""
        if self.hello is not None:
            return Exit.OK
        return Exit.FAILED if self.farewell is None else Exit.REFUSED


async def ping(  # noqa: PLR0913  (how it is dialled)
    node: NodeRecord | Address,
    key: PrivateKey,
    *,
    timeout: float,  # noqa: ASYNC109  (the answer says what it cut short)
    transports: Sequence[Transport] | None = None,
    proxy: Proxy | None = None,
    extra: Sequence[Transport] = (),
) -> Answer:
    """Call a node, or whoever is at an address; raises nothing for what the node or the network does.

    `timeout` is in seconds, up to the peer's Hello. `extra`: transports in the place of some of those that come with the library.
    """
    local = local_node(key, limits=Limits(dial_timeout=timeout, handshake_timeout=timeout))
    addresses = node.addresses if isinstance(node, NodeRecord) else (node,)
    progress, profile, farewell, error = Progress(), None, None, ""
    try:
        async with _ways(addresses, key, transports, extra, proxy) as ways:
            session = await call(node, local, ways, timeout=timeout, progress=progress)
            profile = session.profile
            farewell = await session.refuse(DisconnectReason.CLIENT_QUITTING)
    except DialError:
        error = _why_not_reached(addresses[0], progress, timeout)
    except PeerDisconnected as end:
        if end.hung_up:
            error = f"the node hung up before its {_AWAITED[progress.awaited]}"
            if progress.awaited == "handshake":
                error += f": {progress.why_silent}"
        else:
            farewell = end.reason
    except (RemoteProtocolError, trio.TooSlowError) as fault:
        error = _why_failed(fault, progress, timeout)
    told = None if progress.remote is None else NodeRecord(progress.remote, addresses)
    return Answer(
        node if isinstance(node, NodeRecord) else told,
        progress.address or addresses[0],
        progress.seconds,
        progress.hello,
        profile,
        farewell,
        error if progress.hello is None else "",  # once it has said what it is, it does not matter
        asked=isinstance(node, Address),
        link=progress.link,
    )


@asynccontextmanager
async def _ways(
    addresses: Sequence[Address],
    key: PrivateKey,
    transports: Sequence[Transport] | None,
    extra: Sequence[Transport],
    proxy: Proxy | None,
) -> AsyncGenerator[Carriers]:
    """The transports for some addresses: one through a relay takes a node that has a session with the relay."""
    carriers = Carriers(transports, key, proxy=proxy)
    for transport in extra:
        carriers.add(transport)
    if transports is not None or not any(address.is_relayed for address in addresses):
        yield carriers
        return
    from devp2p.capabilities.relay import Relay  # noqa: PLC0415  (hardly ever needed)
    from devp2p.node import open_node  # noqa: PLC0415

    relay, failure = Relay(), None
    async with open_node(key, [relay], proxy=proxy):
        try:
            for transport in relay.transports(key):
                carriers.add(transport)
            yield carriers
        except Exception as error:  # noqa: BLE001  (raised again, but not out of the nursery, which would put it into a group)
            failure = error
    if failure is not None:
        raise failure


def _why_not_reached(address: Address, progress: Progress, timeout: float) -> str:
    """What went wrong at the last address."""
    if progress.address is None:
        return str(progress.failures.get(address, f"no transport for {address}"))
    error = progress.failures[progress.address]
    return explain(error) if isinstance(error, OSError) else _why_failed(error, progress, timeout)


def _why_failed(error: Exception, progress: Progress, timeout: float) -> str:
    match error:
        case trio.TooSlowError():
            asked_in_vain = progress.awaited == "handshake" and progress.asks_key and progress.remote is None
            return f"no {_AWAITED[progress.awaited]} within {timeout:g} s{f': {progress.why_silent}' * asked_in_vain}"
        case HandshakeError():
            return f"the handshake failed: {error}"
        case RemoteProtocolError():
            return f"the node broke the rules: {error}"
        case _:
            return str(error)


def show(answer: Answer, *, as_json: bool) -> None:
    """Print what came of a call."""
    if as_json:
        write_json(_as_json(answer))
    else:
        _write(answer)


def _as_json(answer: Answer) -> dict[str, object]:
    record, hello, farewell = answer.record, answer.hello, answer.farewell
    return {
        "status": _STATUS[answer.status],
        "enode": None if record is None else record.enode,
        "public_key": None if record is None else bytes(record.public_key).hex(),
        "id": None if record is None else record.id.hex(),
        "address": str(answer.address),
        "transport": None if answer.link is None else answer.link.transport,
        "native_auth": None if answer.link is None else answer.link.native_auth,
        "native_mux": None if answer.link is None else answer.link.native_mux,
        "path": None if answer.link is None else answer.link.path,
        "client": None if hello is None else base.printable(hello.client_id),
        "p2p_version": None if hello is None else hello.version,
        "capabilities": None if hello is None else [str(offer) for offer in hello.capabilities],
        "listen_port": None if hello is None else hello.listen_port,
        "session": None if answer.profile is None else profile_as_json(answer.profile),
        "seconds": {step: round(answer.seconds[step], 6) if step in answer.seconds else None for step in _AWAITED},
        "disconnect": None if farewell is None else {"reason": farewell, "reason_text": describe_reason(farewell)},
        "error": answer.error or None,
    }


def _transport_as_text(link: LinkFacts) -> str:
    proof = "proves the peer by itself" if link.native_auth else "proves nobody, so the session does"
    streams = ", a stream for each capability" if link.native_mux else ""
    return f"{link.transport}, {link.path}; {proof}{streams}"


def _write(answer: Answer) -> None:
    record, hello, farewell = answer.record, answer.hello, answer.farewell
    if answer.status is Exit.FAILED:
        warn(f"{answer.address}: {answer.error}")
        return
    fields: dict[str, str] = {}
    if hello is None:
        write_text(f"the node is there, but refused us: {describe_reason(farewell or 0)}")
    else:
        fields["client"] = hello.client_id
        fields["p2p version"] = str(hello.version)
        fields["capabilities"] = ", ".join(map(str, hello.capabilities)) or "none"
    if answer.profile is not None:
        fields["session"] = profile_as_text(answer.profile)
    if record is not None:
        if answer.asked:
            fields["enode"] = record.enode
        fields["node ID"] = record.id.hex()
    fields["address"] = str(answer.address)
    if answer.link is not None:
        fields["transport"] = _transport_as_text(answer.link)
    fields["times"] = ", ".join(f"{step} {1000 * taken:.1f} ms" for step, taken in answer.seconds.items())
    if hello is not None and farewell is not None:
        fields["it left with"] = describe_reason(farewell)
    write_fields(fields)
