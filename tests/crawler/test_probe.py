"""Probes: the steps of one, what is said where one fails, and the command that prints them."""

import json
from dataclasses import replace

import pytest
import trio
from devp2p_crawler.analysis import Call, ForkStanding, ProbeStep, Readiness, StepState, fork_step, steps_of_call
from devp2p_crawler.cli import main
from devp2p_crawler.model import Kind, Outcome, Said, Visit
from devp2p_crawler.visiting import Probe, probe, rlpx_caller

from devp2p import Address, DiscoverySettings, NodeRecord, PrivateKey, open_discovery, open_node
from devp2p.capabilities.eth import eth
from devp2p.testing import ScriptedPeer
from tests.chat import Chat

SAID = Said(client="Geth/v1.17.8-stable-0123abcd/linux-amd64/go1.26.5", capabilities=("eth/69", "snap/1"), listen_port=30303)
STATUS = replace(
    SAID, eth_version=69, network_id=1, genesis=bytes(32), fork_hash=b"\1\2\3\4", fork_next=0, head=bytes(32), head_number=24_000_000
)
STEPS = ("connect", "handshake", "hello")


def a_call(outcome: Outcome, done: int, said: Said | None = None, **how: object) -> Call:
    """A call of which so many steps were completed."""
    visit = Visit(
        crawl=bytes(16), node=bytes(32), kind=Kind.RLPX, began=0, ended=5_000_000, outcome=outcome, ip=bytes(4), port=30303, said=said
    )
    awaited = STEPS[min(done, 2)]
    call = Call(
        visit=visit, address="tcp://x:30303", port=30303, awaited=awaited, seconds=dict.fromkeys(STEPS[:done], 0.5), answers_by_udp=False
    )
    return replace(call, **how)  # type: ignore[arg-type]


def test_a_node_that_tells_all_has_four_good_steps():
    steps = steps_of_call(a_call(Outcome.OK, 3, STATUS))
    assert [(step.name, step.state, step.seconds) for step in steps] == [
        ("tcp", StepState.OK, 0.5), ("rlpx", StepState.OK, 0.5), ("hello", StepState.OK, 0.5), ("status", StepState.OK, 3.5)
    ]  # fmt: skip
    assert "Geth/v1.17.8" in steps[2].says
    assert steps[3].says == "eth/69, network 1, block 24,000,000"
    assert steps[2].facts["parsed"] == {"name": "geth", "version": "1.17.8", "language": "Go"}


@pytest.mark.parametrize(
    ("call", "name", "says", "advice"),
    [
        (a_call(Outcome.SILENT, 0), "tcp", "no answer", "nothing comes back by UDP either"),
        (a_call(Outcome.SILENT, 0, answers_by_udp=True), "tcp", "no answer", "it answers by UDP, so it is there: let TCP port"),
        (a_call(Outcome.REFUSED, 0), "tcp", "nobody listens there", "start the node, or write the port"),
        (a_call(Outcome.REFUSED, 0, recorded_port=30305), "tcp", "nobody listens there", "its own record says TCP port 30305"),
        (a_call(Outcome.UNREACHABLE, 0), "tcp", "there is no way", "whether the address is right"),
        (a_call(Outcome.OUR_FAULT, 0), "tcp", "this machine", "its limits on open files"),
        (a_call(Outcome.NO_ADDRESS, 0), "tcp", "no address and port", "enode://KEY@HOST:PORT"),
        (a_call(Outcome.HUNG_UP, 1), "rlpx", "hung up on our handshake", "compare the key"),
        (a_call(Outcome.HUNG_UP, 2), "hello", "hung up before it said Hello", "try again"),
        (a_call(Outcome.HANDSHAKE_TIMEOUT, 1), "rlpx", "did not answer the handshake", "see which program listens"),
        (a_call(Outcome.HELLO_TIMEOUT, 2), "hello", "said no Hello", "overloaded"),
        (a_call(Outcome.WRONG_KEY, 2), "hello", "another node", "the key of the node that is there"),
        (a_call(Outcome.BROKE_RULES, 1), "rlpx", "against the specification", "see which program listens"),
        (a_call(Outcome.TOO_MANY_PEERS, 2, Said(reason=4)), "hello", "too many peers (0x04)", "usual"),
        (a_call(Outcome.DISCONNECTED, 2, Said(reason=5)), "hello", "already connected (0x05)", "see its log"),
        (a_call(Outcome.STATUS_TIMEOUT, 3, SAID), "status", "said no Status", "see its log"),
        (a_call(Outcome.TOO_MANY_PEERS, 3, replace(SAID, reason=4)), "status", "too many peers (0x04)", "usual"),
        (a_call(Outcome.DISCONNECTED, 3, replace(SAID, reason=16)), "status", "(0x10)", "see its log"),
        (a_call(Outcome.BROKE_RULES, 3, SAID), "status", "against the specification", "which version"),
    ],
)  # fmt: skip
def test_where_a_step_fails_it_is_said_what_to_do(call: Call, name: str, says: str, advice: str):
    steps = steps_of_call(call)
    assert [step.name for step in steps] == ["tcp", "rlpx", "hello", "status"]
    failed = next(step for step in steps if step.state not in {StepState.OK, StepState.SKIPPED})
    assert failed.name == name
    assert says in failed.says
    assert advice in (failed.advice or "")
    behind = steps[steps.index(failed) + 1 :]
    assert all(step.state is StepState.SKIPPED for step in behind)


