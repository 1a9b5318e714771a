"""``devp2p node``: run a node with given capabilities until told to stop, and report what happens to its peers."""

import argparse
import contextlib
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import trio

from devp2p.addresses import Address
from devp2p.allocator import keep_freed_memory
from devp2p.capability import AnyCapability
from devp2p.cli import plugins
from devp2p.cli.news import JsonNews, News, TextNews, json_lost, text_lost
from devp2p.cli.node_options import add_options
from devp2p.cli.summaries import Summaries
from devp2p.cli.websockets import websockets
from devp2p.errors import BookError, LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.limits import Limits
from devp2p.nat import NatSettings, nat_of
from devp2p.node import DiscoverySettings, Node, Subscription, open_node
from devp2p.records import PRESETS, NodeRecord, enode_address
from devp2p.terminal import (
    Ending,
    Exit,
    Failure,
    Outlets,
    cannot_write,
    explain,
    log_to_stderr,
    outlets,
    read_key,
    run_until,
    told_to_end,
    warn,
)
from devp2p.transports import DEFAULT_LISTEN, Proxy, Transport
from devp2p.wire.dpx import UNSHAPED, Shaping

if TYPE_CHECKING:
    from devp2p.cli.networks import Served

SUMMARY = "run a node"
DESCRIPTION = """\
Run a node until Ctrl-C, SIGTERM or SIGHUP: listen, keep the given peers
connected, run the given capabilities with every peer that shares one, and
report what happens.
It takes part in node discovery at the UDP port of the same number, so that
others find it, and dials the nodes that it finds if it knows where to begin.
With --network or --chain it is a node of an Ethereum network.
"""
EPILOG = """\
what it prints:
  A line for each event. With --json the line is an object, whose "event" is
  listening (always the first line; "enode" is what others dial, and "enr" the
  same as discovery tells it), chain (the second line where there is one: its
  network, head and fork id), connected, ready (of eth with the peer's "status":
  its network, head and fork id), dropped, refused, dial_failed,
  decision (which nodes it dials, refuses, replaces or drops, and why),
  trust_removed (a node that was known is a stranger in a session, and why),
  nat (what the router forwards, and the enode that follows from it),
  slots (which peers fill them, with ratings), left_out (counts of events that
  strangers can repeat at will, which are therefore shown a few times only),
  lost (how many lines nobody read in time), or stopped (always the last).
  What a capability prints goes to stdout, too, but with --json to stderr.
  The node waits for no reader: it runs on, and drops what does not fit.

examples:
  devp2p node --capability examples.chat:Chat
  devp2p node --capability chat --listen '[::1]:0' --json
  devp2p node --key node.key --capability chat:Chat --listen 0.0.0.0:30303 \\
      --peer enode://<public key>@203.0.113.5:30303
  devp2p node --capability chat:Chat --bootnode enr:-IS4QHCYrYZbAKW... \\
      --book nodes.db
  devp2p node --capability chat:Chat --metrics 127.0.0.1:9100
  devp2p node --capability chat:Chat --listen wss://0.0.0.0:443 \\
      --certificate fullchain.pem --private-key privkey.pem
  devp2p node --capability chat:Chat --capability nat --capability relay \\
      --listen relay://<a relay's public key>@203.0.113.7:30303
  devp2p node --network sepolia
  devp2p node --network genesis.json --chain chain.db --json

exit codes:
  0  ended by Ctrl-C, SIGTERM or SIGHUP; every peer was told
  1  an address could not be listened at, or the book or the chain not be
     opened; or it had not ended two seconds after the signal, as a capability
     kept it busy
  2  wrong arguments, no key where one should be, no such capability or network
"""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What node to run."""

    key: PrivateKey
    capabilities: tuple[AnyCapability, ...]
    listen: tuple[Address, ...] = (DEFAULT_LISTEN,)
    peers: tuple[NodeRecord, ...] = ()
    trusted: tuple[NodeRecord, ...] = ()
    slots: Mapping[str, int] = field(default_factory=dict[str, int])
    slots_every: float = 60.0
    max_peers: int = 50
    client_id: str | None = None
    dpx: bool = True
    reveal_key: bool = False
    introductions: str = "none"
    bootnodes: tuple[NodeRecord, ...] = ()
    dns_trees: tuple[str, ...] = ()
    discovery: bool | DiscoverySettings = False
    book: str | None = None
    metrics: Address | None = None
    metrics_names: tuple[str, ...] = ()
    limits: Limits | None = None
    shaping: Shaping = UNSHAPED
    max_upload: Mapping[str, float] = field(default_factory=dict[str, float])
    max_download: Mapping[str, float] = field(default_factory=dict[str, float])
    nat: NatSettings = field(default_factory=NatSettings)
    proxy: Proxy | None = None
    transports: tuple[Transport, ...] = ()
    """In the place of those that come with the library."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_options(parser)
    parser.set_defaults(run=partial(_run, parser))


