"""A router that does anything, and what a node keeps and tells of it: by the clock of the tests."""

import ipaddress
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from devp2p import PrivateKey, open_node
from devp2p.addresses import Endpoint
from devp2p.discovery import open_discovery
from devp2p.errors import LocalProtocolError
from devp2p.nat import METHODS, Grant, NatError, NatKeeper, NatSettings, NatStatus, Wanted
from devp2p.nat.keeper import FAREWELL, LOOKS_IN_VAIN
from devp2p.nat.leases import GRACE, LIFETIME
from devp2p.node import DiscoverySettings
from tests.nat.routers import Pmp

EXTERNAL, OTHER = Pmp().external, bytes((45, 67, 0, 99))
LOOK_EVERY = NatSettings().look_every
TCP, UDP = Wanted("tcp", 30303), Wanted("udp", 30303)


class Router:
    """A router whose life a test decides."""

    name = "TEST"

    def __init__(self):
        self.external, self.is_dead, self.is_stuck, self.forgot = EXTERNAL, False, False, False
        self.mapped = dict[Wanted, float]()
        self.asked = self.found = 0

    async def find(self):
        await self._answer()
        self.found += 1
        return self

    async def _answer(self):
        await trio.lowlevel.checkpoint()
        if self.is_stuck:
            await trio.sleep_forever()
        if self.is_dead:
            await trio.sleep(1.75)
            raise NatError("no answer")

    async def look(self):
        await self._answer()
        return self.external

    async def map(self, wanted, port, lifetime):
        await self._answer()
        self.asked += 1
        self.mapped[wanted] = trio.current_time() + lifetime
        return Grant(self.external, port + 1 if port == wanted.port else port, lifetime)

    async def unmap(self, wanted):
        await self._answer()
        self.mapped.pop(wanted, None)

    def restart(self):
        self.mapped.clear()
        self.forgot = True

    def has_forgotten(self):
        forgot, self.forgot = self.forgot, False
        return forgot

    def close(self):
        pass


@asynccontextmanager
async def keeping(router, *wanted):
    told: list[NatStatus] = []
    kept = NatKeeper(NatSettings(("pcp",)), wanted or (TCP, UDP), told.append, find=router.find)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept._keep_mapped)
        yield kept, told
        nursery.cancel_scope.cancel()


async def test_each_port_is_mapped_renewed_and_removed_at_the_end():
    router = Router()
    async with keeping(router) as (kept, _):
        await trio.sleep(1)
        assert kept.status == NatStatus("TEST", EXTERNAL, {TCP: Endpoint(EXTERNAL, 30304), UDP: Endpoint(EXTERNAL, 30304)})
        assert router.asked == 2
        await trio.sleep(LIFETIME / 2)
        assert router.asked == 4
        await trio.sleep(10 * LIFETIME)
        assert min(router.mapped.values()) > trio.current_time()
        assert kept.status.mapped[TCP] == Endpoint(EXTERNAL, 30304)
    assert not router.mapped


async def test_a_router_that_starts_again_gets_its_mappings_again():
    router = Router()
    async with keeping(router) as (kept, told):
        await trio.sleep(1)
        router.restart()
        await trio.sleep(LOOK_EVERY + 1)
        assert set(router.mapped) == {TCP, UDP}
        assert all(status.mapped for status in told)  # and nobody has to hear of it
        assert kept.status.mapped


async def test_another_external_address_is_told():
    router = Router()
    async with keeping(router) as (kept, _):
        await trio.sleep(1)
        router.external = OTHER
        await trio.sleep(LOOK_EVERY + 1)
        assert kept.status.external == OTHER
        assert {where.ip for where in kept.status.mapped.values()} == {OTHER}


async def test_an_announcement_makes_it_look_at_once():
    router = Router()
    async with keeping(router) as (kept, _):
        await trio.sleep(1)
        router.external = OTHER
        kept._hint.set()
        await trio.sleep(1)
        assert kept.status.external == OTHER


async def test_a_router_that_dies_is_told_soon_and_searched_for_again():
    router = Router()
    async with keeping(router) as (kept, _):
        await trio.sleep(1)
        router.is_dead = True
        await trio.sleep(LOOK_EVERY * (1 + LOOKS_IN_VAIN / 4) + 15)
        assert not kept.status.mapped
        assert kept.status.problem
        router.is_dead = False
        router.mapped.clear()
        await trio.sleep(1200)
        assert router.found == 2
        assert set(kept.status.mapped) == {TCP, UDP}


async def test_an_address_that_nobody_reaches_is_not_told_for_long():
    router = Router()
    async with keeping(router) as (kept, _):
        await trio.sleep(1)
        router.external = bytes((100, 64, 0, 1))
        await trio.sleep(LOOK_EVERY + GRACE + 1)
        assert not kept.status.mapped
        assert "nobody outside reaches it" in kept.status.problem


