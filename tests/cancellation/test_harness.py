"""The harness finds what it looks for: each fault that is planted here into the library is noticed."""

from contextlib import suppress
from typing import Any, cast

import trio

import devp2p.session.opening
from devp2p import Channel
from devp2p.errors import PeerDisconnected
from devp2p.node.dialer import Dialer
from devp2p.node.door import Door
from devp2p.node.policy import Policy
from devp2p.node.roster import Roster
from devp2p.peers.admission import Admission
from devp2p.session.credit_line import CreditLine
from devp2p.session.running import RunningSession
from devp2p.session.stream_line import StreamLine
from devp2p.wire.rlpx.handshake import Handshake
from tests.cancellation import scenarios
from tests.cancellation.harness import Fault, Scenario, pairs, play
from tests.cancellation.world import World


def is_told(scenario: Scenario, victim: str, *words: str, kind: str = "cancel") -> bool:
    """Whether all of this is told of a scenario that is played undisturbed, and once for each of its points, until it is."""
    calm = play(scenario)
    points = calm.steps if kind == "cancel" else calm.operations.get(victim, 0)
    text = "\n".join(calm.violations)
    for at in range(1, points + 1):
        if all(word in text for word in words):
            break
        text = "\n".join((text, *play(scenario, Fault(victim, at, kind)).violations))
    return all(word in text for word in words)


def test_a_token_that_is_not_returned_is_noticed(monkeypatch):
    connect, make = Dialer._connect, Door.__init__
    doors: dict[Any, Door] = {}

    def remember(self: Door, *arguments: Any) -> None:
        make(self, *arguments)
        doors[self._sessions] = self

    async def keep_a_token(self: Dialer, *arguments: Any) -> Any:
        try:
            return await connect(self, *arguments)
        except trio.Cancelled:
            doors[self._sessions].places.acquire_nowait()
            raise

    monkeypatch.setattr(Door, "__init__", remember)
    monkeypatch.setattr(Dialer, "_connect", keep_a_token)
    assert is_told(scenarios.DIAL, "user", "a still holds places for pending links: 1")


def test_an_extension_that_is_not_told_what_came_of_a_handshake_is_noticed(monkeypatch):
    failed = Handshake.failed

    def forget_when_cancelled(self: Handshake) -> None:
        if trio.current_effective_deadline() > trio.current_time():
            failed(self)

    monkeypatch.setattr(Handshake, "failed", forget_when_cancelled)
    assert is_told(scenarios.DIAL, "user", "a has not told its extension what came of 1 handshakes")


def test_a_place_of_a_network_that_is_not_given_back_is_noticed(monkeypatch):
    monkeypatch.setattr(Admission, "release", lambda *_: None)
    assert is_told(scenarios.DIAL, "a", "b still holds places of networks")


def test_a_wish_that_stays_is_noticed(monkeypatch):
    wish = Policy.wish

    def wish_for_ever(self: Policy, key: Any) -> Any:
        self._census.wished.add(b"somebody")
        return wish(self, key)

    monkeypatch.setattr(Policy, "wish", wish_for_ever)
    assert is_told(scenarios.DIAL, "user", "a still holds places of peers that are gone")


def test_a_link_that_stays_open_is_noticed(monkeypatch):
    async def leave_open(_: Any) -> None:
        pass

    monkeypatch.setattr(devp2p.session.opening, "close_link", leave_open)
    assert is_told(scenarios.DIAL, "user", "open streams of", "at the end there are streams of")


def test_a_session_that_stays_in_the_roster_is_noticed(monkeypatch):
    monkeypatch.setattr(Roster, "remove", lambda *_: None)
    assert is_told(scenarios.DIAL, "b", "keeps a session with b, which is gone")


def test_a_swallowed_cancellation_is_noticed_in_a_task_of_the_nodes(monkeypatch):
    read = StreamLine.receive

    async def deaf(self: StreamLine) -> None:
        with suppress(trio.Cancelled):
            await read(self)

    monkeypatch.setattr(StreamLine, "receive", deaf)
    assert is_told(scenarios.REQUEST, "a", ".receive was cancelled while it waited, and ended with Value(None)")


def test_a_swallowed_cancellation_is_noticed_in_the_users_call(monkeypatch):
    request = Channel.request

    async def whatever(self: Channel[Any], *arguments: Any) -> Any:
        try:
            return await request(self, *arguments)
        except trio.Cancelled:
            raise PeerDisconnected(0, by_remote=False) from None

    monkeypatch.setattr(Channel, "request", whatever)
    assert is_told(scenarios.REQUEST, "user", "came back although it was cancelled")


def test_a_slow_end_is_noticed(monkeypatch):
    close = RunningSession._close

    async def linger(self: RunningSession) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(1.5)
        await close(self)

    monkeypatch.setattr(RunningSession, "_close", linger)
    assert is_told(scenarios.REQUEST, "a", "a took 1.5 s to end after it was cancelled")


def test_dials_that_outlive_their_node_are_noticed(monkeypatch):
    monkeypatch.setattr(Dialer, "close", lambda _: None)
    assert is_told(scenarios.DIAL, "a", "Nursery is closed to new arrivals")


def test_a_stream_that_is_used_after_a_cut_off_write_is_noticed(monkeypatch):
    send = CreditLine.send

    async def one_more(self: CreditLine) -> bool:
        goes_on = await send(self)
        if cast("RunningSession", self._side).ending.detail == "the link broke":
            with suppress(trio.BrokenResourceError):
                await self._stream.send_all(b"farewell")
        return goes_on

    monkeypatch.setattr(CreditLine, "send", one_more)
    assert is_told(scenarios.REQUEST, "a", "a wrote 8 bytes after a write that was cut off", kind="broken")


def test_a_task_that_spins_is_noticed(monkeypatch):
    monkeypatch.setattr("tests.cancellation.harness._MOST_STEPS", 500)

    async def spin(_: World) -> None:
        while True:
            await trio.lowlevel.checkpoint()

    violations = play(Scenario(name="spin", prepare=scenarios.two, user=spin)).violations
    assert "it spins" in violations


def test_what_never_ends_is_noticed():
    async def wait(_: World) -> None:
        await trio.sleep_forever()

    violations = play(Scenario(name="wait", prepare=scenarios.two, user=wait), Fault("nobody", 0)).violations
    assert violations[0] == "the scenario does not come to its end by itself"


def test_each_run_is_like_the_other():
    assert play(scenarios.CROSSING).steps == play(scenarios.CROSSING).steps
    at = [play(scenarios.CROSSING, Fault("a", 30)).hits for _ in range(2)]
    assert at[0] == at[1] != []


def test_two_things_do_go_wrong():
    assert any(len(one.hits) == 2 for one in pairs(scenarios.DIAL, 10, 3, play(scenarios.DIAL)))
