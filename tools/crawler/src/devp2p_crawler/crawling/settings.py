"""What a crawl is told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from devp2p import Address, NodeRecord, PrivateKey
from devp2p_crawler import __version__
from devp2p_crawler.frontier import Politeness

LONGEST_CONTACT: Final = 100
_MOST_AT_ONCE: Final = 10_000

Refusal: TypeAlias = Callable[[bytes, bytes], str | None]
"""(node-ID, address of 4 or 16 bytes, or empty) -> why this one is not visited, such as "opt-out"; None if it may be."""


def visit_all(_node: bytes, _ip: bytes) -> str | None:
    """Refuse nobody."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlSettings:
    """One run of the crawler. ValueError says what is wrong with what cannot be."""

    key: PrivateKey = field(repr=False)
    """Who we are."""
    contact: str = ""
    """Where those who are visited find out who does this: a URL or an address of mail, in the client name."""
    vantage: str = "local"
    """The name of the place from which we look."""
    bootnodes: tuple[NodeRecord, ...] = ()
    dns_trees: tuple[str, ...] = ()
    """Node lists in DNS, ``enrtree://...``."""
    versions: tuple[int, ...] = (4, 5)
    """Of discovery."""
    udp_listen: Address = field(default_factory=lambda: Address("udp", "*", 0))
    """Where we send from, and are asked by UDP."""
    tcp_listen: Address | None = None
    """Where we take calls by TCP, such as ``tcp://*:30303``: it is how nodes behind NAT are seen. None: nowhere."""
    dial: bool = True
    """Whether nodes that answered by UDP are called by TCP."""
    network: str | None = None
    """Whose Status of eth we show, such as "mainnet". None: one of no network, to which nodes still answer with theirs."""
    duration: float | None = None
    """Seconds after which it ends, whatever is left; None: when nobody is left to visit, and with `monitor` never."""
    monitor: bool = False
    """Whether nodes are visited again and again."""
    concurrency: int = 4000
    """The most visits by UDP that may be under way at a time; how many there are adapts itself, from 64 on."""
    dials: int = 500
    """The most visits by TCP that may be under way at a time."""
    politeness: Politeness = field(default_factory=Politeness)
    unwanted: Refusal = visit_all
    """Asked before each visit, and so free to change its mind; it is where the opt-out list comes in."""
    resume: bytes | None = None
    """The id of the crawl that goes on: rows get that id, counts go on from those of its row, and the frontier of the store is kept."""
    strict: bool = False
    """Let a visit that fails in a way that was not foreseen end the crawl, as tests want it."""
    told: str = "{}"
    """What is kept of the settings with the crawl, as JSON."""

    def __post_init__(self) -> None:
        """Refuse what makes no crawl."""
        if not self.versions or not set(self.versions) <= {4, 5}:
            raise ValueError(f"versions of a crawl are 4, 5 or both, not {', '.join(map(str, self.versions)) or 'none'}")
        if self.duration is not None and not self.duration > 0:
            raise ValueError(f"duration of a crawl is greater than 0 seconds, not {self.duration}")
        for name in ("concurrency", "dials"):
            if not 1 <= getattr(self, name) <= _MOST_AT_ONCE:
                raise ValueError(f"{name} of a crawl is from 1 to {_MOST_AT_ONCE}, not {getattr(self, name)}")
        if len(self.contact) > LONGEST_CONTACT or not self.contact.isprintable():
            raise ValueError(f"contact is a URL or an address of mail, of at most {LONGEST_CONTACT} characters, not {self.contact[:120]!r}")
        if not self.vantage or len(self.vantage) > LONGEST_CONTACT or not self.vantage.isprintable():
            raise ValueError(f"vantage is a short name such as 'local', not {self.vantage[:120]!r}")

    @property
    def program(self) -> str:
        """What we call ourselves in rows: ``devp2p-crawler/0.1.0``."""
        return f"devp2p-crawler/{__version__}"

    @property
    def client_name(self) -> str:
        """What we call ourselves in our Hello, with the contact."""
        return f"{self.program} (+{self.contact})" if self.contact else self.program
