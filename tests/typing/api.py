"""What type checkers must infer, and refuse, of code that uses capabilities: checked by mypy and pyright, never run.

A line that must not type-check carries a `type: ignore`; both checkers complain about one that suppresses nothing, and
tests/test_typing.py looks that each such line gives an error.
"""

from dataclasses import dataclass
from typing import assert_type

from devp2p import (
    Address,
    Book,
    BookEntry,
    Candidate,
    Capability,
    Channel,
    DiscoverySettings,
    Entries,
    Hello,
    Limits,
    Link,
    LocalNode,
    Node,
    NodeId,
    NodeRecord,
    Peer,
    PeerDisconnected,
    PrivateKey,
    Progress,
    PublicKey,
    Request,
    Response,
    Session,
    Shaping,
    call,
    dial,
    local_node,
    open_discovery,
    open_node,
    open_session,
    run_session,
)
from devp2p.node.roster import ReadyPeers


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class GetTime(Request["Time"]):
    zone: str


@dataclass(frozen=True)
class Time(Response):
    seconds: int


ChatMessage = Say | GetTime | Time


class Chat(Capability[ChatMessage]):
    name, version = "chat", 1
    messages = {0x00: Say, 0x01: GetTime, 0x02: Time}
    urgent = {Time}

    def record_entries(self) -> Entries:
        return {"chat": Say("here"), "rooms": 3}

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:
        assert_type(peer[Chat], Channel[ChatMessage])
        assert_type(await channel.receive(), Say | GetTime | Time)
        async for message in channel:
            assert_type(message, Say | GetTime | Time)
            match message:
                case Say(text):
                    assert_type(text, str)
                    channel.conduct.useful(1, f"spoke: {text}")
                case GetTime(zone, request_id=number):
                    assert_type(zone, str)
                    assert_type(number, int)
                    await channel.send(Time(number, 42))
                case Time():
                    assert_type(message, Time)
        await channel.send(42)  # type: ignore[arg-type]
        await channel.send("hello")  # type: ignore[arg-type]
        await channel.request(Say("hello"))  # type: ignore[arg-type]
        await channel.request(GetTime("utc"), within=3)  # type: ignore[call-arg]


class EthHandle:
    def __init__(self, peer: Peer, channel: Channel[ChatMessage]) -> None:
        self.peer = peer
        self.channel = channel

    async def headers(self, count: int) -> tuple[int, ...]:
        return (count,)


class Eth(Capability[ChatMessage, EthHandle]):
    name, version = "eth", 69
    messages = {0: Say, 1: GetTime, 2: Time}
    ready_within = 5.0

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:
        channel.ready(EthHandle(peer, channel))


class WrongRun(Capability[ChatMessage]):
    name, version = "wrong", 1
    messages = {0: Say}

    async def run(self, peer: Peer, channel: Channel[int]) -> None:  # type: ignore[override]
        pass

    def record_entries(self) -> dict[int, str]:  # type: ignore[override]
        return {}


async def use(peer: Peer, node: Node) -> None:
    assert_type(peer[Chat], Channel[Say | GetTime | Time])
    assert_type(await peer.ready(Chat), Channel[Say | GetTime | Time])
    assert_type(await peer[Chat].request(GetTime("utc")), Time)
    assert_type((await peer[Chat].request(GetTime("utc"), timeout=3)).seconds, int)
    assert_type(peer[Eth], EthHandle)
    assert_type(await peer.ready(Eth), EthHandle)
    assert_type(await peer[Eth].headers(3), tuple[int, ...])
    assert_type(node.peers(Eth), ReadyPeers)
    async for ready in node.peers(Chat):
        assert_type(ready, Peer)
    assert_type(await peer.introduce_me(Chat, 2, timeout=3), tuple[NodeRecord, ...])
    await peer.introduce_me(Chat())  # type: ignore[arg-type]
    assert_type(node.introductions, str)
    await peer[Chat].send(42)  # type: ignore[arg-type]
    peer[Say]  # type: ignore[index]
    peer[Eth].request(GetTime("utc"))  # type: ignore[attr-defined]
    await Chat().run(peer)  # type: ignore[call-arg]
    Capability()  # type: ignore[abstract]