def test_every_outcome_of_a_call_is_told():
    for outcome in Outcome:
        for done in range(4):
            for said in (None, SAID, STATUS) if done == 3 else (None,):
                assert [step.name for step in steps_of_call(a_call(outcome, done, said))] == ["tcp", "rlpx", "hello", "status"]
    assert steps_of_call(a_call(Outcome.OK, 3, replace(SAID, capabilities=("les/4",))))[3].state is StepState.SKIPPED


@pytest.mark.parametrize("readiness", list(Readiness))
def test_the_fork_id_is_told(readiness: Readiness):
    standing = ForkStanding(network="mainnet", readiness=readiness, passed="osaka", upcoming=1_900_000_000)
    step = fork_step(standing, b"\1\2\3\4", 7, "status", advertised=None)
    assert step.says.startswith("01020304, next 7: mainnet, after osaka; ")
    fine = readiness in {Readiness.READY, Readiness.AHEAD, Readiness.UNKNOWN}
    assert (step.state is StepState.OK, step.advice is None) == (fine, fine)
    assert ("2030-03-17 17:46 UTC" in step.says) == (not fine)
    other = fork_step(standing, b"\1\2\3\4", 7, "status", advertised=b"\5\6\7\x08")
    assert ("its record still says 05060708" in other.says) == fine


# Whole probes


def states(found: Probe) -> dict[str, str]:
    return {step.name: step.state.value for step in found.steps}


async def probed(node: NodeRecord, versions: tuple[int, ...] = (4, 5)) -> tuple[Probe, list[ProbeStep]]:
    told: list[ProbeStep] = []
    caller = rlpx_caller(crawl=bytes(16), key=PrivateKey.generate(), client_id="probe/1", connect=0.5, handshake=2, status=2)
    found = await probe(node, caller, on_step=told.append, versions=versions, seconds=lambda: 1_796_000_000)
    assert told == found.steps
    return found, told


@pytest.mark.real_clock
async def test_a_node_with_discovery_and_eth_is_told_from_its_address_to_its_fork_id():
    settings = DiscoverySettings(external=["127.0.0.1"])
    async with open_node(PrivateKey.generate(), eth(), listen=["tcp://127.0.0.1:0"], discovery=settings, client_id="ours/v1.2.3") as node:
        found, _ = await probed(node.record)
    assert states(found) == {
        "address": "warning",  # it is a loopback one
        "v4 ping": "ok",
        "v4 record": "ok",
        "v4 neighbours": states(found)["v4 neighbours"],
        "v5 handshake": "ok",
        "v5 record": "ok",
        "v5 neighbours": states(found)["v5 neighbours"],
        "tcp": "ok",
        "rlpx": "ok",
        "hello": "ok",
        "status": "ok",
        "fork id": "warning",  # it has the first block only
        "dialable": "ok",
        "dns list": "warning",
    }
    assert (found.is_reached, found.is_refused, found.answers_by_udp) == (True, False, True)
    assert found.verdict.startswith("it can be called; look at ")
    assert found.record is not None
    assert found.record.enr is not None
    by_name = {step.name: step for step in found.steps}
    assert by_name["dns list"].says == "no: it lacks a public address in its record"
    assert by_name["fork id"].facts["readiness"] == "behind"


