"""A node as it runs (`open_node`, `open_discovery`) and go-ethereum's ``devp2p`` command find and understand each other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from devp2p import Address, Node, NodeRecord, PrivateKey, open_node
from devp2p.discovery import open_discovery
from devp2p.records.enr import Record
from tests.chat import Chat
from tests.interop.geth_discovery import devp2p, listening

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("geth")]


@asynccontextmanager
async def our_node() -> AsyncIterator[Node]:
    async with open_node(PrivateKey.generate(), [Chat()], listen=["tcp://127.0.0.1:0"], discovery=True) as node:
        yield node


@pytest.mark.parametrize(("version", "answered"), [("discv4", "node responded"), ("discv5", "<nil>")])  # that is: no error
async def test_go_ethereum_pings_and_resolves_our_node(version, answered):
    async with our_node() as node:
        assert node.enr is not None
        named = node.enode if version == "discv4" else node.enr
        where = ("--addr", "127.0.0.1:0", "--bootnodes", named)
        shown = await devp2p(version, "ping", *where, named)
        assert answered in shown
        assert node.enr in await devp2p(version, "resolve", *where, named)


async def test_go_ethereum_reads_in_our_record_what_is_in_it():
    async with our_node() as node:
        assert node.enr is not None
        record, port = Record.parse(node.enr), node.addresses[0].port
        shown = await devp2p("enrdump", node.enr)
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert {
        f"Node ID: {record.id.hex()}",
        f"URLv4: {node.enode}",
        f"Record has sequence number {record.sequence} and 5 key/value pairs.",
        '"ip" 127.0.0.1',
        f'"tcp" {port}',
        f'"udp" {port}',
        f'"secp256k1" {record.public_key.compressed.hex()}',
    } <= lines


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("version", [4, 5])
async def test_go_ethereums_nodes_answer_and_are_candidates(version, host):
    options: dict[str, Any] = {"listen": Address("udp", host, 0), "versions": {version}}
    async with open_discovery(PrivateKey.generate(), **options) as first:
        named = NodeRecord.from_enr(first.record).enode if version == 4 else first.record.text
        async with listening(version, named, host) as go:
            bootnode = NodeRecord.from_enr(first.record)
            async with open_discovery(PrivateKey.generate(), bootnodes=[bootnode], **options) as second:
                pinged = await second.ping(go)
                assert pinged is not None
                assert pinged.seen_as.port == second.address.port
                candidate = await anext(second.candidates(lambda node: node.id == go.id))
                assert candidate.record.enr == go.enr
                assert candidate.source == f"v{version}"
                resolved = await second.resolve(go.public_key)
                assert resolved is not None
                assert resolved.enr == go.enr
