"""A node that may have few files open, and strangers who take them all."""

import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trio

from devp2p import Address, DisconnectReason, NodeRecord, PrivateKey, open_node
from tests.chat import Chat
from tests.cli.processes import PATIENCE, RunningNode, running_node


def open_files(program: RunningNode) -> int:
    return len(os.listdir(f"/proc/{program.process.pid}/fd"))  # noqa: PTH208


@contextmanager
def silent_links(record: NodeRecord, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            link = stack.enter_context(socket.socket())
            link.setblocking(False)  # noqa: FBT003
            link.connect_ex(("127.0.0.1", record.addresses[0].port))
        yield


@pytest.mark.real_clock
async def test_a_node_without_a_free_file_goes_on_says_so_once_and_recovers(tmp_path):
    key = PrivateKey.generate()
    where = Address("tcp", "127.0.0.1", 0)
    async with open_node(key, [Chat()], listen=[where], discovery=True) as other:
        argv = ["--capability", "tests.chat:Chat", "--book", str(tmp_path / "book"), "--peer", other.enode, "--bootnode", other.enode]
        async with running_node(*argv) as program:
            record = NodeRecord.parse((await program.event("listening"))["enode"])
            await program.event("connected")
            files = open_files(program) + 10  # fewer than at its start, when it took half of what there were for links that say nothing
            resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (files, files))
            with silent_links(record, 40):
                with trio.fail_after(PATIENCE):
                    while open_files(program) < files:  # noqa: ASYNC110  (it is another process)
                        await trio.sleep(0.01)
                other.connected[0].disconnect(DisconnectReason.REQUESTED)
                failed = await program.event("dial_failed")
                assert failed["error"].endswith("oo many open files")
                assert other.discovery is not None
                assert await other.discovery.ping(record) is not None
            await other.connect(record)
            status, errors = await program.end(signal.SIGTERM)
    assert status == 0
    assert errors.count("\n") == 1
    assert "cannot accept connections now: [Errno 24] Too many open files" in errors
