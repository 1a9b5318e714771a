"""Dialling and listening through relays: ``relay://<relay's key>@<host>:<port>``.

Listening does not wait for the relay: a reservation is made when the relay can be reached, renewed before it ends, and made again after the
relay was lost.
"""

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress

import trio

from devp2p import Address, ByteLink, DialError, PeerDisconnected, PublicKey, RemoteProtocolError
from devp2p.capabilities.relay.circuit import CircuitStream
from devp2p.capabilities.relay.hop import Hop
from devp2p.capabilities.relay.serving import SCHEME

_SOONEST, _LATEST = 5.0, 300.0  # seconds until a relay that refused, or is not there, is asked again; twice as long each time
_RENEW = 30.0, 1800.0  # seconds between two renewals, whatever the relay's clock says
_QUEUE = 16  # circuits that wait for their links to be taken

_logger = logging.getLogger(__name__)

Reach = Callable[[Address], Awaitable[Hop]]
"""relay/1 with the relay at an address. Raises DialError, KeyError where the node there has no relay/1, PeerDisconnected."""


class Wanted:
    """Whether this node wants places at relays: not while others reach it without."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def put(self, wanted: bool) -> None:  # noqa: FBT001  (it is what it is about)
        """Want them from now on, or no more."""
        if wanted:
            self._event.set()
        elif self._event.is_set():
            self._event = trio.Event()

    async def wait(self) -> None:
        """Wait until they are wanted."""
        await self._event.wait()


class RelayTransport:
    """Dials and listens through relays."""

    schemes: frozenset[str] = frozenset({SCHEME})

    def __init__(self, key: PublicKey, reach: Reach, wanted: Wanted) -> None:
        """`key` is our own; places are reserved while they are `wanted`."""
        self._wanted = wanted
        self._key = key
        self._reach = reach

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        """Make a circuit to the node with the key `expect`; OSError if there is none. ValueError without a key: a relay needs one."""
        if expect is None:
            raise ValueError(f"a relay must be told whom to call: {SCHEME}://<public key>@{address.where}")
        with _as_os_errors():
            hop = await self._reach(address)
            stream = await hop.connect(expect)
        return _link(stream, hop, address, initiator=True)

    async def bind(self, address: Address) -> "RelayListener":
        """Listen through the relay at an address. ValueError for one that is this node itself."""
        if address.via == bytes(self._key).hex():
            raise ValueError(f"{address} is this node itself: a node cannot be its own relay")
        await trio.lowlevel.checkpoint()
        return RelayListener(address, self._reach, self._wanted)


class RelayListener:
    """A reservation at a relay, and the circuits that come by it."""

    def __init__(self, address: Address, reach: Reach, wanted: Wanted) -> None:
        self._wanted = wanted
        self.addresses: tuple[Address, ...] = (address,)
        self.is_reserved: bool = False
        """Whether the relay has granted it; until then nobody can call here."""
        self._reach = reach
        self._send, self._receive = trio.open_memory_channel[ByteLink](_QUEUE)
        self._serving: trio.CancelScope | None = None
        self._closed = False

    async def serve(self, on_link: Callable[[ByteLink], Awaitable[None]]) -> None:
        """Keep the reservation, and hand on the links that come, until cancelled."""
        if self._closed:
            raise trio.ClosedResourceError("this listener is closed")
        try:
            with trio.CancelScope() as self._serving:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep)
                    async for link in self._receive:
                        await on_link(link)
        finally:
            with trio.CancelScope(shield=True), suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:  # nobody takes them any more
                    await self._receive.receive_nowait().aclose()

    async def aclose(self) -> None:
        """Stop listening at once, cancelled or not."""
        self._closed = True
        self._send.close()
        if self._serving is not None:
            self._serving.cancel()
        await trio.lowlevel.checkpoint()

    async def _keep(self) -> None:
        delay = _SOONEST
        while True:
            await self._wanted.wait()
            try:
                with _as_os_errors():
                    hop = await self._reach(self.addresses[0])
                    await self._stay(hop)
                _logger.info("the relay at %s is lost" if hop.ended.is_set() else "nobody needs the relay at %s", self.addresses[0])
            except (OSError, RemoteProtocolError) as error:
                _logger.info("no reservation at %s: %s", self.addresses[0], error)
            if self.is_reserved:
                self.is_reserved, delay = False, _SOONEST
            await trio.sleep(delay)
            delay = min(2 * delay, _LATEST)

    async def _stay(self, hop: Hop) -> None:
        """Keep a reservation until the session with the relay is over, or it is not to be renewed. Raises as `Hop.reserve`."""

        def on_circuit(stream: CircuitStream, _: PublicKey) -> None:
            link = _link(stream, hop, self.addresses[0], initiator=False)
            try:
                self._send.send_nowait(link)
            except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
                stream.abandon()

        async with hop.taking(on_circuit):
            while self._wanted and not hop.ended.is_set():
                left = await hop.reserve()
                self.is_reserved = True
                with trio.move_on_after(min(max(left / 2, _RENEW[0]), _RENEW[1])):
                    await hop.ended.wait()


def _link(stream: CircuitStream, hop: Hop, address: Address, *, initiator: bool) -> ByteLink:
    where = Address(SCHEME, f"{hop.key.hex()}@{address.host.rpartition('@')[2]}", address.port)
    path = f"{SCHEME} enode://{where.where}"
    return ByteLink(stream, local=where, remote=where, initiator=initiator, path=path)


@contextmanager
def _as_os_errors() -> Generator[None]:
    """Tell what goes wrong with a relay as transports do."""
    try:
        yield
    except DialError as error:
        raise ConnectionError(f"the relay cannot be reached: {error}") from None
    except PeerDisconnected as error:
        raise ConnectionError(f"the relay has ended the session: {error}") from None
    except KeyError:
        raise ConnectionError("the node there is no relay: it does not speak relay/1") from None
    except trio.TooSlowError:
        raise TimeoutError("the relay does not answer") from None
