"""A node run by the command: what it tells, how it ends, and what it refuses to begin."""

import io
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from devp2p import Address, DialError, DisconnectReason, NodeRecord, PrivateKey, open_node
from devp2p.cli import main, plugins
from devp2p.cli.news import JsonNews, News, TextNews
from devp2p.cli.node import Plan, serve
from devp2p.terminal.output import Exit, Failure
from tests.chat import Chat
from tests.cli.processes import PATIENCE, closed_port, running_node, write_secret

KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()
ANY_PORT = (Address("tcp", "127.0.0.1", 0),)


@pytest.mark.real_clock
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_a_process_from_its_first_line_to_its_clean_end(signum):
    async with running_node("--capability", "examples.chat:Chat", "--client-id", "a node") as program:
        listening = await program.event("listening")
        assert list(listening)[:2] == ["event", "enode"]
        record = NodeRecord.parse(listening["enode"])
        assert listening["id"] == record.id.hex()
        assert listening["public_key"] == bytes(record.public_key).hex()
        assert listening["addresses"] == [str(record.addresses[0])]
        assert listening["capabilities"] == ["chat/1"]
        async with open_node(KEY, [Chat()]) as node:
            peer = await node.connect(record)
            assert peer.client_id == "a node"
            await program.event("ready")
            status, errors = await program.end(signum)
            with trio.fail_after(PATIENCE):
                ending = await peer.wait_ended()
        assert (ending.reason, ending.by_remote) == (DisconnectReason.CLIENT_QUITTING, True)
        assert (await program.event("dropped"))["by_remote"] is False
        await program.event("stopped")
    assert (status, errors) == (0, "")


@pytest.mark.real_clock
async def test_two_processes_meet_and_what_a_capability_prints_stays_out_of_the_json(tmp_path):
    write_secret(tmp_path / "key", bytes(KEY).hex())
    one = running_node("--capability", "examples.chat:Chat", "--key", str(tmp_path / "key"), "--client-id", "one")
    async with one as first:
        enode = (await first.event("listening"))["enode"]
        assert NodeRecord.parse(enode).public_key == KEY.public_key
        async with running_node("--capability", "examples.chat:Chat", "--peer", enode, "--client-id", "two") as second:
            connected = await second.event("connected")
            assert (connected["client"], connected["inbound"], connected["capabilities"]) == ("one", False, ["chat/1"])
            connected = await first.event("connected")
            assert (connected["client"], connected["inbound"], connected["capabilities"]) == ("two", True, ["chat/1"])
            await first.event("ready")
            await second.event("ready")
            assert (await second.end(signal.SIGTERM))[0] == 0
        assert (await first.event("dropped"))["reason_text"] == "client quitting (0x08)"
        assert await first.end(signal.SIGTERM) == (0, "two: hello\n")


@pytest.mark.real_clock
async def test_a_node_whose_reader_leaves_ends_quietly_at_its_next_line():
    async with running_node("--capability", "tests.chat:Chat") as program:
        enode = (await program.event("listening"))["enode"]
        assert program.process.stdout is not None
        await program.process.stdout.aclose()
        async with open_node(KEY, [Chat()]) as node:
            peer = await node.connect(enode)
            with trio.fail_after(PATIENCE):
                await peer.wait_ended()
                assert await program.ended() == (141, "")


# What is told


