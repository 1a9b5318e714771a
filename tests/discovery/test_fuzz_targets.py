"""The fuzz targets hold for what Hypothesis thinks of, and reach what they are for."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.discovery.v4 import packets as v4_packets
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.records.enr import Record
from tests.fuzz import discovery_targets
from tests.fuzz.discovery_targets import KEY

VECTORS = Path(__file__).parent.parent / "vectors"
RECORD = Record.parse(json.loads((VECTORS / "enr.json").read_text())["enr"])
V4 = [bytes.fromhex(packet["packet"]) for packet in json.loads((VECTORS / "discv4_packets.json").read_text())["packets"]]

leaves = st.binary(max_size=4) | st.sampled_from(
    [b"ip", b"ip6", b"tcp", b"udp", b"udp6", b"eth", b"v4", bytes(4), bytes(16), bytes(32), bytes(64)]
)
items = st.recursive(leaves, lambda inner: st.lists(inner, max_size=5), max_leaves=12)
pairs = st.dictionaries(st.sampled_from([b"eth", b"ip", b"ip6", b"tcp", b"tcp6", b"udp", b"udp6", b"x"]), items, max_size=4).map(
    lambda entries: b"".join(rlp.encode(key) + rlp.encode(value) for key, value in sorted(entries.items()))
)
seeds = st.sampled_from([RECORD.encode(), RECORD.text.encode(), *V4, *(packet[98:] for packet in V4)])
spoiled = st.tuples(seeds, st.integers(0, 600), st.binary(max_size=2)).map(
    lambda edit: edit[0][: edit[1]] + edit[2] + edit[0][edit[1] + 1 :]
)
inputs = st.binary(max_size=300) | st.binary(min_size=1100, max_size=1300) | items.map(rlp.encode) | pairs | seeds | spoiled


@pytest.mark.parametrize("name", [name for name in vars(discovery_targets) if name.startswith("fuzz_")])
def test_the_invariant_holds(name):
    target = getattr(discovery_targets, name)

    @settings(max_examples=100, deadline=None)
    @given(inputs)
    def run(data):
        target(data)

    run()


def test_the_targets_reach_what_they_are_for():
    """What the targets wrap up is accepted if the bytes make sense, so the invariants are not empty."""
    port = rlp.encode(b"tcp") + rlp.encode(30303)
    assert (
        Record.decode(discovery_targets.sign_record(rlp.encode(b"id") + rlp.encode(b"v4") + discovery_targets._PUBLIC_KEY + port)).tcp
        == 30303
    )
    for packet in V4:
        discovery_targets.fuzz_v4_packet(packet)
        assert type(v4_packets.decode(discovery_targets.sign_packet(packet[97:])).packet) is v4_packets.PACKETS[packet[97]]
    for message in (v5_messages.Ping(b"1", 2), v5_messages.Nodes(b"", 1, (RECORD.encode(),))):
        discovery_targets.fuzz_v5_message(v5_messages.encode_message(message))
    discovery_targets.fuzz_enr_rlp(RECORD.encode())
    discovery_targets.fuzz_enr_text(RECORD.text.encode())
    discovery_targets.fuzz_v5_handshake(KEY.public_key.compressed)
