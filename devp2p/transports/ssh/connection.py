"""asyncssh's connections, as far as ours are different: what a peer must prove, and what it may do.

Theory of operation. asyncssh does the key exchange, the proofs and the ciphers. Of SSH's connection protocol only what `channels` has is
spoken, whatever asyncssh could do besides: no shell, no command, no forwarding, no request but is refused. A fault of the peer is raised as
one of asyncssh's errors, and ends the connection; asyncssh does the same with any other exception.
"""

import asyncio
import base64
import inspect
from collections.abc import Awaitable
from typing import Any, Final

import asyncssh
import trio
from asyncssh import ProtocolError
from asyncssh.connection import SSHConnection
from asyncssh.constants import (
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_KEX_LAST,
    MSG_KEXINIT,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
    MSG_USERAUTH_REQUEST,
)
from asyncssh.packet import Boolean, SSHPacket, String

from devp2p.keys import PublicKey
from devp2p.transports.ssh.keys import KINDS, NODES, USER, key_in
from devp2p.transports.ssh.wire import LOGIN, Wire

TRIES: Final = 12
"""Requests of a user to be let in: with one key it takes three."""
KEY_EXCHANGES: Final = 8
"""Exchanges of keys that a connection may have, and one more for each MiB of either side."""
DEFERRED: Final = 512
"""Packets that may wait for an exchange of keys."""

_PACKET: Final = 35_000  # bytes of a packet that everybody has to take (RFC 4253, section 6.1)


class Ours(SSHConnection):
    """What connections of both sides have of ours."""

    wire: Wire
    proved: PublicKey | None
    """The node key that the peer has proved."""
    exchanges: bool
    """Whether keys are being exchanged."""
    is_busy: bool
    """Whether it must not get more yet."""

    def take(self, wire: Wire) -> None:
        """Set out."""
        self.wire = wire
        self.proved = None
        self.exchanges = False
        self.is_busy = False
        self._exchanged = self._tried = self._waiting = 0
        self._max_recv_pktlen = _PACKET

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> bool | Awaitable[None]:
        """Take a packet, if it is not for a channel."""
        match pkttype:
            case _ if pkttype == MSG_CHANNEL_OPEN:
                self.wire.channels.process_open(packet)
            case _ if pkttype in {MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE}:
                self.wire.channels.process_answer(pkttype, packet)
            case _ if pkttype == MSG_GLOBAL_REQUEST:
                packet.get_string()
                if packet.get_boolean():
                    self.send_packet(MSG_REQUEST_FAILURE)
            case _ if pkttype in {MSG_REQUEST_SUCCESS, MSG_REQUEST_FAILURE}:
                raise ProtocolError("an answer to nothing that was asked")
            case _:
                if pkttype == MSG_USERAUTH_REQUEST:
                    self._tried += 1
                    if self._tried > TRIES:
                        raise ProtocolError("too many tries to be let in")
                result = super().process_packet(pkttype, pktid, packet)
                return self._await(result) if inspect.isawaitable(result) else result
        return True

    async def _await(self, result: Awaitable[None]) -> None:
        self.is_busy = True
        try:
            await result
        finally:
            self.is_busy = False
            self.wire.changed.unpark_all()

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:  # noqa: ANN401  (asyncssh's)
        """Send a packet, or keep it until new keys are there."""
        if pkttype == MSG_IGNORE:
            return  # before each packet of data, against a weakness of ciphers that are not used here
        if pkttype == MSG_KEXINIT:
            self._exchanged += 1
            if self._exchanged > KEY_EXCHANGES + (self.wire.moved >> 20):
                raise ProtocolError("keys are exchanged too often")
            self.exchanges = True
            if self.wire.is_up:
                self.wire.patience.deadline = trio.current_time() + LOGIN
        elif self.exchanges and pkttype > MSG_KEX_LAST:
            self._waiting += 1
            if self._waiting > DEFERRED:
                raise ProtocolError("too much while keys are exchanged")
        super().send_packet(pkttype, *args, handler=handler)

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        """An exchange of keys is over."""
        super().send_newkeys(k, h)
        self._waiting = 0
        self.exchanges = False
        if self.wire.is_up:
            self.wire.relax()
        self.wire.changed.unpark_all()

    def log_sent_packet(self, *_: object, **__: object) -> None:
        """Packets are not logged, as even to look whether they should be takes its time."""

    def log_received_packet(self, *_: object, **__: object) -> None:
        """Likewise."""


