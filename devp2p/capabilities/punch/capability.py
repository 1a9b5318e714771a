"""`Punch`: punch/1 as a capability of a node."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import trio

from devp2p import Address, Capability, Channel, Node, NodeRecord, Peer, RemoteProtocolError, Successor
from devp2p.capabilities.punch.limits import PunchLimits
from devp2p.capabilities.punch.messages import Chosen, Connect, Failed, PunchMessage, Sync
from devp2p.capabilities.punch.rounds import Round, within
from devp2p.capabilities.punch.targets import Targets, own_addresses
from devp2p.capabilities.relay import Relay

_ANSWER = 15.0  # seconds for the peer to say what comes next
_MOMENT = 0.01
_MOST_MESSAGES = 32  # that one session has to say to the other, at most
M = TypeVar("M", Connect, Sync, Chosen, Failed)


class Punch(Capability[PunchMessage, "Punching"]):
    """punch/1: a session through a relay goes on over a direct link, where the NATs of both sides let it.

    It has nothing to do in other sessions, and leaves the session as it is where it fails. ``peer.link`` says what came of it.
    """

    name = "punch"
    version = 1
    messages: ClassVar[Mapping[int, type[Any]]] = {0: Connect, 1: Sync, 2: Chosen, 3: Failed}
    max_message_size: ClassVar[int] = 2048
    ready_within: ClassVar[float | None] = 5.0
    optional: ClassVar[bool] = True
    direct: ClassVar[bool] = True

    def __init__(self, *, limits: PunchLimits | None = None, anywhere: bool = False) -> None:
        """`anywhere`: to private and special addresses too, as tests and laboratories need it; else only to public ones."""
        self.limits: PunchLimits = limits or PunchLimits()
        self.targets: Targets = Targets(self.limits, anywhere=anywhere)
        self._node: Node | None = None

    async def run(self, peer: Peer, channel: Channel[PunchMessage]) -> None:
        """See to one session."""
        punching = Punching(self, peer, channel)
        channel.ready(punching)
        await punching.run()

    async def serve(self, node: Any) -> None:  # noqa: ANN401  (as in `Capability`)
        """Know the node, which knows where it listens."""
        self._node = node

    def wants(self, record: NodeRecord) -> bool:  # noqa: ARG002  (as in `Capability`)
        """Nobody for this alone."""
        return False

    @property
    def listening(self) -> tuple[Address, ...]:
        """Where the node listens."""
        return () if self._node is None else self._node.addresses

    @property
    def own(self) -> tuple[str, ...]:
        """What peers are told of where we are."""
        relay = None if self._node is None else next((one for one in self._node.capabilities if isinstance(one, Relay)), None)
        return self.targets.told(own_addresses(self.listening, () if relay is None else relay.observed))


class Punching:
    """punch/1 with one peer."""

    def __init__(self, punch: Punch, peer: Peer, channel: Channel[PunchMessage]) -> None:
        self.over: trio.Event = trio.Event()
        """Nothing more will be tried."""
        self.rounds: int = 0
        """Attempts so far."""
        self.problem: str = ""
        """Why the last one led to nothing."""
        self._punch = punch
        self._peer = peer
        self._channel = channel

    @property
    def is_direct(self) -> bool:
        """Whether the session goes over no relay."""
        return not self._peer.address.is_relayed

    async def run(self) -> None:
        """Try as often as it is worth, and then leave the session alone."""
        if self.is_direct:
            self.over.set()
            return
        try:
            # The side that was called begins: it has been reached over the relay, and so knows that both are there.
            await (self._begin() if self._peer.inbound else self._follow())
        finally:
            self.over.set()

    async def _begin(self) -> None:
        for number in range(1, self._punch.limits.rounds + 1):
            self.rounds = number
            async with self._peer.successor() as successor:
                began = trio.current_time()
                await self._channel.send(Connect(number, self._punch.own))
                theirs = await self._next(Connect, number)
                trip = trio.current_time() - began
                if theirs is None:
                    return
                targets = self._punch.targets.tried(theirs.addresses)
                if not targets and not theirs.addresses:
                    self.problem = "the peer has no address to try"
                    await self._channel.send(Failed(number))
                    return
                await self._channel.send(Sync(number))
                await trio.sleep(trip / 2)
                if await self._respond(successor, number, targets):
                    return

    async def _respond(self, successor: Successor, number: int, targets: tuple[Address, ...]) -> bool:
        """Do what is to be done in one round, until the peer says what came of it; whether the session goes on over another link."""
        attempt = Round(successor, self._punch.listening, targets, self._punch.limits)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attempt.respond)
            chosen = await self._next(Chosen, number)
            found = chosen is not None and await within(self._punch.limits.patience, successor.arrived)
            nursery.cancel_scope.cancel()
        if found and await successor.go_on():
            return True
        self.problem = self.problem or "no link came about"
        return False

    async def _follow(self) -> None:
        for _ in range(self._punch.limits.rounds):
            begun = await self._next(Connect, None)
            if begun is None:
                return
            self.rounds += 1
            targets = self._punch.targets.tried(begun.addresses)
            async with self._peer.successor() as successor:
                await self._channel.send(Connect(begun.round, self._punch.own))
                if await self._next(Sync, begun.round) is None:
                    return
                attempt = Round(successor, self._punch.listening, targets, self._punch.limits)
                if not await attempt.initiate():
                    self.problem = "no link came about" if targets else "the peer has no address that may be tried"
                    await self._channel.send(Failed(begun.round))
                    continue
                await self._channel.send(Chosen(begun.round))
                await self._wait_sent()  # what still waits when a session moves goes over the new link
                if await successor.go_on():
                    return

    async def _wait_sent(self) -> None:
        while self._peer.backlog(Punch).unsent_messages:  # noqa: ASYNC110  (no event tells of it)
            await trio.sleep(_MOMENT)

    async def _next(self, kind: type[M], number: int | None) -> M | None:
        """The next message, if it is of a kind and of a round; None if the peer says that this round has failed, or says nothing.

        RemoteProtocolError for anything else. What is left of an older round is passed over.
        """
        with trio.move_on_after(_ANSWER):
            for _ in range(_MOST_MESSAGES):
                message = await self._channel.receive()
                if number is not None and message.round < number:
                    continue
                if isinstance(message, kind) and number in {None, message.round}:
                    return message
                if isinstance(message, Failed):
                    return None
                raise RemoteProtocolError(f"{type(message).__name__} of round {message.round} where {kind.__name__} was due")
        self.problem = "the peer said nothing more"
        return None
