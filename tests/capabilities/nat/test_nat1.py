"""nat/1 between nodes on loopback addresses: each server has a network of its own there."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from devp2p import Address, LocalProtocolError, Node, PrivateKey, open_node
from devp2p.capabilities.nat import Nat, NatLimits, Reachability, Verdict, capability
from devp2p.capabilities.nat.messages import LEAST_DATA, DialMe, Observed, Status
from devp2p.capabilities.nat.verdict import AGREEING, WINDOW, Votes
from tests.capabilities.punch.test_punch import behind_a_relay

LIMITS = NatLimits(local_addresses=True)
NOWHERE = Address("tcp", "127.0.0.1", 1)


@dataclass
class Net:
    """A client and its servers."""

    client: Node
    nat: Nat
    servers: list[Nat] = field(default_factory=list)


@asynccontextmanager
async def open_net(servers: int = AGREEING, *, host: str = "127.0.0.1", agreeing: int = AGREEING) -> AsyncGenerator[Net]:
    async with AsyncExitStack() as stack:
        nat = Nat(limits=LIMITS, agreeing=agreeing)
        shown = f"[{host}]" if ":" in host else host
        client = await stack.enter_async_context(open_node(PrivateKey.generate(), [nat], listen=[f"tcp://{shown}:0"]))
        net = Net(client, nat)
        for number in range(servers):
            net.servers.append(Nat(limits=LIMITS))
            where = f"tcp://[{host}]:0" if ":" in host else f"tcp://127.0.{number + 1}.1:0"
            server = await stack.enter_async_context(open_node(PrivateKey.generate(), [net.servers[-1]], listen=[where]))
            await client.connect(server.record)
        yield net


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(capability, "_SETTLES", 0.01)


@pytest.mark.real_clock
async def test_four_servers_that_call_back_make_a_node_public():
    async with open_net() as net:
        while net.nat.reachability.verdict is Verdict.UNKNOWN:
            await net.nat.changed()
        assert net.nat.reachability == Reachability(Verdict.PUBLIC, net.client.addresses)
        assert [server.serving.calls for server in net.servers] == [1] * AGREEING
        assert len(net.client.connected) == AGREEING  # those who called took no place


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_one_server_is_enough_for_who_trusts_it(host):
    async with open_net(1, host=host, agreeing=1) as net:
        while net.nat.reachability.verdict is Verdict.UNKNOWN:
            await net.nat.changed()
        assert net.nat.reachability.addresses == net.client.addresses
        assert {address.ip for address in net.nat.observed} == {net.client.addresses[0].ip}


@pytest.mark.real_clock
async def test_a_node_that_nobody_reaches_is_private(monkeypatch):
    monkeypatch.setattr(Nat, "own_addresses", lambda _: [NOWHERE])
    async with open_net() as net:
        while net.nat.reachability.verdict is Verdict.UNKNOWN:
            await net.nat.changed()
        assert net.nat.reachability == Reachability(Verdict.PRIVATE, (), (NOWHERE,))


@pytest.mark.real_clock
async def test_three_servers_are_too_few():
    async with open_net(AGREEING - 1) as net:
        while sum(server.serving.calls for server in net.servers) < AGREEING - 1 or net.nat._called:  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert net.nat.reachability == Reachability()


@pytest.mark.real_clock
async def test_a_server_that_serves_nobody_says_so(monkeypatch):
    answers = []
    take = capability._Talk.ask

    async def ask(self, request):
        answers.append(await take(self, request))
        return answers[-1]

    monkeypatch.setattr(capability._Talk, "ask", ask)
    async with open_net(1, agreeing=1) as net:
        net.servers[0]._serves = False
        while not answers:  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert answers[0].status == Status.REFUSED
        assert net.nat.reachability == Reachability()


def test_what_is_no_bound_is_refused():
    with pytest.raises(LocalProtocolError, match=r"NatLimits\.calls is a whole number from 1 up"):
        NatLimits(calls=0)
    with pytest.raises(LocalProtocolError, match="agreeing is at least 1"):
        Nat(agreeing=0)


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from([1, 2]), st.booleans(), st.floats(0, WINDOW)), max_size=60))
def test_a_verdict_is_what_more_than_three_networks_say_and_most_of_them(words):
    votes, latest, now = Votes(), dict[int, dict[int, tuple[bool, float]]](), 0.0
    for network, port, reached, passed in words:
        now += passed / 20
        votes.add(Address("tcp", f"45.67.{network}.1", 5), Address("tcp", "45.67.0.1", port), reached=reached, now=now)
        latest.setdefault(port, {})[network] = (reached, now)
    good, bad = set(), set()
    for port, by_network in latest.items():
        said = [reached for reached, since in by_network.values() if now - since < WINDOW]
        yes, no = sum(said), len(said) - sum(said)
        if yes > 3 and yes > no:
            good.add(port)
        if no > 3 and no > yes:
            bad.add(port)
    found = votes.reachability(now)
    assert {address.port for address in found.addresses} == good
    assert {address.port for address in found.unreachable} == bad
    assert (found.verdict is Verdict.PUBLIC) == bool(good)
    assert (found.verdict is Verdict.PRIVATE) == (not good and bool(bad) and bad == set(latest))


def test_a_nonce_is_a_key_and_a_question_has_few_addresses():
    table = Nat.table()
    message = table.encode(DialMe(bytes(range(32)), ("tcp://45.67.0.1:30303",), request_id=1))
    assert len(message[2]) < 200


@pytest.mark.parametrize(
    ("ours", "ip", "shown"),
    [
        (Address("tcp", "45.67.0.1", 5), ip_address("45.67.0.9").packed, "tcp://45.67.0.9:7"),
        (Address("tcp", "2a01::1", 5), ip_address("2a01::9").packed, "tcp://[2a01::9]:7"),
        (Address("tcp", "2a01::1", 5), ip_address("45.67.0.9").packed, None),
        (Address("unix", "/run/node.sock"), b"", None),
    ],
)
async def test_where_a_peer_sees_us_is_written_as_addresses_are(ours: Address, ip: bytes, shown: str | None) -> None:
    nat = Nat()
    peer: Any = SimpleNamespace(address=ours, id=bytes(32), link=SimpleNamespace(transport=ours.scheme, path="direct"))
    nat.note_observed(peer, Observed(ip, 7))
    assert [str(address) for address in nat.observed] == ([] if shown is None else [shown])


@pytest.mark.real_clock
async def test_where_a_relay_stands_is_nothing_about_the_node_behind_it():
    nats = [Nat(limits=LIMITS) for _ in range(2)]
    async with behind_a_relay("127.0.0.1", ([nats[0]], [nats[1]])) as (one, _, _, address):
        peer = await one.connect(address)
        await trio.sleep(0.2)
        assert [nat.observed for nat in nats] == [(), ()], "the relay's address is not told as the peer's"
        assert [nat.serving.calls for nat in nats] == [0, 0]
        at_the_relay = Address("tcp", "127.0.0.1", 22)
        assert at_the_relay.ip == peer.address.ip
        assert nats[0].serving.data_needed(peer, at_the_relay) >= LEAST_DATA, "who has the relay called pays for it"
