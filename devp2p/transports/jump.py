"""Connections through an SSH server, made by the system's ``ssh``, with all that its user has set up: keys, agents, known hosts, jumps.

What proves what: the server proves its own key to ``ssh`` (``known_hosts``), and ``ssh`` proves the user's to the server. Neither says
anything of a node. The node at the other end proves itself inside, as over any connection: by RLPx where this carries TCP.
"""

from collections.abc import Sequence
from subprocess import PIPE
from typing import Final

import trio
from trio.abc import HalfCloseableStream

from devp2p.addresses import Address
from devp2p.arguments import require
from devp2p.transports.connecting import Connection

_SETTINGS: Final = (
    *("-o", "BatchMode=yes"),  # it asks nothing, and takes no host whose key it does not know
    *("-o", "ClearAllForwardings=yes", "-o", "ExitOnForwardFailure=yes"),
    *("-o", "ControlMaster=no"),  # a connection of its own, which ends with it
    *("-o", "LogLevel=INFO", "-T"),
)
_GRACE: Final = 1.0  # seconds for `ssh` to end by itself, and to send what it has
_SAID: Final = 8000  # bytes of what it says of a fault, of which the last lines are told
_TOLD: Final = 3  # lines of it


class SshJump:
    """Makes connections by ``ssh -W``: ``TcpTransport(SshJump("user@gateway"))`` dials nodes that the gateway can reach.

    Names are resolved there. `destination` is what one writes behind ``ssh``, a name of its configuration or ``ssh://user@host:port`` among
    it; `arguments` stand before it, such as ``("-i", "path of a key")``. Nothing is asked: keys with a passphrase belong into an agent.
    """

    def __init__(self, destination: str, *, arguments: Sequence[str] = ()) -> None:
        require(destination, str, "the destination of a jump is text, as behind ssh: 'user@gateway'")
        if not destination or destination.startswith("-"):
            raise ValueError(f"the destination of a jump is a host, as behind ssh, not {destination!r}")
        self.destination: str = destination
        self._arguments = tuple(arguments)
        self._where = _written(destination)

    async def __call__(self, address: Address) -> Connection:
        """Connect; see `Connect`. Whether the node answers is known when something was read: a server that refuses says so only then."""
        command = ["ssh", *self._arguments, *_SETTINGS, "-W", address.where, *self._where]
        try:
            # In a session of its own, or Ctrl-C would end it before what we still have to say.
            process = await trio.lowlevel.open_process(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True)
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no program ssh to reach {address} by {self.destination}: install OpenSSH's client") from None
        path = f"proxy {self.destination}" if "://" in self.destination else f"proxy ssh://{self.destination}"
        return Connection(_ProcessStream(process), Address(address.scheme, "localhost", 0), address, path)


def _written(destination: str) -> tuple[str, ...]:
    """The destination as ssh takes it; not every version takes a URL with an IPv6 address."""
    scheme, separator, rest = destination.partition("://")
    if not separator:
        return "--", destination
    if scheme != "ssh":
        raise ValueError(f"a jump goes by ssh://user@host:port, not by {destination!r}")
    user, at, where = rest.rpartition("@")
    address = Address.parse(f"{scheme}://{where}")
    return *(() if address.port is None else ("-p", str(address.port))), "--", f"{user}{at}{address.host}"


class _ProcessStream(HalfCloseableStream):
    """What goes into a process, and what comes out of it."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._has_received = False
        self._is_closed = False

    @property
    def _input(self) -> trio.abc.SendStream:
        assert self._process.stdin is not None  # noqa: S101  (it was asked for)
        return self._process.stdin

    @property
    def _output(self) -> trio.abc.ReceiveStream:
        assert self._process.stdout is not None  # noqa: S101  (as above)
        return self._process.stdout

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything."""
        try:
            await self._input.send_all(data)
        except trio.BrokenResourceError:
            raise trio.BrokenResourceError(await self._fault()) from None

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        await self._input.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        if self._is_closed:
            raise trio.ClosedResourceError("the stream is closed")
        await self._input.aclose()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive what is there; b"" at the end. BrokenResourceError with what ssh says if nothing has ever come."""
        data = await self._output.receive_some(max_bytes)
        if data:
            self._has_received = True
        elif not self._has_received and self._process.poll() != 0:
            raise trio.BrokenResourceError(await self._fault())
        return data

    async def aclose(self) -> None:
        """Close both directions; ssh gets a moment to send what it has."""
        if self._is_closed:
            await trio.lowlevel.checkpoint()
            return
        self._is_closed = True
        trio.lowlevel.spawn_system_task(_reap, self._process, name="devp2p: the end of an ssh")
        try:
            await self._input.aclose()
        finally:
            await self._output.aclose()

    async def _fault(self) -> str:
        """What ssh said last."""
        said = b""
        if self._process.stderr is not None and not self._is_closed:
            with trio.move_on_after(_GRACE):
                while len(said) < _SAID and (more := await self._process.stderr.receive_some(_SAID - len(said))):
                    said += more
        lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
        text = "".join(letter if letter.isprintable() else "?" for letter in "; ".join(lines[-_TOLD:]))
        return f"ssh: {text}" if text else "ssh has ended, and does not say why"


async def _reap(process: trio.Process) -> None:
    """See a process to its end, which is soon."""
    try:
        with trio.move_on_after(_GRACE):
            await process.wait()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            if process.stderr is not None:
                await trio.aclose_forcefully(process.stderr)
