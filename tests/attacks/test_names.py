"""Row F14 of THREATS.md: strangers' texts in logs, terminals, JSON and HTML (CVE-2022-29177 was a name that brought a logger down).

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Capability, Channel, NodeRecord, Peer, RemoteProtocolError, rlp
from devp2p.cli import ping as ping_command
from devp2p.cli.news import JsonNews, TextNews
from devp2p.terminal.log import LogFormatter
from devp2p.testing import ScriptedPeer
from devp2p.wire.base import Hello
from tests.network import MIDDLE, Network, running
from tools import svg
from tools.show import plot

BRING = "2026-01-01 00:00:00 ERROR devp2p.node: forged"
NAMES = {
    "colours and the cursor": "\x1b[2J\x1b[31mGeth\x1b]0;title\x07",
    "one of eight bits": "\x9b2J\x9d0;title\x9c",
    "another line": f"Geth\n{BRING}",
    "another line by a return": f"Geth\r\n{BRING}",
    "a line to those who split by Unicode": f"Geth\u2028{BRING}\u2029\x85\x0b\x0c",
    "back over what was there": "Geth\b\b\b\b\r",
    "from right to left": "Geth\u202e\u2066dlrow\u200f",
    "of no width": "Ge\u200bth\ufeff\u00ad",
    "no text": "\ud800\udfff",
    "null": "Geth\0",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;'\"",
    "markup of terminals": "[bold red]x[/] [link=http://example.org]y[/link]",
    "formats": "%s%s%n{0.__class__}{}%(asctime)s",
    "a formula": "=cmd|' /C calc'!A0",
    "long": "x" * 1900,
    "JSON": '", "event": "stopped"}\n{',
}


@dataclass(frozen=True)
class Word:
    text: str

    def __post_init__(self) -> None:
        if self.text.startswith("no "):
            raise ValueError(f"that is no word: {self.text}")  # quotes what came, as one does


class Words(Capability[Word]):
    """Complains of what it gets, in each way that there is."""

    name, version = "words", 1
    messages = {0: Word}

    async def run(self, peer: Peer, channel: Channel[Word]) -> None:
        async for message in channel:
            channel.conduct.invalid(4, f"it said {message.text}")
            match message.text[0]:
                case "b":
                    raise RemoteProtocolError(f"{peer} said {message.text}")
                case "r":
                    raise RuntimeError(f"{peer} said {message.text}")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that the library logs, from DEBUG up, as ``devp2p node`` writes it."""
    yield from logged(LogFormatter())


@pytest.fixture
def naive_log() -> Iterator[io.StringIO]:
    """The same, as logging writes it by itself."""
    yield from logged(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))


def logged(formatter: logging.Formatter) -> Iterator[io.StringIO]:
    text, root = io.StringIO(), logging.getLogger("devp2p")
    handler = logging.StreamHandler(text)
    handler.setFormatter(formatter)
    handler.handleError = not_even_that  # type: ignore[method-assign]
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def not_even_that(record: logging.LogRecord) -> None:
    raise AssertionError(f"{record.msg} cannot be logged")


async def visit(name: str, words: list[str]) -> tuple[str, str]:
    """Meet a node under a name and say words, each in a session of its own: what it tells as text and as JSON."""
    network, told, text, lines = Network(), [], io.StringIO(), io.StringIO()
    async with running(network, capabilities=[Words()], strict=False) as node:
        events = node.events()
        for word in words:
            peer = await ScriptedPeer.dial(network, node.record, [Words()])
            peer.hello = replace(peer.hello, client_id=name)
            await peer.begin()
            await wait_all_tasks_blocked()
            await peer.send(0x10, rlp.encode([word.encode("utf-8", "replace")]))
            await peer.receive_disconnect()
            await peer.stream.send_eof()
            await wait_all_tasks_blocked()
        for news in (TextNews(text), JsonNews(lines)):
            news.slots(node)
    async for event in events:
        told.append(event)
        for news in (TextNews(text), JsonNews(lines)):
            news.happened(event)
    assert len(told) >= 3 * len(words)
    return text.getvalue(), lines.getvalue()


