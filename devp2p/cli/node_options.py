"""The options of ``devp2p node``: what they are called, and what they mean. `node` makes a plan of them."""

import argparse

from devp2p.cli import plugins, websockets
from devp2p.records import PRESETS
from devp2p.terminal import (
    add_proxy,
    bandwidth,
    client_id,
    count,
    discovery_node,
    external_address,
    host_name,
    listen_address,
    metrics_address,
    nat_settings,
    node_record,
    seconds,
    shaping,
    slots,
)
from devp2p.transports import DEFAULT_LISTEN, known_schemes
from devp2p.version import default_client_id
from devp2p.wire.dpx import Shaping

_LEVELS = ("debug", "info", "warning", "error")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of the command."""
    _configure_identity(parser)
    _configure_dpx(parser)
    _configure_peers(parser)
    _configure_discovery(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object for each event, one a line")
    output.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        type=metrics_address,
        help="serve Prometheus metrics by HTTP at this address; a PORT alone is one of 127.0.0.1. Anyone who can reach it can read them",
    )
    output.add_argument(
        "--metrics-name",
        metavar="NAME",
        action="append",
        type=host_name,
        default=[],
        help="a name of this machine under which metrics may be read; its IP addresses, localhost and its own host name always may be",
    )
    output.add_argument(
        "--log-level",
        metavar="LEVEL",
        choices=_LEVELS,
        default="warning",
        help=f"what to log to stderr: {', '.join(_LEVELS)} (default: warning)",
    )


def _configure_identity(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("identity")
    group.add_argument(
        "--capability",
        metavar="NAME",
        action="append",
        default=[],
        help="run this capability: module:Class, imported as Python would do it in this directory (or module:function, which makes one or "
        "several), or the name of an installed plugin "
        f"(entry-point group {plugins.GROUP}); at least one, unless there is a chain, and several by repeating it",
    )
    group.add_argument(
        "--chain",
        metavar="DB",
        help="the chain to serve, from a file of `devp2p chain import`: eth runs over it, and snap if it has the state of a recent block",
    )
    group.add_argument("--key", metavar="FILE", help="the node's key, see `devp2p key generate` (default: a new one for this run)")
    group.add_argument("--client-id", metavar="TEXT", type=client_id, help=f"what it calls itself (default: {default_client_id()})")


def _configure_dpx(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("dpx/1", "What is offered to peers that speak dpx/1; see docs/qos.md.")
    group.add_argument("--no-dpx", action="store_true", help="speak stock RLPx with every peer, and do not offer dpx/1")
    group.add_argument(
        "--shaping",
        metavar="KIND",
        type=shaping,
        default=Shaping(),
        help="hide the sizes and times of what is sent to peers that speak dpx/1: off (the default), buckets, cells[:CELL], "
        "paced:RATE[:CELL] or constant:RATE[-MOST][:CELL], with rates in bytes a second such as 20K; see docs/shaping.md",
    )
    group.add_argument(
        "--reveal-key", action="store_true", help="tell the node's key to whoever asks, as `devp2p ping tcp://HOST:PORT` does"
    )
    group.add_argument(
        "--introductions",
        choices=["none", "known", "any"],
        default="none",
        help="whom peers that it knows well may introduce to it: nobody (the default), those whom they know, or also those who were "
        "introduced to them",
    )


def _configure_peers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("peers")
    group.add_argument(
        "--listen",
        metavar="ADDR",
        action="append",
        type=listen_address,
        help="listen here: HOST:PORT, tcp://HOST:PORT, where HOST * is every interface and PORT 0 any free one, or unix:///PATH, or "
        f"another transport's scheme ({', '.join(sorted(known_schemes()))}); can be repeated, and those over TCP may share a port "
        f"(default: {DEFAULT_LISTEN}, IPv4 and IPv6)",
    )
    websockets.add_serving(group)
    websockets.add_authorities(group)
    group.add_argument(
        "--peer",
        metavar="ENODE",
        action="append",
        type=node_record,
        default=[],
        help="stay connected to this node (enode://, enr:, or SCHEME://KEY@HOST:PORT for another transport); can be repeated",
    )
    group.add_argument(
        "--max-peers",
        metavar="N",
        type=count,
        default=50,
        help="how many peers to have at most, except that a --peer or --trusted node is always let in (default: 50)",
    )
    group.add_argument(
        "--trusted", metavar="ENODE", action="append", type=node_record, default=[], help="always let this node in; can be repeated"
    )
    group.add_argument(
        "--limit-local-addresses",
        action="store_true",
        help="hold private and loopback addresses to the limits for those of the internet, too: for a node that strangers reach through a "
        "proxy or NAT that hides their addresses. Each such address, and all callers of a Unix socket together, may then connect "
        "once in 28 s",
    )
    group.add_argument(
        "--slots",
        metavar="NAME=N",
        action="append",
        type=slots,
        default=[],
        help="how many peers a capability is to have, chosen by their ratings (default: what the capability says); can be repeated",
    )
    of_one = "with NAME= of this capability only (default: what the line takes); can be repeated"
    for option, text in (
        ("--max-upload", f"how many bytes a second to send to all peers together, such as 2M or 500K; {of_one}"),
        ("--max-download", f"how many bytes a second to receive from all peers together; {of_one}"),
    ):
        group.add_argument(option, metavar="[NAME=]RATE", action="append", type=bandwidth, default=[], help=text)
    group.add_argument(
        "--slots-every",
        metavar="SECONDS",
        type=seconds,
        default=60.0,
        help="how often to show which peers fill the slots, how they are rated, and why they are kept (default: 60)",
    )


def _configure_discovery(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("discovery")
    group.add_argument(
        "--bootnode",
        metavar="ENODE",
        action="append",
        type=discovery_node,
        default=[],
        help="begin to look for peers at this node (enode:// or enr:); can be repeated",
    )
    group.add_argument(
        "--network",
        metavar="NAME|GENESIS.json",
        help=f"the network to be in: {', '.join(sorted(PRESETS))}, whose bootnodes and DNS node list say where to find nodes, or another's "
        "genesis file. Without --capability, eth runs over its first block",
    )
    group.add_argument(
        "--external",
        metavar="IP",
        action="append",
        type=external_address,
        default=[],
        help="where others reach this node (default: found out)",
    )
    group.add_argument(
        "--nat",
        metavar="HOW",
        type=nat_settings,
        help="how to be reached through a router: any (the default, as in go-ethereum, but for --proxy), upnp, pmp or pcp has it forward "
        "the ports of this node; stun, stun:HOST[:PORT] or extip:IP says where it is; or none. See `devp2p nat`",
    )
    add_proxy(
        group.add_argument,
        "; discovery, --nat and other listeners than those at 127.0.0.1 or [::1] would go past it, so there are none, and nodes are"
        " named by --peer",
    )
    group.add_argument("--book", metavar="FILE", help="keep what is found of nodes here, and begin with it the next time")
    group.add_argument("--no-discovery", action="store_true", help="neither look for peers, nor let others find this node")
