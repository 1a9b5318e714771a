"""``ssh://``: sessions as channels of SSH, between nodes; and for OpenSSH a byte stream, in which RLPx runs."""

from functools import cached_property
from typing import ClassVar, Final

import asyncssh
import trio
from trio.abc import HalfCloseableStream

from devp2p.addresses import Address
from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.transports.connecting import Connect, Connection, connect_tcp
from devp2p.transports.links import ByteLink, Link, require_peer
from devp2p.transports.over_tcp import OverTcp
from devp2p.transports.ssh.channels import Channel
from devp2p.transports.ssh.connection import ClientOwner, OurClient, OurServer, ServerOwner
from devp2p.transports.ssh.keys import NODES, USER, algorithms, node_key, other_key
from devp2p.transports.ssh.wire import LOGIN, Wire

_VERSION: Final = "devp2p"
_NOBODY: Final[tuple[list[str], list[str], list[str]]] = ([], [], [])  # hosts that are known by name


class SshTransport(OverTcp):
    """Dials and accepts SSH connections; ``ssh://host:port``. Our node key is the key of the host, and of the user.

    Between nodes both keys are proved, and each capability has a channel. A client that has another key, as OpenSSH has, gets one channel,
    which proves nobody: there the session is RLPx's, as over TCP.
    """

    schemes: frozenset[str] = frozenset({"ssh"})
    first_bytes: ClassVar[frozenset[int]] = frozenset(b"S")

    def __init__(self, key: PrivateKey, connect: Connect = connect_tcp) -> None:
        """`connect`: how connections are made, such as by way of a proxy."""
        super().__init__(connect)
        self._key = key

    @property
    def host_key(self) -> str:
        """The host key for clients that have no secp256k1, as it stands behind a host's name in OpenSSH's ``known_hosts``."""
        return other_key(self._key).export_public_key().decode().strip()

    async def initiate(self, connection: Connection, address: Address, expect: PublicKey | None) -> "SshLink":
        """See `OverTcp.initiate`."""
        wire = Wire(connection.stream, lambda loop, wire: OurClient(loop, wire, self._as_client, expect))
        try:
            await wire.start()
        except HandshakeError:
            if wire.peer is not None:
                require_peer(wire.peer, expect, address)
            raise
        return _linked(wire, connection, initiator=True)

    async def respond(self, connection: Connection) -> Link:
        """See `OverTcp.respond`."""
        wire = Wire(connection.stream, lambda loop, wire: OurServer(loop, wire, self._as_server))
        await wire.start()
        if wire.peer is not None:
            return _linked(wire, connection, initiator=False)
        wire.channels.most = 1
        try:
            with trio.move_on_after(LOGIN):
                return _Through(wire, await wire.channels.accept(), connection)
            raise HandshakeError(f"SSH: no stream within {LOGIN:g} s")
        except BaseException:
            with trio.CancelScope(shield=True):
                await wire.aclose()
            raise

    @cached_property
    def _as_client(self) -> asyncssh.SSHClientConnectionOptions:
        return asyncssh.SSHClientConnectionOptions(
            client_factory=ClientOwner,
            client_version=_VERSION,
            config=None,
            host="devp2p",
            known_hosts=_NOBODY,
            server_host_key_algs=[NODES.decode()],
            username=USER,
            client_keys=[node_key(self._key)],
            preferred_auth="publickey",
            disable_trivial_auth=True,
            password=None,
            agent_path=None,
            gss_host=None,
            gss_kex=False,
            gss_auth=False,
            login_timeout=0,
            **algorithms(),
        )

    @cached_property
    def _as_server(self) -> asyncssh.SSHServerConnectionOptions:
        return asyncssh.SSHServerConnectionOptions(
            server_factory=ServerOwner,
            server_version=_VERSION,
            config=None,
            server_host_keys=[node_key(self._key), other_key(self._key)],
            authorized_client_keys=None,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            gss_kex=False,
            gss_auth=False,
            login_timeout=0,
            **algorithms(),
        )


class SshLink:
    """A connection between two nodes that have proved their keys to each other; its streams are channels."""

    def __init__(self, wire: Wire, connection: Connection, peer: PublicKey, *, initiator: bool) -> None:
        self.local: Address = connection.local
        self.remote: Address = connection.remote
        self.initiator = initiator
        self.peer = peer
        self.path: str = connection.path
        self._wire = wire

    async def open(self) -> Channel:
        """See `MuxLink.open`."""
        return await self._wire.channels.open()

    async def accept(self) -> Channel:
        """See `MuxLink.accept`."""
        return await self._wire.channels.accept()

    async def aclose(self) -> None:
        """Close the connection and all its channels at once."""
        await self._wire.aclose()


class _Through(ByteLink):
    """The one channel of a client that is no node, or whose SSH is another program than the node."""

    def __init__(self, wire: Wire, stream: HalfCloseableStream, connection: Connection) -> None:
        super().__init__(stream, local=connection.local, remote=connection.remote, initiator=False, path=connection.path)
        self._wire = wire

    async def aclose(self) -> None:
        """Close the connection at once."""
        await self._wire.aclose()


def _linked(wire: Wire, connection: Connection, *, initiator: bool) -> SshLink:
    assert wire.peer is not None  # noqa: S101  (that is when it is called)
    return SshLink(wire, connection, wire.peer, initiator=initiator)