def is_harmless(output: str) -> bool:
    """Whether some lines have nothing in them that a terminal would not just show."""
    return all(line.isprintable() for line in output.split("\n"))


def forged(output: str) -> list[str]:
    """Lines of a log that nobody wrote."""
    return [line for line in re.split("[\n\r\u2028\u2029\x85\x0b\x0c]", output) if line.startswith(BRING)]


WAYS = ("b", "r", "no ")


@pytest.mark.parametrize("name", NAMES)
async def test_f14_a_name_and_what_is_said_stay_text_wherever_they_are_told(name, log):
    text, lines = await visit(NAMES[name], [way + NAMES[name] for way in WAYS])
    for output in (text, lines, log.getvalue()):
        assert output
        assert is_harmless(output)
        assert not forged(output)
    for line in lines.splitlines():
        assert json.loads(line)["event"] != "stopped"
    assert all(re.match(r"\d\d:\d\d:\d\d  |  |[a-z]", line) for line in text.splitlines())
    assert all(re.match(r"20\d\d-\d\d-\d\d \d\d:|  ", line) for line in log.getvalue().splitlines())
    assert max(map(len, text.splitlines())) < 6000


async def test_f14_a_complaint_is_one_line_in_any_log(naive_log):
    await visit("Geth", [f"b\n{BRING}", f"no \n{BRING}"])
    assert "broke the rules" in naive_log.getvalue()
    assert not forged(naive_log.getvalue())


async def test_f14_control_a_plain_logger_writes_the_forged_line(naive_log):
    await visit("Geth", [f"r\n{BRING}"])
    assert forged(naive_log.getvalue())
    assert not is_harmless(naive_log.getvalue().replace("\n", "\x85"))


async def test_f14_a_complaint_and_a_reason_hold_little_of_what_they_quote():
    network = Network()
    async with running(network, capabilities=[Words()], strict=False) as node:
        for way in ("b", "no "):
            peer = await ScriptedPeer.dial(network, node.record, [Words()])
            await peer.begin()
            await wait_all_tasks_blocked()
            remote = node.roster.get(peer.key.public_key)
            assert remote is not None
            await peer.send(0x10, rlp.encode([way + "x" * 900_000]))
            await peer.receive_disconnect()
            await peer.stream.send_eof()
            assert len(str(await remote.wait_ended())) < 1000
            assert len(remote.conduct(Words).why) <= 200


@pytest.mark.parametrize("name", NAMES)
def test_f14_the_answer_to_a_ping_is_shown_as_text(name, capsys):
    address = Address("tcp", "127.0.0.1", 30303)
    record = NodeRecord(MIDDLE.public_key, (address,))
    answer = ping_command.Answer(record, address, hello=Hello(NAMES[name], (), MIDDLE.public_key))
    ping_command._write(answer)
    shown = capsys.readouterr().out
    assert is_harmless(shown)
    assert "client" in shown
    assert json.dumps(ping_command._as_json(answer)).isprintable()


# The page that the show writes: what go-ethereum calls itself may get into it.


def page(monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    """The tables and a line of the picture, where a name is in both."""
    monkeypatch.setattr(plot, "summary_rows", lambda _: [("go-ethereum", f"takes part, found by discovery: {name}")])
    summary: dict[str, Any] = {"observers": [{"name": name, "service_share_of_best": 1.0, "peers": {}, **dict.fromkeys(plot._FIGURES, 0)}]}
    return plot._page(cast("Any", SimpleNamespace(nodes={})), summary, svg.text(0, 0, name))


@pytest.mark.parametrize("name", NAMES)
def test_f14_a_page_shows_a_name_as_text(name, monkeypatch):
    empty = page(monkeypatch, "")
    assert page(monkeypatch, NAMES[name]).count("<") == empty.count("<")
    assert page(monkeypatch, NAMES[name]).count('"') == empty.count('"')


def test_f14_control_without_escapes_a_name_runs_in_the_browser(monkeypatch):
    for writer in (plot, svg):
        monkeypatch.setattr(writer, "escape", str)
    assert page(monkeypatch, NAMES["markup"]).count("<script>") == 3
