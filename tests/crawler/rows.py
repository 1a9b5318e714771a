"""Rows of crawls for tests: by hand with as little to write as possible, at random by Hypothesis, and as a known stream."""

import random
from collections.abc import Iterator
from functools import lru_cache

from devp2p_crawler.model import Batch, Crawl, Kind, Outcome, Said, Sighting, SignedRecord, Visit
from hypothesis import strategies as st

BEGIN = 1_700_000_000_000_000
"""A time in microseconds since 1970."""
HOSTILE = (
    "'; DROP TABLE visit; --",
    '"); DELETE FROM node; --',
    "Robert\\'); --",
    "nul\0within",
    "lone \ud800 surrogate \udfff",
    "\u202eright to left\u202c \u2028 line",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "\x1b[2J\x07",
    "%s {0} $1 ? :name",
    "\U0001f980 \u00e9 e\u0301 \ufffd \ufeff",
    "",
    " ",
    "a" * 256,
)


@lru_cache(1000)
def node_id(number: int) -> bytes:
    return random.Random(number).randbytes(32)


def public_key(node: bytes) -> bytes:
    return node[::-1] + node


def crawl(number: int = 1, *, vantage: str = "local", updated: int = BEGIN, ended: int | None = None) -> Crawl:
    return Crawl(
        id=number.to_bytes(16, "big"),
        vantage=vantage,
        started=BEGIN,
        updated=updated,
        ended=ended,
        program="devp2p-crawler/test",
        settings="{}",
        counters="{}",
    )


def visit(node: int = 1, at: float = 0, outcome: Outcome = Outcome.OK, *, kind: Kind = Kind.V4, of: int = 1, **more) -> Visit:
    """A visit to a node (its number) that began `at` seconds and took a tenth of one, by the crawl `of`."""
    began = BEGIN + round(at * 1_000_000)
    where = {"ip": bytes([192, 0, 2, 1]), "port": 30303}
    return Visit(
        **{
            "crawl": of.to_bytes(16, "big"),
            "node": node_id(node),
            "kind": kind,
            "began": began,
            "ended": began + 100_000,
            "outcome": outcome,
            **where,
            **more,
        }
    )


def sighting(node: int = 1, at: float = 0, last: float | None = None, *, vantage: str = "local", ip: bytes = bytes(4), **ports) -> Sighting:
    first = BEGIN + round(at * 1_000_000)
    until = first if last is None else BEGIN + round(last * 1_000_000)
    return Sighting(
        node=node_id(node),
        public_key=public_key(node_id(node)),
        vantage=vantage,
        ip=ip,
        udp=ports.get("udp", 30303),
        tcp=ports.get("tcp", 30303),
        first=first,
        last=until,
    )


def record(node: int = 1, sequence: int = 1, *, seen: int = BEGIN, raw: bytes = b"\xc0") -> SignedRecord:
    return SignedRecord(node=node_id(node), sequence=sequence, raw=raw, seen=seen)


def stream(seed: int, crawls: int = 1) -> Iterator[Batch]:
    """Batches without end, the same for the same seed: each has sightings, records, visits and due times of some of 500 nodes."""
    chance = random.Random(seed)
    clock = BEGIN
    yield Batch(crawls=[crawl(number + 1, vantage=f"place {number + 1}") for number in range(crawls)])
    while True:
        batch = Batch()
        for _ in range(chance.randint(1, 60)):
            clock += chance.randint(1, 20_000)
            number, kind = chance.randint(1, 500), chance.choice([*Kind])
            outcome = chance.choice([Outcome.OK, *Outcome])
            said = Said(client=f"Geth/v{chance.randint(1, 40)}", capabilities=("eth/69",)) if kind >= 3 and outcome.is_alive else None
            began = (clock - BEGIN) / 1_000_000
            batch.visits.append(visit(number, began, outcome, kind=kind, of=chance.randint(1, crawls), said=said))
            batch.sightings.append(sighting(number, began, ip=bytes([10, 0, number >> 8, number & 255])))
            batch.due[node_id(number)] = clock + 600_000_000
            if chance.random() < 0.2:
                batch.records.append(record(number, chance.randint(1, 9), seen=clock))
        yield batch