def _find_peers(options: argparse.Namespace) -> dict[str, Any]:
    """What of a `Plan` is about discovery."""
    if options.no_discovery or options.proxy is not None:
        return {"discovery": False, "book": options.book}
    preset = PRESETS.get(options.network)
    reads_dns = find_spec("dns") is not None
    if preset is not None and not reads_dns:
        _logger.warning("the node list of %s in DNS is not read: that needs dnspython, pip install 'trio-devp2p[dns]'", options.network)
    listens = enode_address(options.listen or (DEFAULT_LISTEN,)) is not None
    begins = bool(options.bootnode or preset)
    return {
        "bootnodes": (*options.bootnode, *map(NodeRecord.parse, preset.bootnodes if preset is not None else ())),
        "dns_trees": (preset.dns_tree,) if preset is not None and reads_dns else (),
        "discovery": _settings(options) if listens or begins else False,
        "book": options.book,
    }


def _settings(options: argparse.Namespace) -> DiscoverySettings:
    try:
        return DiscoverySettings(external=tuple(options.external))
    except ValueError as error:
        raise Failure(str(error)) from None


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if not options.capability and not options.network and not options.chain:
        parser.error(
            "a node without a capability has nothing to share, and every peer would leave it: add --capability NAME, "
            f"for example --capability examples.chat:Chat ({plugins.describe_installed()}), or --network NAME for eth"
        )
    if len({name for name, _ in options.slots}) < len(options.slots):
        parser.error("argument --slots: a capability is named twice, and has one number of slots")
    for option, caps in (("--max-upload", options.max_upload), ("--max-download", options.max_download)):
        if len({name for name, _ in caps}) < len(caps):
            parser.error(f"argument {option}: one cap is given twice, for the node or for a capability")
    if options.no_discovery and (options.bootnode or options.external):
        parser.error("--bootnode and --external are for discovery, and --no-discovery leaves it out: give one or the other")
    if options.proxy is not None:
        _require_nothing_past(parser, options)
    nat = options.nat = options.nat or nat_of("none" if options.proxy is not None else "any")
    if options.no_discovery and nat.external:
        parser.error("--nat extip:IP is what discovery tells others, and --no-discovery leaves it out: give one or the other")
    if nat.external and options.external:
        parser.error("--nat extip:IP and --external both say where this node is: give one of them")
    if options.no_dpx and options.shaping != UNSHAPED:
        parser.error("--shaping is for sessions of dpx/1, and --no-dpx leaves it out: give one or the other")
    if options.no_dpx and options.reveal_key:
        parser.error("--reveal-key answers a question that dpx/1 asks, and --no-dpx does not speak it: give one or the other")
    if options.no_dpx and options.introductions != "none":
        parser.error("--introductions needs dpx/1, and --no-dpx does not speak it: give one or the other")
    if options.metrics is not None and find_spec("prometheus_client") is None:
        raise Failure("--metrics needs Prometheus's client library: pip install 'trio-devp2p[metrics]'")
    with outlets(json_lost if options.json else text_lost, trouble=_warn_of_output) as streams:
        _run_with(options, streams)
    return Exit.OK


