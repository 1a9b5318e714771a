"""Each wire that this suite runs over is what it says, and sessions over it go through what it is there for."""

from typing import Any

from Crypto.Hash.keccak import Keccak_Hash

from devp2p.keys import keccak_backend
from devp2p.transports import MuxLink
from devp2p.wire import FrameFraming, plain_framing
from devp2p.wire.rlpx import FrameSealer
from tests.chat import Chat, GetTime, Time
from tests.wires import TRAITS, WIRES, Wire, only


def sealer(framing: Any) -> Any:
    assert isinstance(framing, FrameFraming)
    return framing.sealer


async def test_two_nodes_talk(wire: Wire) -> None:
    async with wire.two_nodes([Chat()], [Chat()]) as (one, other):
        assert await one.connected[0][Chat].request(GetTime("abc")) == Time(1, 3)
        assert await other.connected[0][Chat].request(GetTime("a")) == Time(1, 1)


def test_traits_are_known_ones_and_no_trait_is_of_nobody() -> None:
    assert set(TRAITS) == set().union(*(wire.traits for wire in WIRES.values()))


@only("stock frames", because="there the sealer is known")
async def test_stock_frames_are_sealed_by_rlpx_and_hashed_by_the_library_that_the_wire_names(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (_, peer):
        ours = sealer(peer._streams.first.framing)
        assert type(ours) is FrameSealer
        running_hash: Any = ours._mac.update
        on_pycryptodome = wire.name == "pycryptodome" or keccak_backend == "pycryptodome"
        assert isinstance(running_hash.__self__, Keccak_Hash) == on_pycryptodome


@only("proof", because="elsewhere there is a handshake")
async def test_where_the_link_has_proved_the_peer_frames_have_no_cipher(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (node, peer):
        assert type(sealer(peer._streams.first.framing)) is type(plain_framing().sealer)
        assert peer.seal(b"\x02\x01\x00\xc0") == b"\x00\x00\x04\x02\x01\x00\xc0"
        assert node.connected[0].public_key == peer.key.public_key


@only("streams", because="elsewhere there is one")
async def test_each_capability_has_a_stream_of_its_own(wire: Wire) -> None:
    async with wire.scripted_peer([Chat()]) as (_, peer):
        assert isinstance(peer._streams._link, MuxLink)
        assert peer.stream_of(0x10) is not peer.stream
