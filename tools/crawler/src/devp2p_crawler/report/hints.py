"""The section on nodes that may not be what they seem."""

from typing import Final

from devp2p_crawler.analysis import Hint, SybilLimits
from devp2p_crawler.figures import Findings
from devp2p_crawler.report.tables import Cell, Column, Section, Table, label, left_out, number

_LIMITS: Final = SybilLimits()
MEANINGS: Final = {
    Hint.MANY_AT_ADDRESS: f"More than {_LIMITS.nodes_at_address} nodes at an address. Also NAT, a test network, or a liar's inventions.",
    Hint.MANY_IN_SUBNET: f"More than {_LIMITS.nodes_in_subnet} nodes in an IPv4 /24 or IPv6 /64. Also any data centre.",
    Hint.MANY_ADDRESSES: f"More than {_LIMITS.addresses} addresses for one key. Also a node that moves, or of which others tell lies.",
    Hint.SEQUENCE_JUMPED: f"Its record's number rose by more than {_LIMITS.jump:,} at once. Also a client that counts in a way of its own.",
    Hint.SEQUENCE_FELL: "An older record than before came. Also a node that was set up again, or a teller with an old copy.",
    Hint.CLUSTERED: f"At least {_LIMITS.cluster} node-IDs so near to each other as chance has them in {_LIMITS.chance:.1%} of networks.",
}
"""What each hint is, and what innocent causes it has."""


def hints_section(findings: Findings) -> Section:
    """What is odd. Everybody with a hint is counted in all other sections like anybody else."""
    found = findings.oddities
    paragraphs = [
        (
            f"{len(found.flagged):,} of {findings.headline.found:,} nodes have one hint or more, {found.alive:,} of them alive. A hint"
            " is a reason to look closer and proves nothing: each has innocent causes. No node is left out of any figure for one."
            " Others can say of a node that it is anywhere, so a node may be flagged through no doing of its own; and whoever has"
            " addresses enough is not flagged at all."
        )
    ]
    tables = [
        Table(
            "hints-table",
            "Hints, and what they mean",
            (
                Column("Hint"),
                Column("Nodes", is_number=True),
                Column("Alive", is_number=True),
                Column("What it is, and what else it may be"),
            ),
            [[label(one.hint.value), number(one.nodes), number(one.alive), label(MEANINGS[one.hint])] for one in found.hints],
            is_wide=True,
        ),
        Table(
            "crowds-table",
            "Places with many nodes",
            (Column("Address or network"), Column("Nodes", is_number=True, sorted="descending")),
            [[Cell(crowd.place, is_code=True), number(crowd.nodes)] for crowd in found.crowds],
            left_out(len(found.crowds), found.crowds_in_all, "places"),
        ),
        Table(
            "clusters-table",
            "Clusters of node-IDs",
            (Column("First node-ID"), Column("Bits in common", is_number=True), Column("Nodes", is_number=True, sorted="descending")),
            [[Cell(f"{one.first.hex()[:16]}…", is_code=True), number(one.bits), number(one.nodes)] for one in found.clusters],
            left_out(len(found.clusters), found.clusters_in_all, "clusters"),
        ),
    ]
    shown = [table for table in tables if table.rows] if found.flagged else []
    return Section("hints", "Hints", "Nodes that may not be what they seem", paragraphs, tables=shown, empty="No node has a hint.")
