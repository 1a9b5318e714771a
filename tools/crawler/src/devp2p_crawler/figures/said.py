"""What nodes say of themselves in Hello and Status; of each node the latest."""

import json
import sqlite3
from collections import Counter
from typing import Final

from devp2p.capabilities.ethereum.networks import NETWORKS
from devp2p_crawler.analysis import Readiness, parse_client, standing
from devp2p_crawler.figures.findings import Clients, ForkGroup, Network, Share

_MOST_ROWS: Final = 100
_MOST_SAMPLES: Final = 50
_LATEST: Final = "SELECT {what}, max({what}_at) FROM standing WHERE {what} IS NOT NULL GROUP BY node"


def clients(connection: sqlite3.Connection) -> Clients:
    """The clients, and their versions, by the names in Hellos."""
    names, versions, systems, unparsed = Counter[str](), Counter[tuple[str, str]](), Counter[str](), Counter[str]()
    for name, nodes in connection.execute(f"""
        SELECT name, count(*) FROM ({_LATEST.format(what="hello")}) JOIN visit ON visit.no = hello JOIN client ON client.no = visit.client
        GROUP BY client.no
    """):  # noqa: S608  (a constant)
        client = parse_client(name)
        if client is None:
            unparsed[name] += nodes
            continue
        names[client.name] += nodes
        versions[client.name, client.version or ""] += nodes
        if client.system:
            systems[client.system] += nodes
    return Clients(
        names=shares(names, _MOST_ROWS),
        versions=tuple((name, version, nodes) for (name, version), nodes in versions.most_common(_MOST_ROWS)),
        versions_in_all=len(versions),
        systems=shares(systems, _MOST_ROWS),
        unparsed=unparsed.total(),
        unparsed_names=len(unparsed),
        samples=shares(unparsed, _MOST_SAMPLES),
    )


def capabilities(connection: sqlite3.Connection) -> tuple[tuple[Share, ...], int]:
    """The capabilities in Hellos, the most frequent first, and how many different ones there are."""
    counts = Counter[str]()
    for listed, nodes in connection.execute(f"""
        SELECT capabilities, count(*) FROM ({_LATEST.format(what="hello")}) JOIN visit ON visit.no = hello
        JOIN capset ON capset.no = visit.capset GROUP BY capset.no
    """):  # noqa: S608  (a constant)
        for capability in {str(each) for each in json.loads(listed)}:
            counts[capability] += nodes
    return shares(counts, _MOST_ROWS), len(counts)


def networks(connection: sqlite3.Connection, as_of: int) -> tuple[tuple[Network, ...], int, tuple[ForkGroup, ...]]:
    """The chains in Status messages, the most frequent first; how many different ones there are; and their fork ids."""
    groups = list[ForkGroup]()
    chains = dict[tuple[int, bytes, str | None], Counter[Readiness]]()
    for network_id, genesis, fork_hash, fork_next, nodes in connection.execute(f"""
        SELECT coalesce(network_id, 0), coalesce(genesis, x''), coalesce(fork_hash, x''), coalesce(fork_next, 0), count(*)
        FROM ({_LATEST.format(what="status")}) JOIN visit ON visit.no = status GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC
    """):  # noqa: S608  (a constant)
        number, announced = unsigned(network_id), unsigned(fork_next)
        judged = standing(fork_hash=fork_hash, fork_next=announced, at=as_of // 1_000_000, network_id=number, genesis=genesis)
        chains.setdefault((number, genesis, judged.network), Counter())[judged.readiness] += nodes
        if len(groups) < _MOST_ROWS:
            groups.append(
                ForkGroup(
                    network_id=number,
                    name=judged.network,
                    fork_hash=fork_hash,
                    fork_next=announced,
                    passed=judged.passed,
                    announced=_upgrade_at(judged.network, announced),
                    readiness=judged.readiness,
                    nodes=nodes,
                )
            )
    found = [
        Network(network_id=number, genesis=genesis, name=name, nodes=counts.total(), readiness=dict(counts))
        for (number, genesis, name), counts in chains.items()
    ]
    found.sort(key=lambda network: (-network.nodes, network.network_id, network.genesis))
    return tuple(found[:_MOST_ROWS]), len(found), tuple(groups)


def _upgrade_at(name: str | None, place: int) -> str | None:
    """The name of the upgrade of a network that comes at a block or time."""
    if name is None or name not in NETWORKS or not place:
        return None
    return next((upgrade for upgrade, known in NETWORKS[name].upgrades.items() if known == place), None)


def shares(counts: Counter[str], most: int) -> tuple[Share, ...]:
    """The most frequent ones; of equals the first in the alphabet."""
    return tuple(Share(name=name, nodes=nodes) for name, nodes in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most])


def unsigned(stored: int) -> int:
    """A number as strangers sent it, of SQLite's signed one."""
    return stored % 2**64
