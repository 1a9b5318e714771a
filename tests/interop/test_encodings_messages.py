"""Every message of every version, byte for byte as go-ethereum's own types encode it, with the values that it was made of."""

from collections.abc import Mapping
from typing import Any

import pytest

from devp2p.capabilities.eth.messages import MESSAGES
from devp2p.capabilities.snap import Snap1, Snap2
from devp2p.rlp import codec
from tests.interop.encodings import Line, data, message_of, printed

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("chaintool")]

TABLES: dict[str, Mapping[int, Mapping[int, type[Any]]]] = {"eth": MESSAGES, "snap": {1: Snap1.messages, 2: Snap2.messages}}

NOT_GETH = {("eth", "NewBlockHashes"), ("eth", "NewBlock")}
"""What go-ethereum has no types for any more: peers may not send them since the merge."""


def lines(capability: str) -> list[Line]:
    return [line for line in printed()["message"] if line["capability"] == capability]


@pytest.mark.parametrize("capability", TABLES)
def test_every_message_of_every_version_is_there(capability: str):
    ours = {
        (version, code, kind.__name__)
        for version, table in TABLES[capability].items()
        for code, kind in table.items()
        if (capability, kind.__name__) not in NOT_GETH
    }
    assert ours == {(version, line["code"], line["name"]) for line in lines(capability) for version in line["versions"]}


@pytest.mark.parametrize("capability", TABLES)
def test_messages_are_read_and_written_as_go_ethereum_does(capability: str):
    for line in lines(capability):
        for version in line["versions"]:
            kind = TABLES[capability][version][line["code"]]
            encoded, made = data(line["rlp"]), message_of(kind, line["value"])
            assert codec(kind).encode(made) == encoded, line
            read = codec(kind).decode(encoded)
            assert read == made, line
            assert codec(kind).encode(read) == encoded
            assert len(encoded) <= kind.max_size
