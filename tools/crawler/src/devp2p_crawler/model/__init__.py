"""What a crawl writes down: visits to nodes, sightings of them, their records; and what follows from all that for each node (pure)."""

from devp2p_crawler.model.batches import Batch
from devp2p_crawler.model.crawls import MONITORS, Crawl, uuid7
from devp2p_crawler.model.networks import Networks, OptOut, parse_network
from devp2p_crawler.model.nodes import KnownNode, Sighting, SignedRecord
from devp2p_crawler.model.silence import Silence
from devp2p_crawler.model.snapshots import RTT_BOUNDS, Recall, Snapshot
from devp2p_crawler.model.visits import Kind, Outcome, Said, Visit

__all__ = [
    "MONITORS",
    "RTT_BOUNDS",
    "Batch",
    "Crawl",
    "Kind",
    "KnownNode",
    "Networks",
    "OptOut",
    "Outcome",
    "Recall",
    "Said",
    "Sighting",
    "SignedRecord",
    "Silence",
    "Snapshot",
    "Visit",
    "parse_network",
    "uuid7",
]
