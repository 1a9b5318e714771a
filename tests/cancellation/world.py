"""Nodes whose scopes a test can cancel, the checks that nothing is left of what they did, and a count of the scheduler's steps."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DialError, Limits, Node, NodeRecord, Peer, PeerDisconnected, PrivateKey, open_node
from tests.cancellation.wires import Seat, Wires
from tests.chat import Chat, GetTime
from tests.wire.remembering import Remembering

LIMITS = Limits(ping_interval=10**6, inbound_retry=0)
PATIENCE = LIMITS.closing_timeout
"""Seconds within which everything that was cancelled has to be gone."""
KEYS = {name: PrivateKey.from_bytes(bytes([number]) * 32) for number, name in enumerate("abcd", 1)}
EXPECTED = (DialError, PeerDisconnected, trio.TooSlowError, trio.EndOfChannel, trio.BrokenResourceError)
"""What a user's call may raise when the node, its peer or the link is gone."""


class House:
    """A node, and the scope around it."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name = name
        self.options = options
        self.scope = trio.CancelScope()
        self.leave = trio.Event()
        self.gone = trio.Event()
        self.gone_at = math.inf
        self.node: Node | None = None

    async def live(self, wires: Wires, opened: trio.Event) -> None:
        try:
            with self.scope:
                async with open_node(KEYS[self.name], transports=[Seat(wires, self.name)], strict=True, **self.options) as self.node:
                    opened.set()
                    await self.leave.wait()
        finally:
            self.gone_at = trio.current_time()
            self.gone.set()


class World:
    """What a scenario plays in."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.wires = Wires()
        self.houses: dict[str, House] = {}
        self.user = trio.CancelScope()
        self.user_task: trio.lowlevel.Task | None = None
        self.finished = False
        """Whether the user's part ran to its end, or to an error that it may meet."""
        self.acted = trio.Event()
        self.acted_at = math.inf
        self.violations = self.wires.violations
        self._nursery = nursery

    def __getitem__(self, name: str) -> Node:
        node = self.houses[name].node
        assert node is not None
        return node

    def record(self, name: str) -> NodeRecord:
        return self[name].record

    async def open(self, name: str, **options: Any) -> None:
        """Open a node; returns when it runs, or has been cancelled before."""
        options = {"capabilities": [Chat()], "listen": [f"memory://{name}"], "limits": LIMITS, "extension": Remembering(), **options}
        house = self.houses[name] = House(name, options)
        opened = trio.Event()
        self._nursery.start_soon(house.live, self.wires, opened, name=f"house {name}")
        async with trio.open_nursery() as nursery:
            for event in (opened, house.gone):
                nursery.start_soon(_until, event, nursery.cancel_scope)

    def alive(self, name: str) -> bool:
        return name in self.houses and not self.houses[name].gone.is_set()

    async def act(self, user: Callable[["World"], Awaitable[None]]) -> None:
        """Do the user's part, in a scope of its own."""
        self.user_task = trio.lowlevel.current_task()
        try:
            with self.user:
                try:
                    await user(self)
                except* EXPECTED:
                    pass
                self.finished = True
        except Exception as error:  # noqa: BLE001  (whatever it is, it is a finding)
            self.violations.append(f"the user met {error!r}")
        finally:
            self.acted_at = trio.current_time()
            self.acted.set()

    async def leave(self, name: str) -> None:
        house = self.houses[name]
        house.leave.set()
        await house.gone.wait()

    # What must hold afterwards

    def check_gone(self, victim: str, cancelled_at: float) -> None:
        """Whatever was cancelled must have been gone soon."""
        gone_at = self.acted_at if victim == "user" else self.houses[victim].gone_at
        if gone_at - cancelled_at > PATIENCE + 1e-6:
            self.violations.append(f"{victim} took {gone_at - cancelled_at:g} s to end after it was cancelled")

    def check_quiet(self) -> None:
        """Every token, place and slot is back where it was, but for those of living sessions."""
        ends = 0
        for name, house in self.houses.items():
            node = house.node
            if node is None:
                continue
            for what, left in _held(node).items():
                if left:
                    self.violations.append(f"{name} still holds {what}: {left}")
            if left := _unsettled(house.options["extension"]):
                self.violations.append(f"{name} has not told its extension what came of {left} handshakes")
            if not self.alive(name) and len(node.connected):
                self.violations.append(f"{name} has ended with peers in its roster")
            for other in self.houses.values():
                if self.alive(name) and other.node is not None:
                    ends += (one := node.roster.get(other.node.public_key) is not None)
                    if one and not self.alive(other.name):
                        self.violations.append(f"{name} keeps a session with {other.name}, which is gone")
                    elif one and other.node.roster.get(node.public_key) is None:
                        self.violations.append(f"{name} believes in a session with {other.name}, which does not")
        if len(self.wires.open_streams) != ends:
            owners = [stream.owner for stream in self.wires.open_streams]
            self.violations.append(f"{ends} ends of sessions, but open streams of {owners}")

    async def check_works(self, caller: str, called: str) -> None:
        """A session between the two can be had, or is there, and works in both directions."""
        for name in (caller, called):
            if not self.alive(name):
                await self.open(name, **(self.houses[name].options if name in self.houses else {}))
        try:
            with trio.fail_after(10):
                there = await self[caller].connect(self.record(called))
                while (back := self[called].roster.get(self[caller].public_key)) is None:  # noqa: ASYNC110
                    await trio.sleep(0.1)
                for peer in (there, back):
                    await ask(peer)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is a finding)
            self.violations.append(f"a session of {caller} with {called} does not work afterwards: {error!r}")

    async def close(self) -> None:
        for name in self.houses:
            await self.leave(name)
        await wait_all_tasks_blocked()
        if self.wires.open_streams or self.wires.listeners:
            left = [stream.owner for stream in self.wires.open_streams], self.wires.listeners
            self.violations.append(f"at the end there are streams of and listeners at {left}")


async def ask(peer: Peer) -> None:
    assert (await peer[Chat].request(GetTime("abc"))).seconds == 3


async def _until(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _unsettled(extension: Remembering) -> int:
    """Of how many handshakes an extension still waits to hear what came of them; below zero if it heard too much."""
    told = [what for what, _ in extension.told]
    asked = told.count("offer") + told.count("answer")
    return asked - (len(told) - asked) or len(extension.pending)


def _held(node: Node) -> dict[str, Any]:
    """What a node holds that belongs to no session."""
    door, policy, limits = node._door, node.policy, node._local.limits
    peers = {peer.id for peer in node.connected}
    channels = [channel for peer in node.connected for _, channel in peer._channels]
    budget = node._local.budget
    return {
        "places for pending links": door.waiting,
        "places of networks": dict(door.admission._pending),
        "farewells": door.farewells,
        "second links": door._sessions._seconds,
        "dials": [*node._dialer._over, *policy.candidates.reached_for, *policy.candidates.dialling],
        "places of peers that are gone": (policy._census.leaving | policy._census.wished | policy._census._nearest.keys()) - peers,
        "demands": policy._demands,
        "room in inboxes": 0 if budget is None else budget._used,
        "waiters": [channel for channel in channels if channel._waiters],
        "requests": [channel for channel in channels if channel._asking.value != limits.pending_requests],
    }
