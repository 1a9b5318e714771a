"""Rows T80 to T85 of THREATS.md: what strangers may try of a relay, through one, and with holes.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from devp2p import (
    Address,
    DialError,
    DisconnectReason,
    Hello,
    LinkFacts,
    NodeRecord,
    PrivateKey,
    RemoteProtocolError,
    Throttle,
    local_node,
    open_node,
    open_session,
)
from devp2p.capabilities.punch.limits import PunchLimits
from devp2p.capabilities.punch.targets import Targets
from devp2p.capabilities.relay import Relay, RelayLimits, serving
from devp2p.capabilities.relay.hop import Hop
from devp2p.capabilities.relay.lines import Line
from devp2p.capabilities.relay.messages import WINDOW, Code, Connect, Data, Incoming, Reserve, Reserved, Status
from devp2p.capabilities.relay.serving import Relaying
from devp2p.capabilities.relay.voucher import Voucher
from devp2p.testing import MemoryTransport, ScriptedPeer
from devp2p.transports.memory import memory_link_pair
from tests.capabilities.relay.three import FREE, open_three, until_reserved
from tests.chat import Chat

EVERYTHING = RelayLimits(reservations=10**6, reservations_per_host=10**6, reserve_rate=1e6, circuits=10**6, circuits_per_peer=10**6)


class Client:
    """A peer as the relay's side sees it, which notes what it is told."""

    def __init__(self, host: str, number: int, scheme: str = "tcp") -> None:
        where = Address(scheme, host, 30303)
        self.key = number.to_bytes(64, "big")
        self.peer = SimpleNamespace(
            link=LinkFacts(scheme, native_auth=False, native_mux=False, local=where, remote=where, path="direct"), address=where
        )
        self.lines = SimpleNamespace(reply=self._reply, wake=lambda _: None, forget=lambda _: None)
        self.codes: list[int] = []
        self._next = 1

    def _reply(self, message: object) -> None:
        if isinstance(message, Status):
            self.codes.append(message.code)

    def new_line(self) -> Line:
        self._next += 2
        return Line(cast("Any", self.lines), self._next)

    def add(self, number: int, end: object) -> None:
        pass

    def drop(self, number: int) -> None:
        pass


def hop(client: Client) -> Hop:
    return cast("Hop", client)


@asynccontextmanager
async def relaying(limits: RelayLimits) -> AsyncGenerator[Relaying]:
    relay = Relaying(limits, lambda: ())
    relay.is_on, relay.key = True, PrivateKey.generate()
    async with trio.open_nursery() as relay.nursery:
        yield relay
        relay.nursery.cancel_scope.cancel()


async def reserved_of(limits: RelayLimits, hosts: int, count: int) -> int:
    """How many of `count` peers of so many hosts get a reservation."""
    async with relaying(limits) as relay:
        clients = [Client(f"2001:db8:0:{number % hosts:x}::{number:x}", number) for number in range(count)]
        return sum(relay.reserve(hop(client), Reserve()).code == Code.OK for client in clients)


async def test_t80_of_a_flood_of_reservations_one_host_gets_eight_and_all_together_a_hundred_and_twenty_eight() -> None:
    assert await reserved_of(RelayLimits(), 1, 1000) == 8
    assert await reserved_of(RelayLimits(), 1000, 1000) == 128


async def test_t80_whoever_asks_again_and_again_is_refused() -> None:
    async with relaying(RelayLimits()) as relay:
        client = Client("192.0.2.7", 1)
        assert sum(relay.reserve(hop(client), Reserve()).code == Code.OK for _ in range(1000)) == 5
        assert relay.reservations == 1


async def test_t80_control_without_limits_each_gets_one() -> None:
    assert await reserved_of(EVERYTHING, 1, 1000) == 1000


async def circuits_of(limits: RelayLimits, callers: int, each: int) -> tuple[int, int]:
    """Circuits that there are at a time when callers ask for so many each: of one target, and of many."""
    found: list[int] = []
    for targets in (1, 1000):
        async with relaying(limits) as relay:
            goals = [Client(f"2001:db8:1:{number:x}::1", 10**6 + number) for number in range(targets)]
            for goal in goals:
                relay.reserve(hop(goal), Reserve())
            for number in range(callers):
                caller = Client(f"2001:db8:2:{number:x}::1", number)
                for count in range(each):
                    relay.connect(hop(caller), Connect(2 * count + 1, goals[(number * each + count) % targets].key))
            found.append(relay.circuits)
    return found[0], found[1]