@pytest.mark.parametrize("external", ["2606:4700::1", "::ffff:45.67.0.10"])
async def test_a_router_of_ipv4_that_names_an_address_of_ipv6_ends_no_node(external: str) -> None:
    router = Router()
    router.external = ipaddress.ip_address(external).packed
    async with keeping(router) as (kept, _):
        for _ in range(2):
            assert all(len(where.ip) == 4 for where in kept.status.mapped.values()), "the record has no place for any other"
            assert len(kept.status.external) in {0, 4}
            await trio.sleep(LOOK_EVERY + GRACE + 1)
        assert bool(kept.status.mapped) == ("ffff" in external), "an IPv4 address may be dressed up"


@pytest.mark.parametrize("how", ["granted and not believed", "cancelled before the answer"])
async def test_what_was_asked_for_is_removed_at_the_end_though_it_was_never_published(how: str) -> None:
    class Odd(Router):
        async def map(self, wanted, port, lifetime):
            grant = await super().map(wanted, port, lifetime)
            if how == "cancelled before the answer":
                await trio.sleep_forever()
            return Grant(bytes((100, 64, 0, 1)), grant.port, lifetime)

    router = Odd()
    async with keeping(router):
        await trio.sleep(1)
        assert router.mapped
    assert not router.mapped


async def test_a_router_that_gives_nothing_by_one_protocol_is_asked_by_the_next(monkeypatch) -> None:
    routers = {method: Router() for method in METHODS}
    asked: list[str] = []

    async def find(method: str) -> Router:
        asked.append(method)
        router: Router = await routers[method].find()
        return router

    async def refuse(*_: object) -> Grant:
        await trio.lowlevel.checkpoint()
        raise NatError("not authorized")

    monkeypatch.setattr("devp2p.nat.keeper.find_router", find)
    monkeypatch.setattr(routers["pcp"], "map", refuse)
    kept = NatKeeper(NatSettings(METHODS), (TCP, UDP), lambda _: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept._keep_mapped)
        await trio.sleep(1)
        assert (asked, len(kept.status.mapped)) == (["pcp", "pmp"], 2)
        monkeypatch.setattr(routers["pmp"], "map", refuse)
        monkeypatch.setattr(routers["upnp"], "map", refuse)
        routers["pmp"].restart()
        await trio.sleep(20_000)
        assert len(asked) < 50, "in a while, and not without end"
        nursery.cancel_scope.cancel()


async def test_a_router_that_hangs_at_the_end_holds_the_node_up_for_two_seconds():
    router = Router()
    began = 0.0
    async with keeping(router) as (_, _told):
        await trio.sleep(1)
        router.is_stuck = True
        began = trio.current_time()
    assert trio.current_time() - began <= FAREWELL


async def test_one_more_port_is_mapped_when_the_node_listens_there():
    router = Router()
    async with keeping(router, TCP) as (kept, _):
        await trio.sleep(1)
        kept.add(UDP)
        await trio.sleep(1)
        assert set(router.mapped) == {TCP, UDP}


class AnyLife(RuleBasedStateMachine):
    """Whatever happens to a router, and in whatever order: what is told was true a moment ago, and is right again soon after."""

    def __init__(self):
        super().__init__()
        self.steps: list[tuple[str, float]] = []

    @rule(what=st.sampled_from(["restart", "die", "live", "move", "wait"]), seconds=st.floats(0, 5000))
    def happens(self, what, seconds):
        self.steps.append((what, seconds))

    def teardown(self):
        clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(self._live, clock=clock)

    async def _live(self):
        router = Router()
        async with keeping(router) as (kept, _):
            for what, seconds in self.steps:
                if what == "restart":
                    router.restart()
                elif what in {"die", "live"}:
                    router.is_dead = what == "die"
                elif what == "move":
                    router.external = OTHER if router.external == EXTERNAL else EXTERNAL
                await trio.sleep(seconds)
                if seconds > 600 + 2 * LOOK_EVERY:  # time enough to notice anything
                    told = kept.status.mapped
                    assert bool(told) is not router.is_dead
                    assert all(where.ip == router.external for where in told.values())
                    assert router.is_dead or set(router.mapped) == set(told) == {TCP, UDP}
            had = bool(kept.status.mapped)
        assert router.is_dead or not had or not router.mapped  # what it has given up ends by itself


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)