def _require_nothing_past(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.bootnode or options.external or (options.network in PRESETS and not options.no_discovery):
        parser.error(
            "discovery asks by UDP and DNS, past the --proxy: leave out --bootnode and --external, give --no-discovery beside --network,"
            " and name nodes by --peer"
        )
    if options.nat not in {None, NatSettings()}:
        parser.error("--nat asks routers and servers, past the --proxy, or says where this node is: leave it out")


def _run_with(options: argparse.Namespace, streams: Outlets) -> None:
    log_to_stderr(options.log_level)
    keep_freed_memory()
    with contextlib.ExitStack() as stack:
        served = _open_served(options, stack)
        news = JsonNews(sys.stdout, served) if options.json else TextNews(sys.stdout, served)
        # JSON has stdout for itself.
        stack.enter_context(contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout))
        plan = Plan(
            key=PrivateKey.generate() if options.key is None else read_key(options.key),
            capabilities=(
                plugins.load(options.capability)
                if served is None
                else plugins.load(served.capabilities(options.capability), served.arguments)
            ),
            listen=tuple(options.listen or (() if options.proxy is not None else (DEFAULT_LISTEN,))),
            peers=tuple(options.peer),
            trusted=tuple(options.trusted),
            slots=dict(options.slots),
            slots_every=options.slots_every,
            max_peers=options.max_peers,
            client_id=options.client_id,
            dpx=not options.no_dpx,
            reveal_key=options.reveal_key,
            introductions=options.introductions,
            metrics=options.metrics,
            metrics_names=tuple(options.metrics_name),
            limits=Limits(
                limit_local_addresses=options.limit_local_addresses,
                max_upload=dict(options.max_upload).get(""),
                max_download=dict(options.max_download).get(""),
            ),
            shaping=options.shaping,
            max_upload={name: rate for name, rate in options.max_upload if name},
            max_download={name: rate for name, rate in options.max_download if name},
            nat=options.nat,
            proxy=options.proxy,
            transports=websockets(options),
            **_find_peers(options),
        )
        _check_relays(plan)
        trio.run(_until_signal, plan, news, streams)
    streams.check()


def _check_relays(plan: Plan) -> None:
    """Failure where a node is to listen or call through relays, and has not the capability for it."""
    named = [*plan.listen, *(address for record in (*plan.peers, *plan.trusted) for address in record.addresses[:1])]
    relayed = [address for address in named if address.is_relayed]
    if relayed and not any(capability.name == relayed[0].scheme for capability in plan.capabilities):
        raise Failure(f"{relayed[0]} leads through a relay, and that takes relay/1: add --capability relay")


def _open_served(options: argparse.Namespace, stack: contextlib.ExitStack) -> "Served | None":
    if options.network is None and options.chain is None:
        return None
    from devp2p.cli.networks import open_served  # noqa: PLC0415  (other nodes need not wait for it)

    return open_served(options.network, options.chain, stack)


def _warn_of_output(error: OSError) -> None:
    warn(f"{cannot_write(error)}; the node goes on, and what it would print is lost until it can")


async def _until_signal(plan: Plan, news: News, streams: Outlets) -> None:
    """Run the node until a signal, or until nobody reads its output any more."""
    with told_to_end() as told:
        await serve(plan, news, partial(streams.wait_end, told))


async def serve(plan: Plan, news: News, until: Callable[[], Awaitable[object]]) -> None:
    """Run a node until `until` returns, telling what happens; `Failure` if it cannot listen."""
    summaries = Summaries(news)
    await run_until(until, partial(_serve, plan, summaries))
    summaries.stopped()