class Output(io.StringIO):
    """What was written; it can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._news = trio.lowlevel.ParkingLot()

    def write(self, text: str) -> int:
        written = super().write(text)
        self._news.unpark_all()
        return written

    async def has(self, text: str) -> None:
        """Wait until something has been written."""
        with trio.fail_after(PATIENCE):
            while text not in self.getvalue():
                await self._news.park()


@asynccontextmanager
async def serving(kind: type[JsonNews] | type[TextNews], **options: Any) -> AsyncIterator[tuple[Output, list[str], NodeRecord]]:
    """Run what the command runs: gives what it writes, the same in lines once it has ended, and the node."""
    output, lines, over = Output(), list[str](), trio.Event()
    key = options.setdefault("key", OTHER)
    plan = Plan(**{"capabilities": (Chat(),), "listen": ANY_PORT, **options})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, plan, kind(output), over.wait)
        await output.has("listening")
        port = re.search(r"@127\.0\.0\.1:(\d+)", output.getvalue())
        assert port is not None
        yield output, lines, NodeRecord(key.public_key, (Address("tcp", "127.0.0.1", int(port[1])),))
        over.set()
    lines += output.getvalue().splitlines()


@pytest.mark.real_clock
async def test_json_has_an_object_for_each_event():
    async with serving(JsonNews) as (output, lines, record), open_node(KEY, [Chat()], client_id="\x1b[31mfriend") as friend:
        peer = await friend.connect(record)
        await output.has('"ready"')
        peer.disconnect(DisconnectReason.USELESS_PEER)
        await output.has('"dropped"')
        async with open_node(KEY, []) as stranger:
            with pytest.raises(Exception, match="useless peer"):
                await stranger.connect(record)
        await output.has('"refused"')
        stream = await trio.open_tcp_stream("127.0.0.1", record.addresses[0].port or 0)
        await stream.send_all(bytes(1000))
        await output.has("a handshake packet of 0 bytes")
        await stream.aclose()
    objects = [json.loads(line) for line in lines]
    names = {"public_key": bytes(KEY.public_key).hex(), "id": KEY.public_key.node_id.hex()}
    assert all(isinstance(told.pop("time"), float) for told in objects)
    listening, connected, ready, dropped, refused, failed, stopped = objects
    assert listening == {
        "event": "listening",
        "enode": record.enode,
        "id": record.id.hex(),
        "public_key": bytes(record.public_key).hex(),
        "addresses": [str(record.addresses[0])],
        "capabilities": ["chat/1"],
    }
    address = connected.pop("address")
    assert address.startswith("tcp://127.0.0.1:")
    session = connected.pop("session")
    assert (session["protocol"], session["mode"], session["trust"]) == ("dpx/1", "plain", "stranger")
    assert connected == {"event": "connected", **names, "client": "\\x1b[31mfriend", "capabilities": ["chat/1"], "inbound": True}
    assert ready == {"event": "ready", **names, "capability": "chat/1"}
    assert 0 <= dropped.pop("seconds") < PATIENCE
    assert dropped == {"event": "dropped", **names, "reason": 3, "reason_text": "useless peer (0x03)", "by_remote": True, "detail": ""}
    assert refused.pop("address") != address
    assert refused == {
        "event": "refused",
        "reason": 3,
        "reason_text": "useless peer (0x03)",
        "error": "we ended the session: useless peer (0x03): no capability is shared",
    }
    assert (failed["event"], failed["reason"], failed["reason_text"]) == ("refused", None, None)  # no side said why
    assert stopped == {"event": "stopped"}


@pytest.mark.real_clock
async def test_text_has_a_line_for_each_event():
    async with serving(TextNews) as (output, lines, record), open_node(KEY, [Chat()], client_id="\x1b[31mfriend") as friend:
        peer = await friend.connect(record)
        await output.has("ready ")
        peer.disconnect(DisconnectReason.USELESS_PEER)
        await output.has("dropped ")
        stream = await trio.open_tcp_stream("127.0.0.1", record.addresses[0].port or 0)
        await stream.send_all(bytes(1000))
        await output.has("refused ")
        await stream.aclose()
    short = KEY.public_key.node_id.hex()[:16]
    wanted = [
        r"running    chat/1",
        rf"listening  {record.addresses[0]}",
        rf"enode      {record.enode}",
        r"Ctrl-C ends it\.",
        rf"T  connected   {short}  chat/1 with \\x1b\[31mfriend from tcp://127\.0\.0\.1:\d+ by dpx/1 \(.+\)",
        rf"T  ready       {short}  chat/1",
        rf"T  dropped     {short}  after \d+\.\d s, peer ended the session: useless peer \(0x03\)",
        r"T  refused     tcp://127\.0\.0\.1:\d+  a handshake packet of 0 bytes, where \d+ to 2048 are allowed",
    ]
    assert len(lines) == len(wanted)
    for line, pattern in zip(lines, wanted, strict=True):
        assert re.fullmatch(pattern.replace("T ", r"\d\d:\d\d:\d\d ", 1) if pattern.startswith("T ") else pattern, line)


@pytest.mark.real_clock
@pytest.mark.parametrize("kind", [JsonNews, TextNews])
async def test_a_peer_that_cannot_be_dialled_is_told_with_the_time_of_the_next_attempt(kind):
    where = closed_port()
    absent = NodeRecord.parse(f"enode://{bytes(KEY.public_key).hex()}@{where}")
    async with serving(kind, peers=(absent,)) as (output, lines, _):
        await output.has(where)
    line = next(line for line in lines if where in line)
    if kind is JsonNews:
        shown = json.loads(line)
        assert (shown["event"], shown["enode"], shown["reason"]) == ("dial_failed", absent.enode, None)
        assert 0 < shown["retry"] < 60
        assert where in shown["error"]
    else:
        assert f"no session  {absent.id.hex()[:16]}  tcp://{where}: " in line
        assert line.endswith("; next attempt in 2 s")


@pytest.mark.real_clock
async def test_a_peer_that_the_node_dials_is_at_its_address():
    async with open_node(KEY, [Chat()], listen=["tcp://127.0.0.1:0"]) as other:
        async with serving(TextNews, peers=(other.record,), max_peers=0) as (output, lines, _):
            await output.has("ready ")
        assert sum(f" at {other.addresses[0]}" in line for line in lines) == 1
        assert lines[-1].endswith(", we ended the session: client quitting (0x08)")  # what happens last is told, too


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["*", "0.0.0.0"])  # noqa: S104  (a moment long, and for a node that nobody knows)
async def test_text_says_what_a_wildcard_means_for_the_enode(host):
    async with serving(TextNews, listen=(Address("tcp", host, 0),)) as (_, lines, _):
        pass
    assert "(from other machines, with this one's address instead of 127.0.0.1)" in lines[3]


@pytest.mark.real_clock
async def test_a_process_serves_prometheus_metrics_where_it_says():
    async with running_node("--capability", "tests.chat:Chat", "--metrics", "0") as program:
        listening = await program.event("listening")
        (url,) = listening["metrics"]
        port = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/metrics", url)
        assert port is not None
        async with open_node(KEY, [Chat()]) as node:
            await node.connect(listening["enode"])
            await program.event("ready")
            async with await trio.open_tcp_stream("127.0.0.1", int(port[1])) as stream:
                await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = b"".join([data async for data in stream]).decode()
        assert 'devp2p_sessions{direction="inbound"} 1.0\n' in answer
        assert await program.end(signal.SIGTERM) == (0, "")


@pytest.mark.real_clock
async def test_a_process_has_the_names_that_it_is_given_and_limits_local_addresses_if_told_to():
    argv = ["--capability", "tests.chat:Chat", "--metrics", "0", "--metrics-name", "node.example", "--limit-local-addresses"]
    async with running_node(*argv) as program:
        listening = await program.event("listening")
        port = int(listening["metrics"][0].rpartition(":")[2].partition("/")[0])
        for name, status in (("node.example:1", b"200"), ("evil.example", b"403")):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(f"GET /metrics HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                assert (await stream.receive_some()).split()[1] == status
        async with open_node(KEY, [Chat()]) as node, open_node(OTHER, [Chat()]) as other:
            await node.connect(listening["enode"])
            with pytest.raises(DialError):
                await other.connect(listening["enode"])
        assert "came again after" in (await program.event("refused"))["error"]
        assert await program.end(signal.SIGTERM) == (0, "")


@pytest.mark.real_clock
async def test_text_says_where_the_metrics_are():
    async with serving(TextNews, metrics=ANY_PORT[0]) as (_, lines, _):
        pass
    assert [line for line in lines if re.fullmatch(r"metrics    http://127\.0\.0\.1:\d+/metrics", line)]


# What does not begin


@pytest.mark.real_clock
async def test_an_address_for_metrics_that_is_in_use_is_told_before_anything_begins():
    output = io.StringIO()
    async with open_node(KEY, [Chat()], listen=["tcp://127.0.0.1:0"]) as node:
        with pytest.raises(Failure) as caught:
            await serve(
                Plan(key=OTHER, capabilities=(Chat(),), listen=ANY_PORT, metrics=node.addresses[0]), TextNews(output), trio.sleep_forever
            )
    where = str(node.addresses[0]).removeprefix("tcp://")
    assert str(caught.value) == f"cannot serve metrics at {where}: address already in use; --metrics names another address"
    assert caught.value.status == Exit.FAILED
    assert output.getvalue() == ""


def test_metrics_without_the_library_for_them(capsys, monkeypatch):
    monkeypatch.setattr("devp2p.cli.node.find_spec", lambda _: None)
    assert main(["node", "--capability", "tests.chat:Chat", "--metrics", "127.0.0.1:0"]) == Exit.USAGE
    assert capsys.readouterr().err == "devp2p: --metrics needs Prometheus's client library: pip install 'trio-devp2p[metrics]'\n"


@pytest.mark.real_clock
async def test_an_address_in_use_is_told_with_what_to_do():
    news: News = TextNews(io.StringIO())
    async with open_node(KEY, [Chat()], listen=["tcp://127.0.0.1:0"]) as node:
        with pytest.raises(Failure) as caught:
            await serve(Plan(key=OTHER, capabilities=(Chat(),), listen=node.addresses), news, trio.sleep_forever)
    hint = "--listen names another address, and port 0 any free one"
    assert str(caught.value) == f"cannot listen at {node.addresses[0]}: address already in use; {hint}"
    assert caught.value.status == Exit.FAILED


def test_a_host_that_does_not_exist(capsys):
    assert main(["node", "--capability", "tests.chat:Chat", "--listen", "nowhere.invalid:0"]) == Exit.FAILED
    assert capsys.readouterr().err.startswith("devp2p: cannot listen at tcp://nowhere.invalid:0: ")


def test_a_node_without_capability_is_a_usage_error_that_helps(capsys):
    with pytest.raises(SystemExit) as exited:
        main(["node"])
    assert exited.value.code == Exit.USAGE
    error = capsys.readouterr().err
    example = f"add --capability NAME, for example --capability examples.chat:Chat ({plugins.describe_installed()})"
    assert f"{example}, or --network NAME for eth" in error


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--listen", "udp://127.0.0.1:1"], "argument --listen: there is no transport 'udp': use "),
        (["--listen", "30303"], "argument --listen: the port is missing in '30303'"),
        (["--peer", "bob"], "argument --peer: a node is written enode://"),
        (["--max-peers", "-1"], "argument --max-peers: a whole number from 0 up is wanted, not '-1'"),
        (["--max-peers", "many"], "argument --max-peers: a whole number"),
        (["--client-id", ""], "argument --client-id: a client name has 1 to 256 printable characters"),
        (["--client-id", "a\nb"], "argument --client-id: a client name"),
        (["--client-id", "x" * 257], "argument --client-id: a client name"),
        (["--metrics", "here"], "argument --metrics: the port is missing in 'here'"),
        (["--metrics", "65536"], "argument --metrics: "),
        (["--metrics-name", ""], "argument --metrics-name: a host name alone is wanted, such as node.example, without"),
        (["--metrics-name", "node.example:9100"], "argument --metrics-name: a host name alone is wanted"),
        (["--log-level", "loud"], "argument --log-level: invalid choice"),
        (["--external", "foo"], "argument --external: an external address is an IP address where others reach us, such as 203.0.113.5 or "),
        (["--max-upload", "16mbit"], "argument --max-upload: [NAME=]RATE is expected, a number of bytes a second with K, M or G for"),
        (
            ["--max-upload", "1K"],
            "argument --max-upload: a bandwidth cap is at least 4096 bytes a second, not 1000.0: peers would give up on",
        ),
        (["--max-download", "=2M"], "argument --max-download: [NAME=]RATE is expected"),
        (["--max-download", "2M", "--max-download", "3M"], "argument --max-download: one cap is given twice, for the node or for a cap"),
        (
            ["--shaping", "fast"],
            "argument --shaping: off, buckets, cells[:CELL], paced:RATE[:CELL] or constant:RATE[-MOST][:CELL] is expec",
        ),
        (["--shaping", "cells:1000"], "argument --shaping: cell of a Shaping is a multiple of 16, not 1000: 992 is one, in 'cells:1000'"),
        (["--shaping", "paced:1"], "argument --shaping: rate of a Shaping is at least 4096 bytes a second, not 1.0, in 'paced:1'"),
        (["--shaping", "cells", "--no-dpx"], "--shaping is for sessions of dpx/1, and --no-dpx leaves it out: give one or the other"),
        (["--slots", "chat=3", "--slots", "chat=4"], "argument --slots: a capability is named twice, and has one number of slots"),
        (["--no-dpx", "--introductions", "any"], "--introductions needs dpx/1, and --no-dpx does not speak it: give one or the other"),
        (["--introductions", "all"], "argument --introductions: invalid choice: 'all'"),
        (["--no-discovery", "--external", "203.0.113.5"], "--bootnode and --external are for discovery, and --no-discovery leaves"),
    ],
)
def test_wrong_arguments_are_explained(argv, problem, capsys):
    with pytest.raises(SystemExit) as exited:
        main(["node", "--capability", "tests.chat:Chat", *argv])
    assert exited.value.code == Exit.USAGE
    assert f"devp2p node: error: {problem}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--capability", "chat"], "devp2p: there is no plugin 'chat'; "),
        (["--capability", "tests.chat:Say"], "devp2p: capability tests.chat:Say: Say is no capability"),
        (["--capability", "tests.chat:Chat", "--key", "none"], "devp2p: there is no key file none; make one: devp2p key generate none\n"),
        (["--capability", "tests.chat:Chat", "--key", ""], "devp2p: the path of the key file is empty: name a file\n"),
        (["--capability", "tests.chat:Chat", "--book", ""], "devp2p: a book is kept in a file, whose path is empty here; name one"),
        (
            ["--capability", "tests.chat:Chat", "--slots", "kvsnc=3"],
            "devp2p: slots names 'kvsnc', which is none of this node's capabilities: chat\n",
        ),
        (
            ["--capability", "tests.chat:Chat", "--max-upload", "eth=1M"],
            "devp2p: max_upload names 'eth', which is none of this node's capabilities: chat\n",
        ),
        (
            ["--capability", "tests.chat:Chat", "--slots", "chat=9", "--max-peers", "5"],
            "devp2p: slots for 'chat' is 9, more than max_peers, which is 5: raise that, or want fewer\n",
        ),
    ],
)
def test_what_cannot_be_run_is_one_line(argv, problem, capsys):
    assert main(["node", *argv, "--no-discovery", "--listen", "127.0.0.1:0"]) == Exit.USAGE
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(problem)
    assert output.err.count("\n") == 1
