"""punch/1: relayed sessions go on over a direct link, through the NATs of both sides (docs/spec/punch1.md).

`Punch` is the capability; a node has it beside `devp2p.capabilities.relay.Relay`. Nothing above notices but by ``peer.link``.

- messages:   what goes over the wire
- limits:     how often, and to how many addresses
- targets:    which addresses are told to peers, and which of theirs are tried
- holes:      TCP connections from the port at which the node listens
- rounds:     one attempt, of either side
- capability: `Punch`
"""

from devp2p.capabilities.punch.capability import Punch
from devp2p.capabilities.punch.limits import PunchLimits

__all__ = ["Punch", "PunchLimits"]
