"""Resumption of sessions in a node (dpx/1, section 7): the clock that it goes by, and who hears of trust that is lost."""

import logging
import time

from devp2p.node.events import TrustRemoved
from devp2p.node.roster import Roster
from devp2p.wire.dpx import Resumption, TrustLost

_logger = logging.getLogger(__name__)


def new_resumption(roster: Roster) -> Resumption:
    """What a node keeps of its peers' sessions, in memory. Its clock is the system's, as what is kept may outlive us."""

    def lost(found: TrustLost) -> None:
        _logger.warning("%s is trusted no more: %s; %s", found.remote.node_id.hex()[:16], found.failure.value, found.action.value)
        roster.publish(TrustRemoved(found.remote, found.failure.value, found.action.value))

    resumption = Resumption(time.time)
    resumption.on_loss = lost
    return resumption