class WrongNumbers(Capability[ChatMessage]):
    name, version = "numbers", "1"  # type: ignore[assignment]
    messages = {"0": Say}  # type: ignore[dict-item]
    urgent = Time  # type: ignore[assignment]
    weight = 1.5  # type: ignore[assignment]
    slots = "8"  # type: ignore[assignment]

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:
        pass


def open_rightly(key: PrivateKey, node: NodeRecord, text: str) -> None:
    open_node(key, [Chat()], listen=[text, Address("tcp", "*", 0)], static_peers=[text, node], dns_trees=[text])
    open_node(
        key, (Chat(),), listen=(text,), trusted_peers={text}, bootnodes=frozenset({node}), discovery=DiscoverySettings(external=[text])
    )
    open_node(key, {"chat": Chat()}.values(), listen={text: 1}, static_peers={text: node}.values(), bootnodes=(text for _ in "ab"))
    open_node(key, iter([Chat()]), listen=map(str, [1]), bootnodes=reversed([node]))
    open_node(key, [Chat()], dpx=True, reveal_key=True)
    open_node(key, [Chat()], shaping=Shaping.cells(1024), max_upload={"chat": 500_000}, max_download={"chat": None})


def open_wrongly(key: PrivateKey, node: Node, text: str) -> None:
    open_node(key, [Chat])  # type: ignore[list-item]
    open_node(key, Chat())  # type: ignore[arg-type]
    open_node(bytes(32), [Chat()])  # type: ignore[arg-type]
    open_node(key, [Chat()], listen=text)  # type: ignore[arg-type]
    open_node(key, [Chat()], static_peers=text)  # type: ignore[arg-type]
    open_node(key, [Chat()], trusted_peers=text)  # type: ignore[arg-type]
    open_node(key, [Chat()], bootnodes=text)  # type: ignore[arg-type]
    open_node(key, [Chat()], dns_trees=text)  # type: ignore[arg-type]
    open_node(key, [Chat()], slots={"chat": "3"})  # type: ignore[dict-item]
    open_node(key, [Chat()], max_upload={"chat": "2M"})  # type: ignore[dict-item]
    open_node(key, [Chat()], shaping="cells")  # type: ignore[arg-type]
    open_node(key, [Chat()], max_peers="50")  # type: ignore[arg-type]
    open_node(key, [Chat()], limits=Limits)  # type: ignore[arg-type]
    open_node(key, [Chat()], discovery=text)  # type: ignore[arg-type]
    DiscoverySettings(external=text)  # type: ignore[arg-type]
    Limits(ping_interval=text)  # type: ignore[arg-type]
    PrivateKey(text)  # type: ignore[arg-type]
    node.peers(Chat())  # type: ignore[arg-type]


async def ask_rightly(key: PrivateKey, node_id: NodeId, book: Book) -> None:
    local, progress = local_node(key, [Chat()], limits=Limits()), Progress()
    assert_type(local, LocalNode)
    async with open_discovery(key, book=book) as discovery:
        async for candidate in discovery.candidates():
            assert_type(candidate, Candidate)
            assert_type(await dial(candidate.record, each=3), Link)
            session = await call(candidate.record, local, timeout=5, progress=progress)
            assert_type(session, Session)
            assert_type(session.hello, Hello)
            assert_type(await run_session(session), PeerDisconnected)
    assert_type(await call(Address("tcp", "127.0.0.1", 30303), local_node(key, reveal_key=True)), Session)
    assert_type(progress.remote, PublicKey | None)
    assert_type(progress.hello, Hello | None)
    assert_type(progress.address, Address | None)
    assert_type(book.get(node_id), BookEntry | None)


async def ask_wrongly(key: PrivateKey, node: NodeRecord, link: Link, text: str) -> None:
    await call(node, key)  # type: ignore[arg-type]
    await call(node, local_node(key, reveal_key=text))  # type: ignore[arg-type]
    await dial(link)  # type: ignore[arg-type]
    await open_session(link, key)  # type: ignore[arg-type]
    local_node(bytes(key))  # type: ignore[arg-type]
    local_node(key, Chat())  # type: ignore[arg-type]
