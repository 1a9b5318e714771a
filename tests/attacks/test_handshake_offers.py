"""Row H4 of THREATS.md, for an extension that rides in auth and ack: what is forged or sent again changes nothing that it keeps of a node.

The extension is a toy, which remembers a secret for each peer. A control runs the same attack against one that acts on an auth alone.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from trio.testing import wait_all_tasks_blocked

from devp2p import DialError, Node, PrivateKey, PublicKey
from devp2p.keys import keccak256
from devp2p.testing import ScriptedPeer
from devp2p.wire.rlpx import ecies
from devp2p.wire.rlpx.agreement import Agreement
from devp2p.wire.rlpx.handshake import Entropy, Handshake
from devp2p.wire.rlpx.packets import ACK, AUTH, Ack, Auth
from tests.attacks.test_handshake_replays import everything_is_new, send
from tests.network import LARGE, Network, listening_script, running
from tests.wire.remembering import Kept, Remembering, encoded, find, offer_proof, snapshot


def sealed(to: PublicKey, body: bytes) -> bytes:
    prefix = (ecies.OVERHEAD + len(body)).to_bytes(2, "big")
    return prefix + ecies.encrypt(to, body, ephemeral=PrivateKey.generate(), iv=bytes(16), shared_mac_data=prefix)


@dataclass
class Friends:
    """A node, and another that it has met once."""

    network: Network
    node: Node
    ours: Remembering
    """What the node remembers."""
    friend: Node
    theirs: Remembering

    async def meet(self) -> None:
        peer = await self.friend.connect(self.node.record)
        await wait_all_tasks_blocked()
        peer.disconnect()
        await peer.wait_ended()
        await wait_all_tasks_blocked()

    @property
    def of_friend(self) -> Kept:
        return self.ours.peers[LARGE.public_key]

    def auth(self, number: int) -> bytes:
        """What the friend sends when it calls; somebody listens."""
        own = Entropy.draw(random.Random(number).randbytes)
        call = Handshake(LARGE, own, remote=self.node.public_key, extension=self.theirs)
        packet = call.data_to_send()
        call.failed()
        return packet

    def forged(self, number: int, *elements: bytes) -> bytes:
        """An auth in the friend's name without its key: some ephemeral key is recovered from any signature, so that it opens."""
        signature = PrivateKey.generate().sign(keccak256(bytes([number])))
        return sealed(self.node.public_key, AUTH.encode(Auth(signature, bytes(LARGE.public_key), bytes([number]) * 32, b"\x04", elements)))

    async def attack(self) -> list[bool]:
        """Send all kinds of auths in the friend's name, and then what is no frame; for each whether it was answered."""
        genuine = self.auth(1)
        of_another_auth = encoded(
            bytes(16), offer_proof(self.of_friend.secret, Auth(bytes(65), bytes(LARGE.public_key), bytes(32), b"\x04"))
        )
        offers = [(), *(encoded(bytes(16), bytes(size)) for size in (0, 32, 64)), of_another_auth, (b"\xc4\x83toy",), of_another_auth * 2]
        packets = [genuine, genuine, *(self.forged(number, *elements) for number, elements in enumerate(offers, 2))]
        return [len(await send(self.network, self.node, packet)) > 300 for packet in packets]


@asynccontextmanager
async def friends(ours: Remembering) -> AsyncIterator[Friends]:
    network, theirs = Network(), Remembering(2)
    async with running(network, extension=ours) as node, running(network, "friend", key=LARGE, extension=theirs) as friend:
        met = Friends(network, node, ours, friend, theirs)
        await met.meet()
        assert met.of_friend.meetings == ["new"]
        ours.told.clear()
        yield met


async def is_known_again(met: Friends) -> bool:
    await met.meet()
    here, there = met.of_friend, met.theirs.peers[met.node.public_key]
    return (here.meetings[-1], there.meetings[-1], here.secret) == ("known", "known", there.secret)


