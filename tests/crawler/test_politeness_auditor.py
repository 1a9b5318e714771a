"""The auditor finds what an impolite crawler does, and nothing where all is in order."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from tools.crawler.simulated.auditor import BURST, JITTER, LONG, MOST_A_MINUTE, Auditor

HOST, OTHER = b"\x7f\0\0\1", b"\x7f\0\0\2"
TIMES = st.lists(st.floats(0, 200), max_size=120).map(sorted)


def bucket_overflows(times: list[float], slack: float) -> bool:
    """Whether in some span more came than may: by definition, over all spans, where the auditor counts tokens."""
    return any(
        last - first + 1 > BURST + slack + (times[last] - times[first]) for first in range(len(times)) for last in range(first, len(times))
    )


@given(TIMES)
def test_packets_are_too_many_exactly_where_a_span_has_too_many(times: list[float]):
    auditor = Auditor()
    for now in times:
        auditor.datagram(now, HOST, None)
    crowded = max((index + 1 - bisect_left(times, now - 60 + JITTER) for index, now in enumerate(times)), default=0)
    if bucket_overflows(times, JITTER + 1e-6) or crowded > MOST_A_MINUTE:
        assert auditor.counts["packets"]
    elif not bucket_overflows(times, JITTER - 1e-6):
        assert not auditor.counts


def test_a_polite_crawler_is_left_alone():
    auditor = Auditor()
    for number in range(BURST):
        auditor.datagram(0.0, HOST, 1)
        auditor.datagram(0.001 * number, OTHER, number % 3)
    for second in range(1, 40):
        auditor.datagram(second - 0.4, HOST, 1)  # the machine was busy, the rate is one a second all the same
    auditor.connection(1.0, HOST, 1)
    auditor.connection(1.0 + LONG, HOST, 1)
    assert not auditor.counts
    assert not auditor.findings


def test_an_impolite_crawler_is_found_by_each_rule():
    auditor = Auditor()
    for _ in range(BURST + 1):
        auditor.datagram(0.0, HOST, 1)
    assert auditor.counts == {"packets": 1}
    auditor = Auditor()
    auditor.connection(0.0, HOST, 1)
    auditor.connection(598.0, HOST, 1)
    assert auditor.counts == {"dials": 1}
    auditor = Auditor()
    for second in range(4):
        auditor.connection(float(second), HOST, second % 2 if second < 3 else 2)
    assert auditor.counts["connections"] == 1
    auditor = Auditor()
    for node in range(4):
        auditor.datagram(float(node * 100), HOST, node)
    assert auditor.counts == {"nodes": 1}
    assert "127.0.0.1" in str(auditor.findings[0])


@given(st.lists(st.tuples(st.floats(0, 3000), st.integers(0, 5)), max_size=60).map(sorted))
def test_connections_and_nodes_are_counted_in_every_ten_minutes(events: list[tuple[float, int]]):
    auditor = Auditor()
    for now, node in events:
        auditor.connection(now, HOST, node)
    spans = [[node for when, node in events[: index + 1] if now - when <= LONG - JITTER] for index, (now, _) in enumerate(events)]
    assert auditor.counts["connections"] == sum(len(span) > 3 for span in spans)
    assert auditor.counts["dials"] == sum(span.count(span[-1]) > 1 for span in spans)
    assert bool(auditor.counts["nodes"]) == any(len(set(span)) > 3 for span in spans)
