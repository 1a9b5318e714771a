"""Discovery by the command: asking nodes, finding nodes, and being one."""

import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from devp2p import NodeRecord
from devp2p.addresses import Address
from devp2p.cli import main
from devp2p.cli.discover import Place
from devp2p.keys import PrivateKey
from devp2p.records.enr import Record
from devp2p.records.presets import PRESETS
from devp2p.terminal.output import Exit
from tests.cli.processes import COMMAND, PATIENCE, ROOT, running_node
from tests.discovery.services import network, running, silent

HERE = ("--listen", "127.0.0.1:0")


async def discover(*argv: str) -> tuple[int, str, str]:
    """Run the command beside us; its status, and what it wrote to stdout and stderr."""
    run = partial(trio.run_process, [*COMMAND, "discover", *argv], capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT)
    ended = await run()
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


@asynccontextmanager
async def listening(*argv: str) -> AsyncIterator[tuple[trio.Process, dict[str, Any]]]:
    """A ``devp2p discover listen --json``, and what it says of itself."""
    start = partial(
        trio.run_process, [*COMMAND, "discover", "listen", "--json", *HERE, *argv], stdout=subprocess.PIPE, check=False, cwd=ROOT
    )
    async with trio.open_nursery() as nursery:
        process = await nursery.start(start)
        shown = b""
        with trio.fail_after(PATIENCE):
            while b"\n" not in shown:
                shown += await process.stdout.receive_some()
        yield process, json.loads(shown)
        nursery.cancel_scope.cancel()


@pytest.mark.real_clock
@pytest.mark.parametrize(("versions", "version"), [((), 5), (("--v4",), 4), (("--v5",), 5)])
async def test_a_ping_tells_how_the_node_answered(versions, version):
    async with running() as node:
        status, output, errors = await discover("ping", node.record.text, "--json", *versions, *HERE)
        assert (status, errors) == (Exit.OK, "")
        told = json.loads(output)
        assert re.fullmatch(r"127\.0\.0\.1:\d+", told.pop("seen_as"))
        assert 0 < told.pop("seconds") < PATIENCE
        address = f"127.0.0.1:{node.address.port}"
        assert told == {"id": node.record.id.hex(), "version": version, "address": address, "seq": node.record.sequence}


@pytest.mark.real_clock
async def test_silence_is_a_failure_on_one_line():
    absent = silent()
    assert await discover("ping", absent.enode, *HERE) == (Exit.FAILED, "", f"devp2p: no answer from {absent.enode}\n")
    assert await discover("resolve", absent.enode, *HERE) == (Exit.FAILED, "", "devp2p: the node was not found\n")
    status, output, errors = await discover("lookup", "--bootnode", absent.enode, *HERE)
    assert (status, output) == (Exit.FAILED, "")
    assert errors == "devp2p: nobody answered; begin with other nodes: --bootnode or --network\n"


@pytest.mark.real_clock
async def test_a_node_is_resolved_by_its_enode_and_by_its_public_key():
    async with network(1) as [first]:
        named = NodeRecord.from_enr(first.record)
        status, output, _ = await discover("resolve", named.enode, *HERE)
        assert status == Exit.OK
        assert f"enr    {first.record.text}" in output
        status, output, _ = await discover(
            "resolve", bytes(first.record.public_key).hex(), "--bootnode", first.record.text, "--json", *HERE
        )
        assert status == Exit.OK
        told = {"id": first.record.id.hex(), "enode": named.enode, "enr": first.record.text}
        assert json.loads(output) == {**told, "not_dialled": None}


@pytest.mark.real_clock
async def test_nodes_are_found_by_a_lookup_and_at_random():
    async with network(1) as [first]:
        status, output, _ = await discover("lookup", "--bootnode", first.record.text, *HERE)
        assert (status, output) == (Exit.OK, f"{first.record.text}\n")
        status, output, _ = await discover("random", "--bootnode", first.record.text, "--count", "1", *HERE)
        assert (status, output) == (Exit.OK, f"bootnode  {first.record.text}\n")
        for count, expected in (((), (Exit.OK, "")), (("--count", "2"), (Exit.FAILED, "devp2p: 1 nodes found within 1 s\n"))):
            arguments = ("--bootnode", first.record.text, "--json", "--timeout", "1", *count)
            status, output, errors = await discover("random", *arguments, *HERE)
            assert (status, errors) == expected
        told = json.loads(output)
        assert (told["source"], told["not_dialled"]) == ("bootnode", None)


