"""A network of simulated nodes over real UDP and TCP on loopback addresses, on which the crawler is measured.

    population    who is there, and what each is like; what liars make up
    tables        Kademlia tables by go-ethereum's rules, as they are in a network that has run for long
    v4 v5 lies    what nodes answer
    calls clients    what they do when they are dialled, and say of themselves
    sockets       one port of all loopback addresses
    ledger auditor    who was asked what, and whether that was polite
    network       all of it as it runs
    client        one in a process of its own, for tests and benchmarks

``python -m tools.crawler.simulated`` runs one by itself, and `running` one for a test or a benchmark, in a process of its own.
"""

from tools.crawler.simulated.client import Simulated, running

__all__ = ["Simulated", "running"]
