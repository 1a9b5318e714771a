"""Which nodes: go-ethereum's filters under their names, and ours (pure). A filter judges one `Described` node."""

from devp2p_crawler.filters import geth, ours
from devp2p_crawler.filters.described import Described
from devp2p_crawler.filters.dns_list import RULES, Chosen, ListRules, choose
from devp2p_crawler.filters.durations import parse_duration
from devp2p_crawler.filters.forks import Upgrade, network_named, parse_fork_hash, parse_upgrade
from devp2p_crawler.filters.geth import YEAR_ONE, Filter, best
from devp2p_crawler.filters.versions import client_of, parse_versions, version_of

__all__ = [
    "RULES",
    "YEAR_ONE",
    "Chosen",
    "Described",
    "Filter",
    "ListRules",
    "Upgrade",
    "best",
    "choose",
    "client_of",
    "geth",
    "network_named",
    "ours",
    "parse_duration",
    "parse_fork_hash",
    "parse_upgrade",
    "parse_versions",
    "version_of",
]