@pytest.mark.real_clock
async def test_of_a_node_that_nobody_can_dial_it_is_told_why():
    async with network(1, entries={}) as [first]:  # no TCP port
        status, output, _ = await discover("lookup", "--bootnode", first.record.text, "--json", *HERE)
        assert (status, json.loads(output)["not_dialled"]) == (Exit.OK, "no_address")


NAMELESS = bytes(PrivateKey(bytes(31) + b"\x01").public_key).hex()


@pytest.mark.real_clock
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_a_listening_node_is_found_until_it_is_told_to_end(signum):
    async with listening("--external", "127.0.0.1") as (process, told), running() as node:
        record = Record.parse(told["enr"])
        assert told["enode"] == NodeRecord.from_enr(record).enode
        assert await node.ping(told["enr"]) is not None
        process.send_signal(signum)
        with trio.fail_after(PATIENCE):
            assert await process.wait() == Exit.OK


@pytest.mark.real_clock
async def test_two_nodes_of_the_command_find_each_other_by_a_bootnode_alone(tmp_path):
    async with listening() as (_, told):
        arguments = ("--capability", "tests.chat:Chat", "--bootnode", told["enr"])
        book = str(tmp_path / "nodes.db")
        async with running_node(*arguments) as one, running_node(*arguments, "--book", book) as other:
            first, second = await one.event("listening"), await other.event("listening")
            assert NodeRecord.parse(first["enr"]).public_key == NodeRecord.parse(first["enode"]).public_key
            assert (await one.event("connected"))["id"] == second["id"]
            assert (await other.event("connected"))["id"] == first["id"]
            assert await other.end(signal.SIGTERM) == (0, "")
        assert (tmp_path / "nodes.db").stat().st_size > 0


@pytest.mark.real_clock
async def test_a_node_without_discovery_says_so():
    async with running_node("--capability", "tests.chat:Chat", "--no-discovery") as program:
        assert "enr" not in await program.event("listening")


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_name_nodes_and_a_tree_that_can_be_read(name):
    preset = PRESETS[name]
    assert all(NodeRecord.parse(text).udp_endpoints for text in preset.bootnodes)
    assert preset.dns_tree.startswith("enrtree://")
    assert len(bytes.fromhex(preset.genesis)) == 32


def test_a_network_stands_for_its_bootnodes(monkeypatch):
    places: list[Place] = []

    def open_nothing(place: Place) -> Any:
        places.append(place)
        raise OSError(1, "not today")

    monkeypatch.setattr(Place, "open", open_nothing)
    assert main(["discover", "random", "--network", "hoodi", "--v4"]) == Exit.FAILED
    [place] = places
    assert {node.enode for node in place.bootnodes} == set(PRESETS["hoodi"].bootnodes)
    assert place.versions == {4}


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["ping", "bob"], "argument NODE: a node's public key is 128 hex digits"),
        (["ping", f"enode://{bytes(PrivateKey.generate().public_key).hex()}"], "argument NODE: it names a node but no UDP port"),
        (["ping", "enr:-x"], "argument NODE: 'enr:-x' is no node's record: the text is mistyped or cut short"),
        (["listen", "--listen", "30303"], "argument --listen: the port is missing in '30303'"),
        (
            ["listen", "--external", "here:1"],
            "argument --external: an external address is an IP address where others",
        ),
        (["random", "--count", "0"], "argument --count: a whole number from 1 up is wanted, not '0'"),
        (["random", "--network", "atlantis"], "argument --network: invalid choice"),
        (["random", "--v4", "--v5"], "argument --v5: not allowed with argument --v4"),
    ],
)
def test_wrong_arguments_are_explained(argv, problem, capsys):
    with pytest.raises(SystemExit) as exited:
        main(["discover", *argv])
    assert exited.value.code == Exit.USAGE
    assert f"devp2p discover {argv[0]}: error: {problem}" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["random"], ["random", "--count", "3"], ["lookup"], ["resolve", NAMELESS]], ids=" ".join)
def test_a_search_without_anybody_to_begin_with_says_so_at_once(arguments, capsys):
    assert main(["discover", *arguments]) == Exit.USAGE
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("devp2p: a search ")
    assert "asks the nodes that are known to begin with, and there are none: add --bootnode NODE or --network NAME" in output.err


@pytest.mark.real_clock
async def test_an_address_in_use_is_told_with_what_to_do():
    async with running() as node:
        where = Address("udp", "127.0.0.1", node.address.port)
        status, _, errors = await discover("listen", "--listen", str(where).removeprefix("udp://"))
        assert (status, errors) == (1, f"devp2p: cannot listen at {where}: address already in use; --listen names another address\n")
