"""The simulated network, asked and dialled by this library: endpoints are proved, answers follow the rules, all of it is counted."""

import pytest
import trio

from devp2p import (
    DialError,
    DisconnectReason,
    Discovery,
    NodeRecord,
    PeerDisconnected,
    PrivateKey,
    RemoteProtocolError,
    call,
    local_node,
    open_discovery,
)
from devp2p.capabilities.eth import Status
from devp2p.capabilities.ethereum.networks import NETWORKS
from tools.crawler.simulated import running
from tools.crawler.simulated.clients import HOSTILE, capabilities_of
from tools.crawler.simulated.population import Kind, Member, Plan, Population

pytestmark = pytest.mark.real_clock

PLAN = Plan(nodes=100, seed=7, dead=0.1, fakes=60, bombs=0.04, tar_pits=0.02, hostile_names=0.04)
OPTIONS = ("dead", "fakes", "bombs", "tar_pits", "hostile_names")


async def ask(discovery: Discovery, bootnode: NodeRecord, version: int) -> None:
    assert await discovery.ping(bootnode, version=version) is not None
    record = await discovery.request_enr(bootnode, version=version)
    assert record is not None
    assert record.enr == bootnode.enr is not None
    assert len(await discovery.lookup(bootnode.public_key, version=version)) > 8


async def heard_of(member: Member) -> tuple[str, object]:
    """What comes of a call: the client's name, and its Status or how it ended."""
    local = local_node(PrivateKey.generate(), capabilities_of(member.chain), client_id="test", dpx=False)
    try:
        with trio.fail_after(1):
            session = await call(member.enode, local)
    except (DialError, PeerDisconnected, RemoteProtocolError, trio.TooSlowError) as error:
        return "", type(error).__name__
    said: object = "nothing shared"
    try:
        if session.shared:
            said = await session.receive()
    except PeerDisconnected as error:
        said = error.reason
    except RemoteProtocolError as error:
        said = type(error).__name__
    await session.refuse(DisconnectReason.CLIENT_QUITTING)
    return session.hello.client_id, said


async def test_nodes_answer_questions_and_calls_as_nodes_do():
    heard: dict[int, tuple[str, object]] = {}
    async with running(nodes=PLAN.nodes, seed=PLAN.seed, round_trip=(1, 5), **{name: getattr(PLAN, name) for name in OPTIONS}) as network:
        members = Population(PLAN, network.about["ports"]).members
        bootnode = NodeRecord.parse(network.enr)
        async with open_discovery(PrivateKey.generate(), listen="udp://127.0.0.1:0", bootnodes=[bootnode]) as discovery:
            for version in (4, 5):
                await ask(discovery, bootnode, version)
        called = [member for kind in Kind for member in members if member.kind is kind][::2]

        async def hear(member: Member) -> None:
            heard[member.index] = await heard_of(member)

        async with trio.open_nursery() as nursery:
            for member in called:
                nursery.start_soon(hear, member)
        summary = await network.end()

    for member in called:
        name, came = heard[member.index]
        if member.kind in {Kind.DEAD, Kind.TAR_PIT}:
            assert (name, came) in {("", "DialError"), ("", "PeerDisconnected"), ("", "TooSlowError")}
        elif member.kind is Kind.HOSTILE_NAME:
            assert name in {hostile[:256] for hostile in HOSTILE}
        elif member.kind is not Kind.BOMB and member.chain and member.is_full:
            assert came == DisconnectReason.TOO_MANY_PEERS
        elif member.kind is not Kind.BOMB and member.chain:
            assert isinstance(came, Status)
            assert came.genesis == NETWORKS[member.chain].genesis
    for protocol in ("v4", "v5"):
        assert summary["questions"][f"{protocol} FindNode"]["count"] > 3
        assert summary["recall"][protocol] > 0
    assert summary["connections"] == summary["dialled"] == len(called)
    packets = sum(one["sum"] for kind, one in summary["questions"].items() if kind != "v5 handshake")  # which brings a question, too
    assert packets <= summary["packets_received"] == summary["packets"]["sum"] + summary["packets_elsewhere"]


async def test_an_impolite_crawler_is_found_out():
    async with running(nodes=10, seed=1, dead=0, liars=0) as network:
        host, port = network.enode.rpartition("@")[2].split(":")
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            for _ in range(70):
                await sock.sendto(b"no packet of any protocol", (host, int(port)))
        for _ in range(4):
            await (await trio.open_tcp_stream(host, int(port))).aclose()
        while network.progress["connections"] < 4:  # noqa: ASYNC110  (it is told each second)
            await trio.sleep(0.1)
        summary = await network.end()
    assert summary["impolite"].keys() == {"packets", "dials", "connections"}
    assert summary["most_seen"]["packets"] == 70
    assert summary["findings"][0].startswith(f"packets: {host}")