async def test_t81_of_a_flood_of_circuits_a_peer_has_sixteen_and_all_together_two_hundred_and_fifty_six() -> None:
    many = RelayLimits(reservations=1000)
    assert await circuits_of(many, 1, 1000) == (16, 16)
    assert await circuits_of(many, 100, 10) == (16, 256)


async def test_t81_control_without_limits_there_are_as_many_as_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Throttle, "allows", lambda *_: True)
    assert await circuits_of(EVERYTHING, 1, 1000) == (1000, 1000)


async def fill(send: int) -> tuple[int, int | None, bool]:
    """A caller sends so much to a node that takes nothing: what the relay took of it, whether it sent the caller away, serves others."""
    server = Relay(serve=True, limits=FREE)
    network, keys = MemoryTransport(), [PrivateKey.generate() for _ in range(3)]
    async with open_node(PrivateKey.generate(), [server], listen=["memory://relay"], transports=[network], dpx=False) as node:
        record = NodeRecord(node.public_key, node.addresses)
        caller, slow, quick = [await ScriptedPeer.dial(network, record, [Relay()], key=key) for key in keys]
        for peer in (caller, slow, quick):
            await peer.begin()
        for peer, number in ((slow, 1), (quick, 3)):
            await peer.send_message(Reserve(request_id=1))
            assert isinstance(await peer.receive_message(), Reserved)
            key = peer.key.public_key
            await caller.send_message(Connect(number, bytes(key)))
            incoming = await peer.receive_message()
            assert isinstance(incoming, Incoming)
            await peer.send_message(Status(incoming.number, Code.OK))
            assert (await caller.receive_message()).code == Code.OK
        try:
            for _ in range(send // 16384):
                await caller.send_message(Data(1, bytes(16384)))
        except trio.BrokenResourceError:
            pass
        await trio.sleep(3)
        held = server.relaying.relayed_bytes
        if node.roster.get(caller.key.public_key) is None:
            return held, await caller.receive_disconnect(), False
        await caller.send_message(Data(3, b"hello"))
        with trio.move_on_after(5):
            return held, None, (await quick.receive_message()).data == b"hello"
        return held, None, False


async def test_t82_of_a_slow_target_a_relay_holds_one_window_and_serves_others_meanwhile() -> None:
    assert await fill(WINDOW) == (WINDOW, None, True)


async def test_t82_whoever_sends_more_than_its_credit_is_sent_away() -> None:
    held, reason, _ = await fill(WINDOW + 10 * 16384)
    assert (held, reason) == (WINDOW, DisconnectReason.PROTOCOL_BREACH)


async def test_t82_control_without_credit_the_relay_holds_whatever_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "require_credit", lambda _: None)
    held, reason, _ = await fill(3 * 2**20)
    assert (held, reason) == (3 * 2**20, None)


async def test_t83_a_relay_that_leads_to_another_node_is_found_out() -> None:
    async with open_three(reserve=False, dpx=False) as three:
        await three.other.listen(f"relay://{three.where}")
        await until_reserved(three)
        wanted = PrivateKey.generate().public_key
        liar = three.relays[0].relaying
        liar._by_key[bytes(wanted)] = liar._by_key[bytes(three.other.public_key)]
        with pytest.raises(DialError):
            await three.one.connect(f"relay://{bytes(wanted).hex()}@{three.where}")
        assert three.one.roster.get(wanted) is None


