"""nat/1: whether others reach this node, by peers that call it back (docs/spec/nat1.md).

`Nat` is the capability; `Nat.reachability` is what is known, and relays and hole punching go by it. A peer calls back from a new port, by
a key that only the two of them know: whoever comes with it proves that the address works.

- messages:   what goes over the wire
- limits:     what a node does for others
- verdict:    `Verdict`, `Reachability`: what follows from what servers say (pure)
- serving:    the side that calls back
- capability: `Nat`
"""

from devp2p.capabilities.nat.capability import Nat
from devp2p.capabilities.nat.limits import NatLimits
from devp2p.capabilities.nat.verdict import Reachability, Verdict

__all__ = ["Nat", "NatLimits", "Reachability", "Verdict"]
