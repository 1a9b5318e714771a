"""snap/1 and snap/2: the state of recent blocks, in ranges that prove themselves (caps/snap.md of ethereum/devp2p).

    async with open_node(key, [*eth(chain), *snap(chain, state)], ...) as node:
        async for peer in node.peers(Snap):
            page = await peer[Snap].account_range(header.state_root)
            storage = await peer[Snap].storage_ranges(header.state_root, page.accounts)

`snap` makes the capabilities, over one `State`, or None where a node only asks; ``peer[Snap]`` is a `SnapPeer`. `walk_accounts` and
`walk_slots` go through all that there is, with one peer or several.
"""

from devp2p.capabilities.snap.capability import Snap, Snap1, Snap2, snap
from devp2p.capabilities.snap.checking import AccountPage, StoragePage
from devp2p.capabilities.snap.peer import SnapPeer
from devp2p.capabilities.snap.walking import StateUnavailableError, Walk, walk_accounts, walk_slots

__all__ = [
    "AccountPage",
    "Snap",
    "Snap1",
    "Snap2",
    "SnapPeer",
    "StateUnavailableError",
    "StoragePage",
    "Walk",
    "snap",
    "walk_accounts",
    "walk_slots",
]