@pytest.mark.real_clock
async def test_a_nodes_record_says_what_its_router_forwards(monkeypatch):
    router = Router()
    monkeypatch.setattr(NatKeeper, "_search", lambda _: router.find())
    monkeypatch.setattr(NatKeeper, "_listen", lambda _: trio.lowlevel.checkpoint())  # noqa: ASYNC105
    monkeypatch.setattr("devp2p.node.forwarding.Scope", type("Scope", (), {"LOOPBACK": None}))  # as if others could reach it
    key = PrivateKey.generate()
    async with open_node(key, [], listen=["tcp://127.0.0.1:0"], discovery=True, nat="pcp") as node:
        own = node.addresses[0].port
        assert own is not None
        assert node.discovery is not None
        while node.nat is None or len(node.nat.mapped) < 2:
            await node.nat_changed()
        record = node.discovery.record
        assert (str(record.ip), record.tcp, record.udp) == ("45.67.0.10", own + 1, (node.discovery.address.port or 0) + 1)
        assert f"@45.67.0.10:{own + 1}" in node.enode
        node.discovery.forward(None)
        record = node.discovery.record
        assert (str(record.ip), record.tcp, record.udp) == ("127.0.0.1", own, node.discovery.address.port)
    assert not router.mapped


@pytest.mark.real_clock
@pytest.mark.parametrize("listen", [["tcp://127.0.0.1:0"], []], ids=["more", "the first"])
async def test_where_a_node_listens_later_is_forwarded_and_told_as_well(monkeypatch, listen):
    router = Router()
    monkeypatch.setattr(NatKeeper, "_search", lambda _: router.find())
    monkeypatch.setattr(NatKeeper, "_listen", lambda _: trio.lowlevel.checkpoint())  # noqa: ASYNC105
    monkeypatch.setattr("devp2p.node.forwarding.Scope", type("Scope", (), {"LOOPBACK": None}))  # as if others could reach it
    settings = DiscoverySettings(listen="udp://[::1]:0")
    async with open_node(PrivateKey.generate(), [], listen=listen, discovery=settings, nat="pcp") as node:
        (bound,) = await node.listen("tls://127.0.0.1:0")
        assert bound.port is not None
        assert node.discovery is not None
        with trio.fail_after(10):
            while node.nat is None or len(node.nat.mapped) <= len(listen):
                await node.nat_changed()
        assert node.discovery.record.get_as("tls", int) == bound.port + 1
    assert not router.mapped


@pytest.mark.real_clock
async def test_each_entry_that_says_a_port_says_the_one_outside_and_the_users_stay():
    async with open_discovery(PrivateKey.generate(), listen="udp://127.0.0.1:0", entries={"tcp": 1000, "tls": 1000, "ws": 7}) as discovery:
        own = discovery.address.port

        def shown():
            record = discovery.record
            return str(record.ip), record.udp, *(int.from_bytes(record.entries[key][-2:]) for key in (b"tcp", b"tls", b"ws"))

        assert shown() == ("127.0.0.1", own, 1000, 1000, 7)
        assert discovery.forward(Endpoint(EXTERNAL, 0), {"tcp": (1000, 2000), "tls": (1000, 2001), "ws": (1000, 2002)})
        assert shown() == ("45.67.0.10", own, 2000, 2001, 7)
        assert discovery.forward(Endpoint(EXTERNAL, 5), {"tcp": (1000, 3000)})
        assert shown() == ("45.67.0.10", 5, 3000, 1000, 7)
        discovery.update_record({"tcp": 9})
        discovery.forward(Endpoint(OTHER, 5), {"tcp": (1000, 4000)})
        assert shown() == ("45.67.0.99", 5, 9, 1000, 7)
        discovery.forward(None)
        assert shown() == ("127.0.0.1", own, 9, 1000, 7)


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_a_node_that_only_this_machine_reaches_asks_no_router(monkeypatch, host):
    monkeypatch.setattr(NatKeeper, "run", lambda _: pytest.fail("it asks"))
    async with open_node(PrivateKey.generate(), [], listen=[f"tcp://{host}:0"], discovery=True, nat="any") as node:
        await trio.sleep(0.01)
        assert node.nat == NatStatus()


@pytest.mark.real_clock
async def test_extip_is_where_the_record_says_that_the_node_is():
    async with open_node(PrivateKey.generate(), [], listen=["tcp://127.0.0.1:0"], discovery=True, nat="extip:45.67.0.1") as node:
        assert node.discovery is not None
        assert str(node.discovery.record.ip) == "45.67.0.1"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"discovery": False}, "use it with discovery=True"),
        ({"discovery": DiscoverySettings(external=("45.67.0.2",))}, "both say where the node is"),
    ]
    for arguments, said in wrong:
        with pytest.raises(LocalProtocolError, match=said):
            await open_node(PrivateKey.generate(), [], nat="extip:45.67.0.1", **arguments).__aenter__()