@pytest.mark.parametrize("cache", [True, False])
async def test_h4_offers_in_anothers_name_change_nothing_that_is_kept_of_it(monkeypatch: pytest.MonkeyPatch, *, cache: bool) -> None:
    if not cache:  # an auth of more than ten minutes ago is no replay any more
        everything_is_new(monkeypatch)
    async with friends(Remembering(1)) as met:
        before = snapshot(met.ours)
        assert await met.attack() == [True, not cache, *[True] * 7]
        assert [what for what, _ in met.ours.told] == ["answer", "failed"] * (8 if cache else 9), "it was asked, in the friend's name"
        assert {who for _, who in met.ours.told} == {LARGE.public_key}
        assert snapshot(met.ours) == before
        assert not met.ours.pending
        assert await is_known_again(met)
        assert snapshot(met.ours) != before


class Hasty(Remembering):
    """The defence away: it takes an auth for proof, and goes on to the next secret, or forgets a peer whose proof is wrong."""

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> tuple[bytes, ...]:
        answer = super().answer(remote, auth, ack)
        theirs, kept = find(auth.elements), self.peers.get(remote)
        if kept is not None and theirs is not None:
            kept.secret = keccak256(kept.secret) if theirs.proof == offer_proof(kept.secret, auth) else bytes(32)
        return answer


async def test_h4_control_an_extension_that_acts_on_an_auth_loses_what_it_keeps() -> None:
    async with friends(Hasty(1)) as met:
        before = snapshot(met.ours)
        await met.attack()
        assert snapshot(met.ours) != before
        assert not await is_known_again(met)


@pytest.mark.parametrize("packet", ["forged", "replayed"])
async def test_h4_control_one_packet_is_enough_for_it(packet: str) -> None:
    async with friends(Hasty(1)) as met:
        sent = met.auth(1) if packet == "replayed" else met.forged(1, *encoded(bytes(16), bytes(32)))
        before = snapshot(met.ours)
        await send(met.network, met.node, sent)
        assert snapshot(met.ours) != before
        assert not await is_known_again(met)


# What answers in another's place


def forged_ack(caller: PublicKey, *elements: bytes) -> bytes:
    """An ack by somebody who cannot open the auth that it answers: anybody can encrypt something to the caller."""
    return sealed(caller, ACK.encode(Ack(bytes(PrivateKey.generate().public_key), bytes(32), b"\x04", elements)))


async def dial_a_liar(met: Friends, *elements: bytes) -> None:
    async def lie(peer: ScriptedPeer) -> None:
        await peer.stream.receive_some()
        await peer.stream.send_all(forged_ack(met.node.public_key, *elements) + bytes(200))
        while await peer.stream.receive_some():
            pass

    async with listening_script(met.network, lie) as record:  # at an address that is said to be the friend's
        with pytest.raises(DialError):
            await met.node.connect(record)


ELEMENTS = {"none": (), "unknown": encoded(bytes(16), b""), "a wrong proof": encoded(bytes(16), bytes(32)), "malformed": (b"\xc4\x83toy",)}


@pytest.mark.parametrize("kind", ELEMENTS)
async def test_h4_an_answer_in_anothers_place_changes_nothing_that_is_kept_of_it(kind: str) -> None:
    async with friends(Remembering(1)) as met:
        before = snapshot(met.ours)
        await dial_a_liar(met, *ELEMENTS[kind])
        assert met.ours.told == [("offer", LARGE.public_key), ("failed", LARGE.public_key)]
        assert snapshot(met.ours) == before
        assert not met.ours.pending
        assert await is_known_again(met)


class Resentful(Remembering):
    """The defence away: it forgets a peer with which a handshake failed."""

    def failed(self, agreement: Agreement) -> None:
        super().failed(agreement)
        self.peers.pop(agreement.remote, None)


async def test_h4_control_an_extension_that_acts_on_a_failure_loses_what_it_keeps() -> None:
    async with friends(Resentful(1)) as met:
        await dial_a_liar(met)
        assert not snapshot(met.ours)
        assert not await is_known_again(met)
