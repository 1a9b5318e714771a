"""What a file of crawls says in sum: counted by SQL over the tables of stores/schema.sql, for the report and for what serves it live."""

from devp2p_crawler.figures.findings import (
    Clients,
    Cluster,
    Crowd,
    Difference,
    Errors,
    Findings,
    ForkGroup,
    Headline,
    HintCount,
    Lifetimes,
    Moment,
    Network,
    Oddities,
    Overlap,
    Places,
    Rtts,
    Run,
    Share,
    System,
)
from devp2p_crawler.figures.gathering import gather
from devp2p_crawler.figures.oddities import oddities

__all__ = [
    "Clients",
    "Cluster",
    "Crowd",
    "Difference",
    "Errors",
    "Findings",
    "ForkGroup",
    "Headline",
    "HintCount",
    "Lifetimes",
    "Moment",
    "Network",
    "Oddities",
    "Overlap",
    "Places",
    "Rtts",
    "Run",
    "Share",
    "System",
    "gather",
    "oddities",
]
