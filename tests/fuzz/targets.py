"""All fuzz targets by name: what the fuzzers run, what the corpus is kept for.

A target is some entry points that read the same kind of bytes, so that they share a corpus and a minute in CI; each input is given to all
of them. An entry point takes any bytes and raises nothing, but for a defect.
"""

from collections.abc import Callable, Mapping
from typing import Final

from tests.fuzz import (
    adversary,
    block_targets,
    discovery_targets,
    dns_targets,
    dpx_targets,
    introduction_targets,
    nat_targets,
    prelude_targets,
    rlp_targets,
    session_targets,
    snap_targets,
    stream_targets,
    trie_targets,
    wire_targets,
    ws_targets,
)

EntryPoint = Callable[[bytes], None]

TARGETS: Final[Mapping[str, tuple[EntryPoint, ...]]] = {
    "rlp": (rlp_targets.fuzz_rlp_decode, rlp_targets.fuzz_rlp_typed, rlp_targets.fuzz_rlp_lazy),
    "handshake": (
        wire_targets.fuzz_ecies,
        wire_targets.fuzz_auth,
        wire_targets.fuzz_ack,
        prelude_targets.fuzz_request,
        prelude_targets.fuzz_answer,
    ),
    "messages": (
        wire_targets.fuzz_frames,
        session_targets.fuzz_hello,
        session_targets.fuzz_disconnect,
        session_targets.fuzz_snappy,
        session_targets.fuzz_message,
    ),
    "connection": (session_targets.fuzz_connection,),
    "streams": (
        stream_targets.fuzz_plain_frames,
        stream_targets.fuzz_own_stream,
        stream_targets.fuzz_stream_name,
        ws_targets.fuzz_ws_frames,
        ws_targets.fuzz_ws_request,
        ws_targets.fuzz_ws_answer,
    ),
    "dpx": (
        dpx_targets.fuzz_dpx_element,
        dpx_targets.fuzz_dpx_header,
        dpx_targets.fuzz_dpx_control,
        dpx_targets.fuzz_dpx_records,
        dpx_targets.fuzz_dpx_frames,
    ),
    "session": (adversary.fuzz_session, adversary.fuzz_dpx_session),
    "records": (
        discovery_targets.fuzz_enr_rlp,
        discovery_targets.fuzz_enr_text,
        discovery_targets.fuzz_enode,
        dns_targets.fuzz_dns_entry,
        dns_targets.fuzz_dns_root,
        introduction_targets.fuzz_introduction,
    ),
    "blocks": (
        block_targets.fuzz_header,
        block_targets.fuzz_block,
        block_targets.fuzz_transaction,
        block_targets.fuzz_receipt,
        block_targets.fuzz_access_list,
    ),
    "v4": (discovery_targets.fuzz_v4_packet,),
    "v5": (discovery_targets.fuzz_v5_packet, discovery_targets.fuzz_v5_handshake, discovery_targets.fuzz_v5_message),
    "nat": (nat_targets.fuzz_nat_pmp, nat_targets.fuzz_pcp, nat_targets.fuzz_ssdp, nat_targets.fuzz_stun),
    "snap": (snap_targets.fuzz_snap,),
    "tries": (trie_targets.fuzz_trie_node, trie_targets.fuzz_account, trie_targets.fuzz_true_range, trie_targets.fuzz_forged_range),
}
MAX_SIZE: Final = 1400
"""The most bytes of an input: a datagram has at most 1,280."""


def run(name: str, data: bytes) -> None:
    """Give an input to a target."""
    for entry_point in TARGETS[name]:
        entry_point(data)
