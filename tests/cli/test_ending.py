"""How commands that run for long end, and what a command does whose standard streams are closed or full."""

import os
import signal
import socket
import stat
import subprocess
import sys

import pytest
import trio

from devp2p import DisconnectReason, NodeRecord, PrivateKey, open_node
from devp2p.cli import main
from devp2p.discovery import open_discovery
from devp2p.terminal.output import Exit
from devp2p.testing import ScriptedPeer
from tests.chat import Chat
from tests.cli.processes import COMMAND, PATIENCE, ROOT, running_node, write_secret

KEY = PrivateKey.generate()
CHAT = ("--capability", "tests.chat:Chat")
SLOW_DNS = """
import socket, sys, time
from devp2p.cli import main

def getaddrinfo(*_, flags=0, **__):
    if not flags & socket.AI_NUMERICHOST:
        time.sleep(600)
    raise socket.gaierror(socket.EAI_NONAME, "that is a name")

socket.getaddrinfo = lambda host, port, family=0, type=0, proto=0, flags=0: getaddrinfo(flags=flags)
sys.exit(main())
"""
SHELL = ["sh", "-c"]
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""As a user's shell has it."""


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of sh in which $D is the command."""
    line = command.replace("$D", " ".join(COMMAND))
    return subprocess.run([*SHELL, line], capture_output=True, text=True, check=False, cwd=ROOT, env=BUFFERED, timeout=PATIENCE)


# Signals


@pytest.mark.real_clock
async def test_a_hang_up_ends_a_node_in_order(tmp_path):
    path = tmp_path / "socket"
    async with running_node(*CHAT, "--listen", f"unix://{path}") as program:
        enode = (await program.event("listening"))["enode"]
        assert stat.S_ISSOCK(path.stat().st_mode)
        async with open_node(KEY, [Chat()]) as node:
            peer = await node.connect(enode)
            assert await program.end(signal.SIGHUP) == (0, "")
            with trio.fail_after(PATIENCE):
                ending = await peer.wait_ended()
        assert (ending.reason, ending.by_remote) == (DisconnectReason.CLIENT_QUITTING, True)
        assert not path.exists()


@pytest.mark.real_clock
async def test_a_node_that_is_to_outlive_its_terminal_does():
    async with running_node(*CHAT, command=["nohup", *COMMAND]) as program:
        enode = (await program.event("listening"))["enode"]
        program.process.send_signal(signal.SIGHUP)
        async with open_node(KEY, [Chat()]) as node:
            await node.connect(enode)
        assert (await program.end(signal.SIGTERM))[0] == 0


@pytest.mark.real_clock
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_second_signal_changes_nothing(second):
    async with running_node(*CHAT) as program:
        record = NodeRecord.parse((await program.event("listening"))["enode"])
        async with await trio.open_tcp_stream("127.0.0.1", record.addresses[0].port or 0) as stream:
            peer = ScriptedPeer(stream, [Chat()], call=record.public_key)
            await peer.begin()
            await program.event("connected")
            program.process.send_signal(signal.SIGTERM)
            with trio.fail_after(PATIENCE):
                await peer.receive_disconnect()
            assert await program.end(second) == (0, "")  # it was waiting for us to hang up
        await program.event("stopped")


@pytest.mark.real_clock
@pytest.mark.parametrize("argv", [("--listen", "slow.invalid:0"), ("--bootnode", f"enode://{bytes(KEY.public_key).hex()}@slow.invalid:1")])
async def test_a_node_that_waits_for_dns_at_its_start_ends_when_it_is_told_to(argv):
    async with running_node(*CHAT, *argv, command=[sys.executable, "-c", SLOW_DNS]) as program:
        await program.heeds(signal.SIGTERM)
        assert await program.end(signal.SIGTERM) == (0, "")
        await program.event("stopped")


@pytest.mark.real_clock
async def test_not_even_a_capability_that_stops_the_loop_keeps_a_node_from_ending():
    async with running_node("--capability", "tests.cli.stuck:Stuck") as program:
        record = NodeRecord.parse((await program.event("listening"))["enode"])
        async with await trio.open_tcp_stream("127.0.0.1", record.addresses[0].port or 0) as stream:
            await ScriptedPeer(stream, [Chat()], call=record.public_key).begin()
            assert program.process.stderr is not None
            assert (await program.process.stderr.receive_some()).startswith(b"stuck with ")
            assert await program.end(signal.SIGTERM) == (1, "")


# Standard streams


@pytest.mark.parametrize("command", ["$D key generate", "$D --help", "$D node --help"])
@pytest.mark.parametrize(("stdout", "problem"), [("> /dev/full", "no space left on device"), (">&-", "it is closed")])
def test_what_a_command_cannot_write_is_one_line(command, stdout, problem):
    ended = shell(f"{command} {stdout}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (Exit.FAILED, "", f"devp2p: cannot write to stdout: {problem}\n")


def test_what_cannot_be_said_on_a_closed_stderr_is_lost():
    ended = shell("$D key inspect nothing 2>&-")
    assert (ended.returncode, ended.stdout, ended.stderr) == (Exit.USAGE, "", "")


def test_a_closed_stdin_is_an_empty_one():
    ended = shell("$D key inspect - <&-")
    assert (ended.returncode, ended.stderr) == (Exit.USAGE, "devp2p: there is no key on stdin: 64 hex digits are wanted\n")


def test_with_all_streams_closed_a_key_file_is_made_all_the_same(tmp_path):
    assert shell(f"$D key generate {tmp_path}/key <&- >&- 2>&-").returncode == Exit.FAILED
    assert len((tmp_path / "key").read_text()) == 64


@pytest.mark.real_clock
@pytest.mark.parametrize(("stdout", "problem"), [("> /dev/full", "no space left on device"), (">&-", "it is closed")])
async def test_a_node_goes_on_without_stdout_and_says_so_once(stdout, problem, tmp_path):
    path = tmp_path / "socket"
    line = f'exec "$@" {stdout}'
    async with running_node(
        *CHAT, "--listen", f"unix://{path}", "--slots-every", "0.01", command=[*SHELL, line, "sh", *COMMAND]
    ) as program:
        assert program.process.stderr is not None
        told = (await program.process.stderr.receive_some()).decode()
        with trio.fail_after(PATIENCE):
            while not path.exists():  # noqa: ASYNC110  (it is another process that makes it)
                await trio.sleep(0.01)
        assert await program.end(signal.SIGTERM) == (0, "")
    assert told == f"devp2p: cannot write to stdout: {problem}; the node goes on, and what it would print is lost until it can\n"


@pytest.mark.real_clock
@pytest.mark.parametrize("command", ["random --bootnode", "random --count 1 --bootnode", "ping"])
async def test_a_search_whose_results_cannot_be_written_ends(command):
    async with open_discovery(KEY, listen="udp://127.0.0.1:0") as discovery:
        line = f"$D discover {command} {discovery.record.text} --listen 127.0.0.1:0 > /dev/full"
        ended = await trio.to_thread.run_sync(shell, line)
    assert (ended.returncode, ended.stderr) == (Exit.FAILED, "devp2p: cannot write to stdout: no space left on device\n")


# Keys and addresses


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_key_that_others_can_read_is_refused_with_what_to_do(mode, tmp_path, capsys):
    path = write_secret(tmp_path / "node.key", bytes(KEY).hex())
    path.chmod(mode)
    assert main(["node", *CHAT, "--key", str(path), "--listen", "127.0.0.1:0"]) == Exit.USAGE
    problem = f"the key file {path} has mode {mode:04o}, so that others may have read the key: chmod 600 {path}, or make a new key"
    assert capsys.readouterr() == ("", f"devp2p: {problem}\n")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_that_only_we_can_read_is_taken(mode, tmp_path):
    path = write_secret(tmp_path / "node.key", bytes(KEY).hex())
    path.chmod(mode)
    assert main(["key", "inspect", str(path)]) == Exit.OK


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_mode_of_somebody_elses_file_is_not_ours_to_judge(tmp_path):
    path = write_secret(tmp_path / "node.key", bytes(KEY).hex())
    path.chmod(0o644)
    os.chown(path, 12345, 12345)
    assert main(["key", "inspect", str(path)]) == Exit.OK


def test_a_key_from_a_pipe_has_no_mode_that_matters():
    ended = shell(f"printf {bytes(KEY).hex()} | $D key inspect /dev/stdin")
    assert (ended.returncode, ended.stderr) == (Exit.OK, "")


def test_a_udp_port_that_is_taken_is_told_as_one(capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["node", *CHAT, "--listen", where]) == Exit.FAILED
    hint = "--listen names another address, and port 0 any free one"
    assert capsys.readouterr() == ("", f"devp2p: cannot listen at udp://{where}: address already in use; {hint}\n")


@pytest.mark.parametrize(
    ("path", "problem"),
    [("{}", "address already in use"), ("{}/none/socket", "no such file or directory"), ("{}/" + 200 * "x", "AF_UNIX path too long")],
)
def test_a_path_that_cannot_be_listened_at_is_told_with_its_reason(path, problem, tmp_path, capsys):
    where = f"unix://{path.format(tmp_path)}"
    assert main(["node", *CHAT, "--listen", where]) == Exit.FAILED
    assert capsys.readouterr() == ("", f"devp2p: cannot listen at {where}: {problem}; --listen names another address\n")


@pytest.mark.real_clock
async def test_the_library_names_the_address_that_is_taken():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"udp://{where}"):
            async with open_node(KEY, [Chat()], listen=[f"tcp://{where}"], discovery=True):
                pass
        with pytest.raises(OSError, match=f"udp://{where}"):
            async with open_discovery(KEY, listen=f"udp://{where}"):
                pass
    async with open_node(KEY, [Chat()], listen=["tcp://127.0.0.1:0"]) as node:
        with pytest.raises(OSError, match=str(node.addresses[0])):
            async with open_node(KEY, [Chat()], listen=node.addresses):
                pass


# What a program may choose

PROGRAM = """
import sys, time, trio
from devp2p.terminal import told_to_end

async def main():
    with told_to_end(patience=60, second=lambda: print("second", flush=True), hang_up=lambda: print("hang up", flush=True)) as told:
        print("ready", flush=True)
        await told.wait()
        print("told", flush=True)
        await trio.sleep(600)

trio.run(main)
"""


@pytest.mark.parametrize("command", [[], ["nohup"]])
def test_a_program_may_take_a_hang_up_for_something_else_and_end_at_the_second_signal(command):
    line = [*command, sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        line, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as program:
        assert program.stdout is not None
        for number, told in ((None, "ready"), (signal.SIGHUP, "hang up"), (signal.SIGHUP, "hang up"), (signal.SIGINT, "told")):
            if number is not None:
                program.send_signal(number)
            assert program.stdout.readline() == f"{told}\n"
        program.send_signal(signal.SIGTERM)
        assert program.stdout.readline() == "second\n"
        assert program.wait(PATIENCE) == 128 + signal.SIGTERM
