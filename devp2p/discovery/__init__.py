"""Node discovery: how nodes find each other over UDP and DNS.

The protocols are sans-IO: bytes, addresses and ``now`` go in; datagrams and events come out. `table` is the Kademlia table and the search
in it, `v4` and `v5` are Node Discovery v4 and v5.1, `dns` the node lists of EIP-1459. `open_discovery` drives them: one task and one UDP
socket. What is here is imported when it is asked for.
"""

from typing import TYPE_CHECKING

from devp2p.deferred import deferred

if TYPE_CHECKING:
    from devp2p.discovery.candidates import Candidate
    from devp2p.discovery.own_record import parse_external, parse_externals
    from devp2p.discovery.service import Discovery, DiscoveryLimits, open_discovery
    from devp2p.discovery.settings import VERSIONS, check_versions, udp_address
else:
    __getattr__ = deferred(
        __name__,
        {
            "VERSIONS": "settings",
            "Candidate": "candidates",
            "Discovery": "service",
            "DiscoveryLimits": "service",
            "check_versions": "settings",
            "open_discovery": "service",
            "parse_external": "own_record",
            "parse_externals": "own_record",
            "udp_address": "settings",
        },
    )

__all__ = [
    "VERSIONS",
    "Candidate",
    "Discovery",
    "DiscoveryLimits",
    "check_versions",
    "open_discovery",
    "parse_external",
    "parse_externals",
    "udp_address",
]
