"""How a node behind a NAT is reached: mappings of its router by PCP, NAT-PMP and UPnP, and its external address by STUN.

`settings` reads what the user wants, `keeper` does it for as long as a node runs. `pcp`, `pmp`, `ssdp`, `epoch` and `leases` are pure: what
is asked and answered, and when; `routers`, `upnp` and `stun` ask. Nothing that a router says is believed just so: see THREATS.md. All but
the settings is imported when it is asked for.
"""

from typing import TYPE_CHECKING

from devp2p.deferred import deferred
from devp2p.nat.settings import METHODS, NatSettings, is_believable, nat_of

if TYPE_CHECKING:
    from devp2p.nat.gateway import Gateway, gateways
    from devp2p.nat.keeper import NatKeeper, NatStatus, find_router
    from devp2p.nat.leases import Grant, Leases, NatError, Wanted, judged
    from devp2p.nat.routers import Router
    from devp2p.nat.stun import SERVERS, ask, ask_several
else:
    __getattr__ = deferred(
        __name__,
        {
            "Gateway": "gateway",
            "Grant": "leases",
            "Leases": "leases",
            "NatError": "leases",
            "NatKeeper": "keeper",
            "NatStatus": "keeper",
            "Router": "routers",
            "SERVERS": "stun",
            "Wanted": "leases",
            "ask": "stun",
            "ask_several": "stun",
            "find_router": "keeper",
            "gateways": "gateway",
            "judged": "leases",
        },
    )

__all__ = [
    "METHODS",
    "SERVERS",
    "Gateway",
    "Grant",
    "Leases",
    "NatError",
    "NatKeeper",
    "NatSettings",
    "NatStatus",
    "Router",
    "Wanted",
    "ask",
    "ask_several",
    "find_router",
    "gateways",
    "is_believable",
    "judged",
    "nat_of",
]
