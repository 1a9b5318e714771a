"""devp2p-crawler: map a devp2p network.

It finds nodes by discovery v4 and v5, asks each what it is, and writes every visit down. Everything here is built on the public names of
the library: `devp2p`, `devp2p.rlp`, `devp2p.terminal` and `devp2p.capabilities`. The floors, lowest first:

    model                                what a visit is, and what is known of a node
    analysis                             pure: estimates, sessions, clients, forks
    filters frontier                     pure: which nodes; who is visited when
    places                               where addresses are, by files that the user has
    stores                               where it is written: SQLite, PostgreSQL, ClickHouse
    figures                              what a store says in sum, counted by SQL
    visiting                             one visit to one node, by each protocol
    crawling                             all of it at once: a crawl as it runs
    exports report screen serving        what others get of it
    cli                                  the command devp2p-crawl
"""

__version__ = "0.1.0.dev0"
__all__ = ["__version__"]
