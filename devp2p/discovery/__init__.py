"""Node discovery: how nodes find each other over UDP and DNS.

The protocols are sans-IO: bytes, addresses and ``now`` go in; datagrams and events come out. `table` is the Kademlia table and the search
in it, `v4` and `v5` are Node Discovery v4 and v5.1, `dns` the node lists of EIP-1459. `open_discovery` drives them: one task and one UDP
socket. What is here is imported when it is asked for.
"""

from typing import TYPE_CHECKING

from devp2p.deferred import deferred

if TYPE_CHECKING:
    from devp2p.discovery.awaited import Pinged
    from devp2p.discovery.candidates import Candidate, Filter
    from devp2p.discovery.events import AddressChanged, ClockDoubtful, Ended, Event, LookupDone, PingResult, Pong, RecordFound
    from devp2p.discovery.finding import Candidates
    from devp2p.discovery.limits import DiscoveryLimits
    from devp2p.discovery.opening import open_discovery
    from devp2p.discovery.protocol import Protocol
    from devp2p.discovery.service import Discovery
    from devp2p.discovery.settings import VERSIONS, check_versions, parse_external, parse_externals, udp_address
    from devp2p.discovery.statistics import Statistics
else:
    __getattr__ = deferred(
        __name__,
        {
            "AddressChanged": "events",
            "Candidate": "candidates",
            "Candidates": "finding",
            "ClockDoubtful": "events",
            "Discovery": "service",
            "DiscoveryLimits": "limits",
            "Ended": "events",
            "Event": "events",
            "Filter": "candidates",
            "LookupDone": "events",
            "PingResult": "events",
            "Pinged": "awaited",
            "Pong": "events",
            "Protocol": "protocol",
            "RecordFound": "events",
            "Statistics": "statistics",
            "VERSIONS": "settings",
            "check_versions": "settings",
            "open_discovery": "opening",
            "parse_external": "settings",
            "parse_externals": "settings",
            "udp_address": "settings",
        },
    )

__all__ = [
    "VERSIONS",
    "AddressChanged",
    "Candidate",
    "Candidates",
    "ClockDoubtful",
    "Discovery",
    "DiscoveryLimits",
    "Ended",
    "Event",
    "Filter",
    "LookupDone",
    "PingResult",
    "Pinged",
    "Pong",
    "Protocol",
    "RecordFound",
    "Statistics",
    "check_versions",
    "open_discovery",
    "parse_external",
    "parse_externals",
    "udp_address",
]