@pytest.mark.real_clock
async def test_a_node_without_discovery_and_eth_can_be_called_and_no_more():
    async with open_node(PrivateKey.generate(), [Chat()], listen=["tcp://127.0.0.1:0"]) as node:
        found, _ = await probed(replace(node.record, udp_port=0))
    assert [states(found)[name] for name in ("v4 ping", "v5 handshake", "hello", "status")] == ["skipped", "skipped", "ok", "skipped"]
    assert states(found)["dialable"] == "warning"  # it has no record
    assert "fork id" not in states(found)


@pytest.mark.real_clock
async def test_a_node_that_answers_by_udp_alone_has_its_tcp_shut():
    key = PrivateKey.generate()
    async with open_discovery(key, listen="udp://127.0.0.1:0", external=["127.0.0.1"], entries={"tcp": 1}) as discovery:
        port = discovery.address.port or 0
        found, _ = await probed(NodeRecord(key.public_key, (Address("tcp", "127.0.0.1", port),)), versions=(4,))
    by_name = {step.name: step for step in found.steps}
    assert by_name["tcp"].state is StepState.FAILED
    assert by_name["tcp"].advice == "its own record says TCP port 1: write that one"
    assert (found.is_reached, found.answers_by_udp) == (False, True)
    assert found.verdict.startswith("it is there, and cannot be called by TCP; look at tcp, dialable")


# The command


async def command(*argv: str) -> int:
    return await trio.to_thread.run_sync(main, ["probe", *argv])


@pytest.mark.real_clock
async def test_the_command_prints_each_step_or_one_object(capsys: pytest.CaptureFixture[str]):
    async def refuse(stream: trio.SocketStream) -> None:
        peer = ScriptedPeer(stream, [Chat()], key=key)
        await peer.shake_hands()
        await peer.disconnect(0x04)
        await peer.receive_end()
        await peer.aclose()

    key = PrivateKey.generate()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    enode = f"enode://{bytes(key.public_key).hex()}@127.0.0.1:{listener.socket.getsockname()[1]}?discport=0"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, refuse, [listener])
        assert await command(enode) == 3
        shown = capsys.readouterr().out
        assert await command("--json", enode) == 3
        told = json.loads(capsys.readouterr().out)
        nursery.cancel_scope.cancel()
    lines = shown.splitlines()
    assert lines[0] == f"node ID {key.public_key.node_id.hex()}"
    assert any(line.startswith("!       hello") and "too many peers (0x04)" in line for line in lines)
    assert lines[-1].startswith("verdict: it is there, and refused us; look at ")
    assert (told["status"], told["outcome"], told["answers_by_udp"]) == ("refused", "too_many_peers", False)
    assert [step["name"] for step in told["steps"]][:4] == ["address", "v4 ping", "v5 handshake", "tcp"]


def test_the_command_tells_of_wrong_arguments(capsys: pytest.CaptureFixture[str]):
    key = bytes(PrivateKey.generate().public_key).hex()
    for argv, told in {
        ("x",): "a node",
        (f"enode://{key}",): "it names a node and no address",
        ("--v4", "--v5", f"enode://{key}@127.0.0.1:1"): "not allowed with argument",
        ("--network", "x", f"enode://{key}@127.0.0.1:1"): "invalid choice",
    }.items():
        with pytest.raises(SystemExit) as ended:
            main(["probe", *argv])
        assert ended.value.code == 2
        assert told in capsys.readouterr().err
