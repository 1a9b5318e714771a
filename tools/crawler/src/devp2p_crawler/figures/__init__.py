"""What a file of crawls says in sum: counted by SQL over the tables of stores/schema.sql, for the report and for what serves it live."""

from devp2p_crawler.figures.findings import (
    Clients,
    Difference,
    Errors,
    Findings,
    ForkGroup,
    Headline,
    Lifetimes,
    Moment,
    Network,
    Overlap,
    Places,
    Rtts,
    Run,
    Share,
    System,
)
from devp2p_crawler.figures.gathering import gather

__all__ = [
    "Clients",
    "Difference",
    "Errors",
    "Findings",
    "ForkGroup",
    "Headline",
    "Lifetimes",
    "Moment",
    "Network",
    "Overlap",
    "Places",
    "Rtts",
    "Run",
    "Share",
    "System",
    "gather",
]