# By Hypothesis: few nodes, crawls and moments, so that rows meet.

_TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=20)
_U64 = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
_MOMENTS = st.integers(BEGIN, BEGIN + 4)
_NODES = st.integers(1, 3).map(node_id)
_ADDRESSES = st.sampled_from([b"", bytes(4), bytes([192, 0, 2, 1]), bytes(16), b"\x20\x01" + bytes(14)])
_PORTS = st.sampled_from([0, 1, 30303, 65535])
_CRAWLS = st.integers(1, 3)
_SAID = st.builds(
    Said,
    client=st.none() | _TEXTS,
    capabilities=st.lists(_TEXTS, max_size=3).map(tuple),
    listen_port=st.none() | _U64,
    eth_version=st.none() | _U64,
    network_id=st.none() | _U64,
    genesis=st.none() | st.binary(min_size=32, max_size=32),
    fork_hash=st.none() | st.binary(min_size=4, max_size=4),
    fork_next=st.none() | _U64,
    head=st.none() | st.binary(min_size=32, max_size=32),
    head_number=st.none() | _U64,
    reason=st.none() | st.integers(0, 255),
)


@st.composite
def visits(draw) -> Visit:
    """Visits of which two with the same name are the same, as the model wants it: all else follows from the name and one choice of ten."""
    node, kind, began, number = draw(_NODES), draw(st.sampled_from(Kind)), draw(_MOMENTS), draw(_CRAWLS)
    chance = random.Random(f"{node.hex()} {kind} {began} {number}")
    outcome = chance.choice([*Outcome])
    said = chance.choice(
        [None, Said(), Said(reason=4), Said(client="Geth/v1", capabilities=("eth/69",)), Said(client="reth", eth_version=69, network_id=1)]
    )
    return Visit(
        crawl=number.to_bytes(16, "big"),
        node=node,
        kind=kind,
        began=began,
        ended=began + chance.randint(-1, 2),  # also back in time, as clocks go
        outcome=outcome,
        ip=chance.choice([b"", bytes(4), bytes(16)]),
        port=chance.choice([0, 30303, 30304]),
        rtt=chance.choice([None, 1, 2]),
        said=said,
    )


SAID = _SAID
BATCHES = st.builds(
    Batch,
    crawls=st.lists(
        st.builds(
            lambda number, updated, ended, counters: Crawl(
                id=number.to_bytes(16, "big"),
                vantage=f"place {number % 2}",
                started=BEGIN,
                updated=updated,
                ended=ended,
                program="p",
                settings="{}",
                counters=counters,
            ),
            _CRAWLS,
            _MOMENTS,
            st.none() | _MOMENTS,
            st.sampled_from(["{}", '{"a":1}']),
        ),
        max_size=2,
    ),
    sightings=st.lists(
        st.builds(
            lambda node, place, ip, udp, tcp, first, last: Sighting(
                node=node,
                public_key=public_key(node),
                vantage=f"place {place}",
                ip=ip,
                udp=udp,
                tcp=tcp,
                first=min(first, last),
                last=max(first, last),
            ),
            _NODES,
            st.integers(0, 1),
            _ADDRESSES,
            _PORTS,
            _PORTS,
            _MOMENTS,
            _MOMENTS,
        ),
        max_size=4,
    ),
    records=st.lists(st.builds(SignedRecord, node=_NODES, sequence=_U64, raw=st.binary(max_size=3), seen=_MOMENTS), max_size=3),
    visits=st.lists(visits(), max_size=12),
    due=st.dictionaries(_NODES, _MOMENTS, max_size=2),
)