class OurClient(Ours, asyncssh.SSHClientConnection):
    """The side that dials."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wire: Wire, options: asyncssh.SSHClientConnectionOptions, expect: PublicKey | None
    ) -> None:
        """`expect` is the node that should be there; None if any will do."""
        super().__init__(loop, options)
        self.take(wire)
        self._expect = expect
        self._claimed: PublicKey | None = None
        self._auth_methods = [b"publickey"]  # not to ask first which there are

    async def send_userauth_request(self, method: bytes, *args: bytes, key: Any = None, trivial: bool = True) -> None:  # noqa: ANN401  (asyncssh's)
        """Sign at once, instead of asking whether our key would do: that is a round trip less."""
        if key is None and method == b"publickey" and self._options.client_keys:
            args, key, trivial = (Boolean(True), *args[1:]), self._options.client_keys[0], False  # noqa: FBT003  (positional only)
        await super().send_userauth_request(method, *args, key=key, trivial=trivial)

    def validate_server_host_key(self, key_data: bytes) -> asyncssh.SSHKey:
        """Take the host's key, which must be a node's; whether it is the right one is asked when it has signed."""
        self._claimed = key_in(key_data)
        if self._claimed is None:
            raise asyncssh.HostKeyNotVerifiable("the host has no key of a node")
        return asyncssh.import_public_key(b" ".join((NODES, base64.b64encode(key_data))))

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        """An exchange of keys is over, and so the host has signed."""
        if self.proved is not None and self._claimed != self.proved:
            raise asyncssh.HostKeyNotVerifiable("the host has another key than before")
        self.proved: PublicKey | None = self._claimed
        if self._expect is not None and self.proved != self._expect:
            raise asyncssh.HostKeyNotVerifiable("another node is there")
        super().send_newkeys(k, h)


class OurServer(Ours, asyncssh.SSHServerConnection):
    """The side that listens."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wire: Wire, options: asyncssh.SSHServerConnectionOptions) -> None:
        super().__init__(loop, options)
        self.take(wire)

    async def reload_config(self) -> None:
        """There is no configuration that a user's name could change."""

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """Whether a key may prove itself; and whether it has, if there is a signature."""
        if username != USER or not key_data.startswith(KINDS):
            return False
        try:
            key = asyncssh.import_public_key(b" ".join((key_data[4 : 4 + key_data[3]], base64.b64encode(key_data))))
        except asyncssh.KeyImportError:
            return False
        proved = key_in(key_data)
        if msg:
            if not key.verify(String(self._session_id) + msg, signature):
                return False
            self.proved = proved
        return True


class _Owner:
    """Hands on what asyncssh says of a connection."""

    _wire: Wire

    def connection_made(self, conn: SSHConnection) -> None:
        """It has begun."""
        assert isinstance(conn, Ours)  # noqa: S101  (we made it)
        self._wire = conn.wire

    def auth_completed(self) -> None:
        """Both sides have proved themselves."""
        self._wire.came_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._wire.ended(exc)


class ClientOwner(_Owner, asyncssh.SSHClient):
    """The same of one that was dialled."""


class ServerOwner(_Owner, asyncssh.SSHServer):
    """The same of one that was accepted."""

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002  (whoever it is)
        """A proof is needed."""
        return True

    def public_key_auth_supported(self) -> bool:
        """The only way."""
        return True
