"""What is written at once."""

from dataclasses import dataclass, field

from devp2p_crawler.model.crawls import Crawl
from devp2p_crawler.model.nodes import Sighting, SignedRecord
from devp2p_crawler.model.visits import Visit


@dataclass(slots=True)
class Batch:
    """Rows that belong together: a sink writes all of them, or none. To write one twice changes nothing."""

    crawls: list[Crawl] = field(default_factory=list[Crawl])
    sightings: list[Sighting] = field(default_factory=list[Sighting])
    records: list[SignedRecord] = field(default_factory=list[SignedRecord])
    visits: list[Visit] = field(default_factory=list[Visit])
    due: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """Node-ID -> when it is to be visited next, in microseconds since 1970: the frontier, by which a crawl is resumed."""

    def __len__(self) -> int:
        return len(self.crawls) + len(self.sightings) + len(self.records) + len(self.visits) + len(self.due)
