"""The fuzz target for what a node is shown as an introduction."""

from devp2p.errors import DecodingError
from devp2p.keys import PrivateKey
from devp2p.wire.dpx.introduction import MAX_RECORD, IntroductionRecord

SUBJECT = PrivateKey.from_bytes(bytes(31) + b"\x02").public_key
AUDIENCE = PrivateKey.from_bytes(bytes(31) + b"\x01").public_key.node_id


def fuzz_introduction(data: bytes) -> None:
    # Invariant: any bytes are a record, which is written as it came, or a DecodingError; whatever it says, asking about it raises nothing.
    try:
        record = IntroductionRecord.decode(data)
    except DecodingError:
        return
    assert record.encode() == data
    assert len(data) <= MAX_RECORD
    record.fault(SUBJECT, AUDIENCE, 1_800_000_000)
    record.is_signed()
