"""Rows X3 and X4 of THREATS.md: somebody on the way between two that do not know each other, and who asks for keys without end.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Limits, Node, PrivateKey, PublicKey
from devp2p.errors import HandshakeError
from devp2p.wire.connection import HelloReceived
from devp2p.wire.dpx import Answering, Asking, Dpx, PreludeEntropy, prelude
from devp2p.wire.opening import Opening
from devp2p.wire.rlpx import Handshake, SeenAuths
from tests.attacks.test_handshake_links import LIMITS, Internet, join
from tests.fuzz.wire_targets import KEY, OTHER, entropy
from tests.network import running
from tests.wire.forger import SPECS, our_hello

Change = Callable[[bytes], bytes]
IMPOSTOR = PrivateKey.from_bytes(b"\x66" * 32)


def untouched(data: bytes) -> bytes:
    return data


class Talk:
    """KEY calls whoever is there, which is OTHER, through somebody who may change each of the three messages before the ack."""

    def __init__(self, *changes: Change, answering: PrivateKey = OTHER) -> None:
        self.called: list[PublicKey] = []
        """With whose keys the caller has gone on."""
        self.messages: list[bytes] = []
        one, other = (Dpx(random.Random(number).randbytes) for number in (1, 2))
        asked, answered = (PreludeEntropy.draw(random.Random(number).randbytes) for number in (3, 4))

        def begin(remote: PublicKey, asked: bytes) -> Handshake:
            self.called.append(remote)
            return Handshake(KEY, entropy(1), remote=remote, extension=one, prelude=asked)

        def answer(asked: bytes) -> Handshake:
            return Handshake(answering, entropy(2), extension=other, prelude=asked)

        self.ends = (
            Opening(our_hello(KEY), SPECS, Asking(asked, begin)),
            Opening(our_hello(answering), SPECS, Answering(answering, answered, answer)),
        )
        self.refused = False
        try:
            for turn in range(5):
                self.messages.append(self.ends[turn % 2].data_to_send())
                self.ends[1 - turn % 2].receive_data((changes[turn] if turn < len(changes) else untouched)(self.messages[turn]))
        except HandshakeError:
            self.refused = True

    @property
    def sessions(self) -> tuple[bool, bool]:
        """Whether each end has read the other's Hello."""
        return has_session(self.ends[0]), has_session(self.ends[1])


def has_session(end: Opening) -> bool:
    found = []
    while (event := end.next_event()) is not None:
        found.append(event)
    return any(isinstance(event, HelloReceived) for event in found)


def flipped(position: int) -> Change:
    return lambda data: data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


# X3: on the way


def flip_all(step: int) -> int:
    honest, runs = Talk(), 0
    assert honest.sessions == (True, True)
    for message in range(3):
        for position in range(message % step, len(honest.messages[message]), step):
            talk = Talk(*[untouched] * message, flipped(position))
            assert talk.sessions == (False, False), (message, position)
            runs += 1
    return runs


def test_x3_a_changed_byte_before_the_ack_leads_to_no_session() -> None:
    assert flip_all(29) > 30


@pytest.mark.simulation
def test_x3_any_changed_byte_before_the_ack_leads_to_no_session() -> None:
    assert flip_all(1) > 800  # the auth has a random size


PADDING = flipped(100)
"""Of the request, where nothing else depends on it."""


def test_x3_control_if_nothing_depended_on_what_was_said_it_could_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Talk(PADDING).sessions == (False, False)
    monkeypatch.setattr(prelude, "keccak256", lambda _: bytes(32))
    assert Talk(PADDING).sessions == (True, True)


def in_anothers_name(request: bytes) -> bytes:
    """The impostor answers, and says that it is OTHER."""
    own, theirs = IMPOSTOR, PublicKey.from_bytes(request[4:37])
    signature = IMPOSTOR.sign(prelude._digest(request[4:37], own.public_key.compressed))
    claim = prelude._CLAIM.encode(prelude._Claim(bytes(OTHER.public_key), signature))
    head = (33 + len(claim) + 16).to_bytes(2) + own.public_key.compressed
    return head + prelude._seal(prelude._answer_key(prelude._extract(own.ecdh(theirs), request + head)), claim, b"")


def impersonate() -> Talk:
    """Let the impostor answer in OTHER's name."""
    requests: list[bytes] = []

    def note(request: bytes) -> bytes:
        requests.append(request)
        return request

    return Talk(note, lambda _: in_anothers_name(requests[0]))


def test_x3_who_answers_in_anothers_name_is_not_called() -> None:
    talk = impersonate()
    assert talk.refused
    assert talk.called == []


