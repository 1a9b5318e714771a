"""What a node acts with: made by `open_node`, and used by `Node`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from devp2p.node.forwarding import Forwarding
from devp2p.transports import Carriers

if TYPE_CHECKING:  # imported when a node is opened
    from devp2p.node.dialer import Dialer
    from devp2p.node.door import Door
    from devp2p.node.introducing import Introducing
    from devp2p.node.steering import Steering


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one node."""

    carriers: Carriers
    door: "Door"
    dialer: "Dialer"
    steering: "Steering"
    introducing: "Introducing"
    nursery: trio.Nursery
    forwarding: Forwarding | None