async def _serve(plan: Plan, news: Summaries, ending: Ending) -> None:
    async with contextlib.AsyncExitStack() as afterwards:
        metrics_sockets = await _listen_for_metrics(plan, afterwards)
        try:
            async with open_node(
                plan.key,
                plan.capabilities,
                listen=plan.listen,
                static_peers=plan.peers,
                trusted_peers=plan.trusted,
                slots=plan.slots,
                shaping=plan.shaping,
                max_upload=plan.max_upload,
                max_download=plan.max_download,
                max_peers=plan.max_peers,
                client_id=plan.client_id,
                dpx=plan.dpx,
                reveal_key=plan.reveal_key,
                introductions=plan.introductions,
                limits=plan.limits,
                bootnodes=plan.bootnodes,
                dns_trees=plan.dns_trees,
                discovery=plan.discovery,
                book=plan.book,
                nat=plan.nat,
                proxy=plan.proxy,
                extra_transports=plan.transports,
            ) as node:
                events = node.events()
                afterwards.push_async_callback(_follow, events, news)  # how the sessions end when the node does
                async with trio.open_nursery() as nursery:
                    ending.scope = nursery.cancel_scope  # so that the node ends in order, and its peers are told
                    news.started(node, plan.capabilities, await _serve_metrics(nursery, node, metrics_sockets, plan))
                    nursery.start_soon(news.run)
                    nursery.start_soon(_follow, events, news)
                    nursery.start_soon(_tell_slots, node, plan.slots_every, news)
                    nursery.start_soon(_tell_nat, node, news)
                    await trio.sleep_forever()
        except OSError as error:  # what comes out of the block itself is in a group
            raise _cannot_start(error, plan.listen) from None
        except BookError as error:
            raise Failure(str(error), Exit.FAILED) from None
        except (ValueError, LocalProtocolError) as error:  # of arguments that do not fit each other, or the capabilities
            raise Failure(str(error)) from None


def _cannot_start(error: OSError, listen: Sequence[Address]) -> Failure:
    where = str(error.filename or " or ".join(map(str, listen)))
    if "://" not in where:  # a file that is needed, when there may be no more open ones
        return Failure(f"the node cannot start: {explain(error)}: {where}", Exit.FAILED)
    failed = [address for address in listen if str(address) == where] or listen
    hint = "--listen names another address" + (", and port 0 any free one" if any(address.port is not None for address in failed) else "")
    return Failure(f"cannot listen at {where}: {explain(error)}; {hint}", Exit.FAILED)


async def _listen_for_metrics(plan: Plan, afterwards: contextlib.AsyncExitStack) -> list[socket.socket]:
    """Listen where metrics are to be served, if anywhere; `Failure` if that is impossible."""
    if plan.metrics is None:
        return []
    from devp2p import metrics  # noqa: PLC0415  (it needs a library that is an extra)

    try:
        listeners = await metrics.listen(plan.metrics)
    except OSError as error:
        where = plan.metrics.where
        raise Failure(f"cannot serve metrics at {where}: {explain(error)}; --metrics names another address", Exit.FAILED) from None
    for listener in listeners:
        afterwards.enter_context(listener)
    return listeners


async def _serve_metrics(nursery: trio.Nursery, node: Node, listeners: list[socket.socket], plan: Plan) -> list[str]:
    """Begin to serve them there; return the URLs."""
    if not listeners:
        return []
    from devp2p import metrics  # noqa: PLC0415  (as above)

    names = plan.metrics_names if plan.metrics is None else (plan.metrics.host, *plan.metrics_names)
    await nursery.start(partial(metrics.serve, node, listeners, names=names))
    return [metrics.url_of(listener) for listener in listeners]


async def _tell_slots(node: Node, every: float, news: News) -> None:
    while True:
        await trio.sleep(every)
        news.slots(node)


async def _tell_nat(node: Node, news: News) -> None:
    while True:
        await node.nat_changed()
        news.nat(node)


async def _follow(events: Subscription, news: News) -> None:
    async for event in events:
        news.happened(event)
