"""All figures at one moment of a file."""

import sqlite3
from collections.abc import Mapping

from devp2p_crawler.figures.findings import Errors, Findings, Headline, Run
from devp2p_crawler.figures.oddities import oddities
from devp2p_crawler.figures.places import places
from devp2p_crawler.figures.runs import difference, newest_runs, overlap
from devp2p_crawler.figures.said import capabilities, clients, networks
from devp2p_crawler.figures.times import growth, lifetimes, rtts
from devp2p_crawler.model import Kind, Outcome
from devp2p_crawler.places import Places


def gather(connection: sqlite3.Connection, files: Places | None = None) -> Findings:
    """What the file behind `connection` says, as it stands now: a crawl that goes on writing changes nothing underway.

    `files` say where addresses are; without them that is left out.

    Raises:
        sqlite3.Error: the file cannot be read, or is no file of crawls.
        PlacesError: one of `files` is damaged.
    """
    connection.execute("BEGIN")  # all that follows sees the file as the first query finds it
    try:
        return _gather(connection, files)
    finally:
        connection.rollback()


def _gather(connection: sqlite3.Connection, files: Places | None) -> Findings:
    runs, runs_in_all = newest_runs(connection)
    as_of, since = _bounds(connection)
    said = clients(connection)
    chains, chains_in_all, forks = networks(connection, as_of)
    shared, capabilities_in_all = capabilities(connection)
    return Findings(
        as_of=as_of,
        since=since,
        headline=_headline(connection, runs),
        runs=runs,
        runs_in_all=runs_in_all,
        growth=growth(connection, as_of),
        clients=said,
        networks=chains,
        networks_in_all=chains_in_all,
        forks=forks,
        capabilities=shared,
        capabilities_in_all=capabilities_in_all,
        rtts=rtts(connection),
        errors=_errors(connection),
        lifetimes=lifetimes(connection),
        overlap=overlap(connection),
        oddities=oddities(connection),
        places=None if files is None else places(connection, files),
        difference=difference(connection, runs),
    )


def _bounds(connection: sqlite3.Connection) -> tuple[int, int]:
    """The newest and the oldest time of the file; 0 and 0 if it is empty."""
    newest, oldest = connection.execute("""
        SELECT max(coalesce((SELECT max(updated) FROM crawl), 0), coalesce((SELECT max(last_at) FROM standing), 0),
                   coalesce((SELECT max(last) FROM sighting), 0)),
               min(coalesce((SELECT min(first) FROM sighting), 9223372036854775807),
                   coalesce((SELECT min(first_visit) FROM node), 9223372036854775807))
    """).fetchone()
    return newest, min(oldest, newest)


def _headline(connection: sqlite3.Connection, runs: tuple[Run, ...]) -> Headline:
    (found,) = connection.execute("SELECT count(*) FROM node").fetchone()
    visited, alive, hellos, statuses = connection.execute("""
        SELECT count(*), coalesce(sum(ok), 0), coalesce(sum(hello), 0), coalesce(sum(status), 0) FROM (
            SELECT max(ok IS NOT NULL) AS ok, max(hello IS NOT NULL) AS hello, max(status IS NOT NULL) AS status FROM standing GROUP BY node
        )
    """).fetchone()
    (visits,) = connection.execute("SELECT coalesce(sum(visits), 0) FROM hourly").fetchone()
    told = next((run for run in runs if run.recall is not None), None)
    return Headline(
        found=found,
        visited=visited,
        alive=alive,
        hellos=hellos,
        statuses=statuses,
        visits=visits,
        recall=told.recall if told else None,
        recall_run=told,
    )


def _errors(connection: sqlite3.Connection) -> Errors:
    counts: Mapping[tuple[int, int], int] = {
        (kind, outcome): visits
        for kind, outcome, visits in connection.execute("SELECT kind, outcome, sum(visits) FROM hourly GROUP BY kind, outcome")
    }
    table = sorted(((Kind(kind), Outcome(outcome), visits) for (kind, outcome), visits in counts.items()), key=lambda row: -row[2])
    sums = {outcome: sum(visits for _, other, visits in table if other is outcome) for outcome in Outcome if not outcome.is_alive}
    by_outcome = sorted(((outcome, visits) for outcome, visits in sums.items() if visits), key=lambda row: -row[1])
    return Errors(by_outcome=tuple(by_outcome), table=tuple(table))