async def test_t83_control_if_the_relay_were_believed_anybody_could_be_the_one_who_was_called() -> None:
    us, wanted = PrivateKey.generate(), PrivateKey.generate().public_key
    ours, theirs = memory_link_pair((us.public_key, wanted))  # a link that claims that its far end is proved
    liar = ScriptedPeer(theirs, [Chat()])
    liar.hello = Hello("liar", liar.hello.capabilities, wanted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(liar.begin)
        session = await open_session(ours, local_node(us, [Chat()]), expect=wanted)
    assert session.public_key == wanted
    await session.close()


async def reserve_with(voucher: bytes | None, expire: int = 2**33) -> float:
    """Ask for a reservation a relay that answers with some voucher, or a true one."""
    relay, us = PrivateKey.generate(), PrivateKey.generate()

    async def answer(_: Reserve) -> Reserved:
        true = Voucher(bytes(relay.public_key), bytes(us.public_key), 2**33).sign(relay)
        return Reserved(1, Code.OK, expire, (), true if voucher is None else voucher)

    channel = SimpleNamespace(send=None, request=answer)
    peer = SimpleNamespace(inbound=False, public_key=relay.public_key)
    return await Hop(cast("Any", peer), cast("Any", channel), us.public_key, cast("Any", None)).reserve()


async def test_t83_a_voucher_that_is_not_true_is_refused() -> None:
    other = PrivateKey.generate()
    forged = Voucher(bytes(other.public_key), bytes(other.public_key), 2**33).sign(other)
    for voucher in (b"", b"\xc0", forged, forged[:-1] + b"\x07"):
        with pytest.raises(RemoteProtocolError, match="voucher"):
            await reserve_with(voucher)
    with pytest.raises(RemoteProtocolError, match="another relay, node or time"):
        await reserve_with(None, 2**33 + 1)


async def test_t83_control_a_true_voucher_is_taken() -> None:
    assert await reserve_with(None) > 10**8


def rounds(limits: PunchLimits, sessions: int, *, anywhere: bool = False, texts: tuple[str, ...] = ("tcp://8.8.4.4:30303",)) -> int:
    """Packets' worth of addresses that are tried when so many sessions name a victim, within a moment."""
    targets = Targets(limits, anywhere=anywhere)
    return sum(len(targets.tried(texts)) for _ in range(sessions))


PRIVATE = ("tcp://127.0.0.1:30303", "quic://10.0.0.1:30303", "tcp://[fe80::1]:3000", "tcp://[::1]:3000", "tcp://224.0.0.1:5353")
FREE_PUNCHES = PunchLimits(rounds=10**6, addresses=100, hosts=100, node_rate=1e6)


async def test_t84_a_victim_that_a_thousand_sessions_name_gets_three_rounds() -> None:
    assert rounds(PunchLimits(), 1000) == 3
    many = tuple(f"quic://8.8.{number}.4:30303" for number in range(8))
    assert rounds(PunchLimits(), 1, texts=many) == 2
    ports = tuple(f"quic://8.8.4.4:{number}" for number in (30303, 53, 80, 443, 1024, 2000, 3000, 4000))
    assert rounds(PunchLimits(), 1, texts=ports) == 4
    assert not Targets(PunchLimits(), anywhere=True).tried(["quic://8.8.4.4:53", "tcp://8.8.4.4:80", "tcp://name.example:30303", "?"])


async def test_t84_nothing_goes_to_addresses_that_are_not_public() -> None:
    assert rounds(PunchLimits(), 1, texts=PRIVATE) == 0


async def test_t84_control_without_limits_each_session_sends_packets_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Throttle, "allows", lambda *_: True)
    assert rounds(FREE_PUNCHES, 1000) == 1000
    assert rounds(FREE_PUNCHES, 1, anywhere=True, texts=PRIVATE) == len(PRIVATE)


async def chained() -> tuple[int, int]:
    """What a node whose session is relayed itself is answered: to Reserve, and to Connect."""
    async with relaying(EVERYTHING) as relay:
        target, chain = Client("192.0.2.1", 1), Client("192.0.2.2", 2, "relay")
        relay.reserve(hop(target), Reserve())
        code = relay.reserve(hop(chain), Reserve()).code
        relay.connect(hop(chain), Connect(1, target.key))
        return code, chain.codes[0] if chain.codes else Code.OK


async def test_t85_a_relayed_session_gets_neither_reservation_nor_circuit() -> None:
    assert await chained() == (Code.PERMISSION_DENIED, Code.PERMISSION_DENIED)


async def test_t85_control_without_the_rule_relays_could_be_chained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "is_relayed", lambda _: False)
    assert await chained() == (Code.OK, Code.OK)
