"""OpenSSH as client of a node that listens by SSH, and as the server by which a node is reached. Inside runs RLPx."""

from pathlib import Path

import pytest
import trio

from devp2p import Address, DialError, NodeRecord, PrivateKey, open_node
from devp2p.transports import SshJump, TcpTransport, Transport
from devp2p.transports.ssh import SshTransport
from tests.chat import Chat, ChatMessage, collect, echo, exchange
from tests.interop import openssh
from tests.interop.daemons import program

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]

KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()
SIZES = (1, 2, 31, 1000, 32 * 1024, 32 * 1024 + 1, 300_000, 2**20)
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return openssh.make_key(tmp_path / "user")


def trust(folder: Path, where: Address) -> None:
    """Let a client know the host key of the node."""
    (folder / "known_hosts").write_text(f"[{where.host}]:{where.port} {SshTransport(KEY).host_key}\n")


def as_client(folder: Path, key: Path, where: Address, *settings: str) -> Transport:
    """TCP by way of OpenSSH's client, for which the node is the server."""
    arguments = openssh.client_arguments(folder, key, *settings)
    return TcpTransport(SshJump(f"ssh://devp2p@{where.where}", arguments=arguments))


INSIDE = NodeRecord(KEY.public_key, (Address("tcp", "devp2p", 30303),))


@HOSTS
@pytest.mark.parametrize("settings", [(), ("RekeyLimit=1M",)], ids=["", "new keys every MiB"])
async def test_openssh_is_the_client(host: str, key: Path, settings: tuple[str, ...], tmp_path: Path) -> None:
    came: list[ChatMessage] = []
    async with open_node(KEY, [Chat(echo)], listen=[Address("ssh", host, 0)], strict=True) as node:
        (address,) = node.addresses
        trust(tmp_path, address)
        transport = as_client(tmp_path, key, address, *settings)
        async with open_node(OTHER, [Chat(collect(came))], transports=[transport], strict=True) as caller:
            peer = await caller.connect(INSIDE)
            await exchange(peer, came, SIZES * (10 if settings else 1))
            assert not peer.link.native_auth
            theirs = node.connected[0]
            assert theirs.public_key == OTHER.public_key
            assert (theirs.link.transport, theirs.link.native_auth, theirs.link.native_mux) == ("ssh", False, False)


@HOSTS
async def test_openssh_is_the_server_on_the_way(host: str, key: Path, tmp_path: Path) -> None:
    came: list[ChatMessage] = []
    with openssh.server(tmp_path, host, key) as port:
        where = f"[{host}]" if ":" in host else host
        jump = SshJump(f"ssh://{openssh.USER}@{where}:{port}", arguments=openssh.client_arguments(tmp_path, key))
        async with (
            open_node(KEY, [Chat(echo)], listen=[Address("tcp", host, 0)], strict=True) as node,
            open_node(OTHER, [Chat(collect(came))], transports=[TcpTransport(jump)], strict=True) as caller,
        ):
            peer = await caller.connect(NodeRecord(KEY.public_key, node.addresses))
            await exchange(peer, came, SIZES)
            assert peer.link.path == f"proxy ssh://{openssh.USER}@{where}:{port}"
            assert node.connected[0].public_key == OTHER.public_key


async def test_what_ssh_says_of_a_fault_is_told(key: Path, tmp_path: Path) -> None:
    with openssh.server(tmp_path, "127.0.0.1", key) as port:
        stranger = openssh.make_key(tmp_path / "stranger")

        async def fault(arguments: tuple[str, ...]) -> str:
            jump = SshJump(f"ssh://{openssh.USER}@127.0.0.1:{port}", arguments=arguments)
            async with open_node(OTHER, [Chat()], transports=[TcpTransport(jump)], strict=True) as caller:
                with pytest.raises(DialError) as caught:
                    await caller.connect(NodeRecord(KEY.public_key, (Address("tcp", "127.0.0.1", 1),)))
            return str(caught.value)

        assert "Connection refused" in await fault(openssh.client_arguments(tmp_path, key))
        assert "Permission denied" in await fault(openssh.client_arguments(tmp_path, stranger))
        (tmp_path / "known_hosts").write_text("")
        assert "Host key verification failed" in await fault(openssh.client_arguments(tmp_path, key))


async def test_a_node_gives_openssh_nothing_but_its_stream(key: Path, tmp_path: Path) -> None:
    ssh = program("ssh")
    async with open_node(KEY, [Chat(echo)], listen=[Address("ssh", "127.0.0.1", 0)], strict=True) as node:
        (address,) = node.addresses
        trust(tmp_path, address)

        async def run(*arguments: str, user: str = "devp2p", used: Path = key) -> tuple[int, str]:
            base = [ssh, *openssh.client_arguments(tmp_path, used, "BatchMode=yes"), "-p", str(address.port)]
            command = [*base, *arguments[:-1], f"{user}@127.0.0.1", *arguments[-1:]]
            done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, stdin=b"")
            return done.returncode, done.stderr.decode()

        refused = "no shell, no commands, nothing is forwarded"
        code, said = await run("whoami")
        assert code != 0
        assert refused in said
        code, said = await run("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "true")
        assert code != 0
        assert "remote port forwarding failed" in said
        code, said = await run("-W", f"127.0.0.1:{address.port}", "-T", "-v")
        assert code != 0
        assert "nothing is forwarded: the host is devp2p" in said or "open failed" in said
        code, said = await run("-o", "PreferredAuthentications=password,keyboard-interactive", "true")
        assert "Permission denied (publickey)" in said
        code, said = await run("true", user="root")
        assert "Permission denied (publickey)" in said
        rsa = await trio.to_thread.run_sync(openssh.make_key, tmp_path / "rsa", "rsa")
        code, said = await run("true", used=rsa)
        assert "Permission denied (publickey)" in said
        assert not list(node.connected)
