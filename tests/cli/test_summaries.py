"""Few words for many events: what is told, what is counted, and that nothing is told by halves."""

import io
import json
import logging
import time
from collections import Counter
from typing import Any

import trio

from devp2p import Address, DisconnectReason, PeerDisconnected, PeerDropped, PeerRefused, PrivateKey, open_node
from devp2p.cli.news import JsonNews, TextNews
from devp2p.cli.summaries import EVERY, Summaries
from devp2p.errors import DecodingError, HandshakeError, RemoteProtocolError
from devp2p.terminal.log import Repetitions
from devp2p.testing import MemoryTransport
from tests.chat import Chat

WHERE = Address("tcp", "203.0.113.5", 40000)


def told(file: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.getvalue().splitlines()]


async def test_each_kind_of_refusal_is_told_a_few_times_and_then_counted():
    file = io.StringIO()
    news = Summaries(JsonNews(file))
    errors = [
        HandshakeError("bad"),
        DecodingError("worse"),
        RemoteProtocolError("late"),
        PeerDisconnected(DisconnectReason.TOO_MANY_PEERS, by_remote=False),
        PeerDisconnected(DisconnectReason.TOO_MANY_PEERS, by_remote=True),
        *(PeerDisconnected(number, by_remote=True) for number in range(0x42, 0x62)),  # made up, and therefore one kind
    ]
    for error in errors * 10:
        news.happened(PeerRefused(WHERE, error))
    assert len(told(file)) == 6 * 5
    news.sum_up()
    last = told(file)[-1]
    assert last["event"] == "left_out"
    assert last["counts"] == {
        "refused: bad handshake": 5,
        "refused: bad message": 5,
        "refused: other": 5,
        "refused: peer: too many peers": 5,
        "refused: peer: unknown reason": 32 * 10 - 5,
        "refused: we: too many peers": 5,
    }
    news.sum_up()
    assert told(file)[-1] == last, "nothing is left out, and nothing said"


async def test_after_a_minute_the_next_is_told_again():
    file = io.StringIO()
    news = Summaries(TextNews(file))
    for _ in range(7):
        news.happened(PeerRefused(WHERE, HandshakeError("bad")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(news.run)
        await trio.sleep(EVERY + 1)
        news.happened(PeerRefused(WHERE, HandshakeError("bad")))
        nursery.cancel_scope.cancel()
    lines = [line.partition("  ")[2] for line in file.getvalue().splitlines()]
    assert lines[5] == "not shown   in the last 60 s: 2 x refused: bad handshake"
    assert lines[6] == lines[0]
    assert len(lines) == 7


async def test_a_session_is_told_whole_or_not_at_all():
    file, network = io.StringIO(), MemoryTransport()
    news = Summaries(JsonNews(file))
    async with open_node(PrivateKey.generate(), [Chat()], listen=["memory://node"], transports=[network]) as node:
        events = node.events()
        for _ in range(150):
            async with open_node(PrivateKey.generate(), [Chat()], transports=[network]) as visitor:
                await visitor.connect(node.record)
            while not isinstance(event := await anext(events), PeerDropped):
                news.happened(event)
            news.happened(event)
    news.sum_up()
    kinds = Counter(one["event"] for one in told(file))
    assert 100 <= kinds["connected"] < 150
    assert kinds["ready"] == kinds["dropped"] == kinds["connected"]
    counts = told(file)[-1]["counts"]
    assert counts["connected"] == counts["dropped"] == 150 - kinds["connected"]


def test_a_warning_that_strangers_repeat_is_logged_a_few_times_and_counted(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    file = io.StringIO()
    handler = logging.StreamHandler(file)
    handler.addFilter(Repetitions())
    logger = logging.Logger("stranger")  # noqa: LOG001  (nobody else has it)
    logger.addHandler(handler)

    def warn(number: int) -> None:
        logger.warning("it came from %d", number)

    for number in range(1000):
        warn(number)
        logger.info("%d by wish", number)
    logger.warning("another")
    now = 61.0
    warn(7)
    lines = [line for line in file.getvalue().splitlines() if "wish" not in line]
    assert lines == [
        *(f"it came from {number}" for number in range(10)),
        "another",
        "it came from 7 (990 more of this kind were not logged)",
    ]
    assert file.getvalue().count("wish") == 1000