def test_x3_control_without_the_signature_the_caller_believes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PublicKey, "verify", lambda *_: True)
    talk = impersonate()
    assert talk.called == [OTHER.public_key]
    assert talk.sessions == (False, False)  # only the holder of the key opens what is sent to it


def test_x3_who_answers_in_its_own_name_is_who_is_called() -> None:
    talk = Talk(answering=IMPOSTOR)
    assert talk.sessions == (True, True)
    assert talk.called == [IMPOSTOR.public_key]  # nobody has said whom the caller meant


def test_x3_who_sends_an_answer_to_another_call_is_refused() -> None:
    """It is signed, and even sealed, for another's fresh key."""
    recorded = Talk().messages[1]
    asked = Asking(PreludeEntropy.draw(random.Random(9).randbytes), lambda *_: Handshake(KEY, entropy(1), remote=OTHER.public_key))
    with pytest.raises(HandshakeError):
        asked.receive_data(recorded)


# X4: who asks without end

REQUEST = Talk().messages[0]


def request(seed: int) -> bytes:
    return Asking(PreludeEntropy.draw(random.Random(seed).randbytes), lambda *_: Handshake(KEY, entropy(1))).data_to_send()


async def ask(network: Internet, host: str, node: Node, question: bytes) -> bytes:
    """What the node answers, until it hangs up or waits for more."""
    stream = await network.call(host, node)
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(question)
        with trio.move_on_after(0.5):
            return bytes(await stream.receive_some())
    return b"waits"


async def ask_again(count: int) -> int:
    """A recorded question comes again and again: how often it is answered."""
    network, answered = Internet(), 0
    async with running(network, limits=Limits(**LIMITS), reveal_key=True) as node:
        for number in range(count):
            answered += len(await ask(network, f"66.0.{number}.6", node, REQUEST)) > 100
    return answered


async def test_x4_a_recorded_question_is_answered_once() -> None:
    assert await ask_again(20) == 1


async def test_x4_control_without_a_memory_it_costs_a_signature_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeenAuths, "is_new", lambda *_: True)
    assert await ask_again(20) == 20


async def test_x4_a_node_that_was_not_told_to_answer_hangs_up_and_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    signed: list[Any] = []
    network = Internet()
    async with running(network, limits=Limits(**LIMITS)) as node:
        monkeypatch.setattr(PrivateKey, "sign", lambda *arguments: signed.append(arguments))
        assert await ask(network, "66.0.0.6", node, REQUEST) == b""
        assert await ask(network, "66.0.1.6", node, REQUEST[:2]) == b""
        await wait_all_tasks_blocked()
        assert node.statistics.handshakes == 0
    assert not signed


async def test_x4_control_one_that_was_told_to_says_who_it_is() -> None:
    network = Internet()
    async with running(network, limits=Limits(**LIMITS), reveal_key=True) as node:
        assert len(await ask(network, "66.0.0.6", node, REQUEST)) > 184


async def in_time(limits: Limits) -> list[float | None]:
    """How long honest nodes take to get in while many ask for the key and say no more."""
    network, took = Internet(), list[float | None]()

    async def hold(number: int) -> None:
        await trio.sleep(number / 3)
        stream = await network.call(f"66.0.{number}.6", node)
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(request(number))
            while await stream.receive_some():
                pass

    async with running(network, limits=limits, reveal_key=True, max_peers=200) as node, trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(hold, number)
        for number in range(4):
            await trio.sleep(3)
            took.append(await join(network, f"30.0.{number}.7", node))
        nursery.cancel_scope.cancel()
    return took


async def test_x4_questions_take_a_place_no_longer_than_handshakes_may_while_others_wait() -> None:
    assert all(one is not None and one <= 1.5 for one in await in_time(Limits(**LIMITS, pending_inbound=5)))


async def test_x4_control_where_nobody_has_to_make_room_they_keep_others_waiting() -> None:
    took = await in_time(Limits(**LIMITS, pending_inbound=5, crowded_timeout=5.0))
    assert sum(one is None or one > 1.5 for one in took) >= 2


async def test_x4_questions_that_are_not_finished_take_no_place() -> None:
    network = Internet()
    async with running(network, limits=Limits(**LIMITS, pending_inbound=2), reveal_key=True) as node, trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ask, network, f"66.0.{number}.6", node, REQUEST[: 4 + number])
        await wait_all_tasks_blocked()
        assert (node.statistics.handshakes, node._door.places.value) == (20, 2)
        assert await join(network, "30.0.0.7", node) == 0.0
        nursery.cancel_scope.cancel()
