"""The command through relays: a node listens at one, and is called there."""

import json
import signal

import pytest
import trio

from devp2p import NodeRecord, PrivateKey, open_node
from devp2p.capabilities.relay import Relay
from devp2p.cli import main
from devp2p.cli.ping import ping, show
from devp2p.terminal import Exit, node_record
from tests.cli.processes import PATIENCE, running_node

KEY = PrivateKey.generate()


@pytest.mark.real_clock
async def test_a_node_listens_at_a_relay_and_a_ping_says_that_it_came_through_there(capsys: pytest.CaptureFixture[str]) -> None:
    server = Relay(serve=True)
    async with open_node(KEY, [server], listen=["tcp://127.0.0.1:0", "tcp://[::1]:0"], strict=True) as relay:
        four, six = (f"{bytes(relay.public_key).hex()}@{address.where}" for address in relay.addresses)
        node = (
            "--capability",
            "examples.chat:Chat",
            "--capability",
            "devp2p.capabilities.relay:Relay",
            "--capability",
            "devp2p.capabilities.nat:Nat",
            "--listen",
            f"relay://{four}",
        )
        async with running_node(*node) as program:
            listening = await program.event("listening")
            assert f"relay://{four}" in listening["addresses"]
            key = bytes(NodeRecord.parse(listening["enode"]).public_key).hex()
            with trio.fail_after(PATIENCE):
                while not server.relaying.reservations:  # noqa: ASYNC110  (no event tells of it)
                    await trio.sleep(0.01)
            for where in (four, six):
                answer = await ping(node_record(f"relay://{key}@{where}"), PrivateKey.generate(), timeout=30)
                assert (answer.status, answer.error) == (Exit.OK, "")
                show(answer, as_json=True)
                told = json.loads(capsys.readouterr().out)
                assert (told["transport"], told["path"], told["native_auth"]) == ("relay", f"relay enode://{where}", False)
                assert told["capabilities"] == ["chat/1", "nat/1", "relay/1"]
                show(answer, as_json=False)
                assert f"relay, relay enode://{where}; proves nobody, so the session does" in capsys.readouterr().out
            status, errors = await program.end(signal.SIGINT)
        assert (status, errors) == (0, "")


@pytest.mark.parametrize("option", ["--listen", "--peer"])
def test_without_the_capability_it_says_what_to_add(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    relay = f"{bytes(KEY.public_key).hex()}@127.0.0.1:1"
    there = f"relay://{relay}" if option == "--listen" else f"relay://{bytes(PrivateKey.generate().public_key).hex()}@{relay}"
    with pytest.raises(SystemExit) as caught:
        raise SystemExit(main(["node", "--capability", "examples.chat:Chat", "--listen", "127.0.0.1:0", option, there]))
    assert caught.value.code == Exit.USAGE
    printed = capsys.readouterr()
    assert "leads through a relay, and that takes relay/1: add --capability relay" in printed.err
    assert not printed.out
