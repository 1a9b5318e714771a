"""UPnP's Internet Gateway Device, versions 1 and 2, by miniupnpc, which is a library in C that blocks.

So it runs in threads, of which two at most are at it, for a few seconds each: one that a router holds up is left behind, and nobody waits
for it. Routers are searched for here, and not by that library, since it would fetch whatever URL anybody on the network names (`ssdp`).
"""

import ipaddress
import math
import random
import socket
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, TypeVar

import trio

from devp2p.errors import DecodingError
from devp2p.nat import ssdp
from devp2p.nat.leases import Grant, NatError, Wanted

T = TypeVar("T")

DESCRIPTION: Final = "devp2p"
_SEARCH_SECONDS: Final = 2.0
_CALL_SECONDS: Final = 8.0
_MOST_ANSWERS: Final = 32
_MOST_ROUTERS: Final = 4
_PORTS_TRIED: Final = 4
_THREADS: Final = 2
_PROTOCOLS: Final = {"tcp": "TCP", "udp": "UDP"}

# Errors of AddPortMapping, as miniupnpc words them.
_PERMANENT_ONLY: Final = "OnlyPermanentLeasesSupported"
_TAKEN: Final = ("ConflictInMappingEntry", "ConflictWithOtherMechanisms", "Action not authorized")

_limiters: Final[trio.lowlevel.RunVar[trio.CapacityLimiter]] = trio.lowlevel.RunVar("threads of miniupnpc")


def is_installed() -> bool:
    """Whether miniupnpc is there."""
    return find_spec("miniupnpc") is not None


def _limiter() -> trio.CapacityLimiter:
    try:
        return _limiters.get()
    except LookupError:
        _limiters.set(trio.CapacityLimiter(_THREADS))
        return _limiters.get()


async def in_thread(call: Callable[[], T], seconds: float = _CALL_SECONDS) -> T:
    """Let a call of miniupnpc block in a thread; NatError where it fails, or takes too long, or earlier ones still do."""
    if _limiter().available_tokens < 1:
        raise NatError("UPnP: earlier questions still wait for a router that does not answer")
    try:
        with trio.fail_after(seconds):
            return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=_limiter())
    except trio.TooSlowError:
        raise NatError(f"UPnP: the router took longer than {seconds:g} s") from None
    except (NatError, trio.Cancelled, KeyboardInterrupt):
        raise
    except Exception as error:  # noqa: BLE001  (that is what miniupnpc raises)
        raise NatError(f"UPnP: {_printable(str(error)) or type(error).__name__}") from None


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text[:200])


async def search(gateways: frozenset[str]) -> list[str]:
    """Look for routers on the network of the default route; the URLs of their descriptions, gateways' first."""
    if not is_installed():
        raise NatError("UPnP needs a package that is not installed: pip install 'trio-devp2p[nat]'")
    found: dict[str, None] = {}
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
            with trio.move_on_after(_SEARCH_SECONDS):
                for target in ssdp.TARGETS:
                    await sock.sendto(ssdp.search(target), (ssdp.GROUP, ssdp.PORT))
                for _ in range(_MOST_ANSWERS):
                    data, sender = await sock.recvfrom(4096)
                    try:
                        found[ssdp.location(data, sender[0], gateways)] = None
                    except DecodingError:
                        continue
                    if sender[0] in gateways or len(found) >= _MOST_ROUTERS:
                        break
        except OSError as error:
            raise NatError(f"UPnP: cannot search: {error.strerror or error}") from None
    return sorted(found, key=lambda url: ssdp.host_of(url) not in gateways)


class UpnpRouter:
    """A router by UPnP."""

    name = "UPnP"

    def __init__(self, client: Any, url: str) -> None:  # noqa: ANN401  (miniupnpc has no types)
        self._client = client
        self.url: str = url
        """Of its description."""
        self.local: str = client.lanaddr
        """Our address, as it reaches it."""
        self._permanent = False
        self._held: dict[Wanted, int] = {}
        self._forgot = False
        self._lock = trio.Lock()

    @classmethod
    async def open(cls, url: str) -> "UpnpRouter":
        """Ask the router whose description is at a URL; NatError if it is none, or not connected to anything."""
        router = cls(await in_thread(lambda: _connect(url)), url)
        await router.look()
        return router

    async def _call(self, call: Callable[[], T]) -> T:
        async with self._lock:  # miniupnpc's object is not for two threads
            return await in_thread(call)

    async def look(self) -> bytes:
        """See `Router`; of a mapping that we have it also sees whether it is still there."""
        answer = await self._call(self._client.externalipaddress)
        try:
            external = ipaddress.ip_address(str(answer)).packed
        except ValueError:
            raise NatError(f"UPnP: the router says that its external address is {_printable(str(answer))!r}") from None
        for wanted, port in self._held.items():
            if not await self._is_ours(wanted, port):
                self._forgot = True
            break  # one tells of all
        return external

    async def _is_ours(self, wanted: Wanted, port: int) -> bool:
        entry = await self._call(lambda: self._client.getspecificportmapping(port, _PROTOCOLS[wanted.protocol]))
        return entry is not None and tuple(entry[:2]) == (self.local, wanted.port)

    async def map(self, wanted: Wanted, port: int, lifetime: int) -> Grant:
        """See `Router`."""
        external = await self.look()
        port, lease = await self._add_somewhere(wanted, port, lifetime)
        if not await self._is_ours(wanted, port):
            del self._held[wanted]
            raise NatError(f"UPnP, {wanted}: the router says that it has made a mapping, and does not have it")
        return Grant(external, port, lease)

    async def _add_somewhere(self, wanted: Wanted, port: int, lifetime: int) -> tuple[int, float]:
        """Add a mapping of an external port, or of another one if that is somebody else's; the port and the lifetime."""
        for _ in range(_PORTS_TRIED - 1):
            try:
                return port, await self._add(wanted, port, lifetime)
            except NatError as error:
                if not any(text in str(error) for text in _TAKEN):
                    raise
                port = random.SystemRandom().randint(20_000, 60_000)
        return port, await self._add(wanted, port, lifetime)

    async def _add(self, wanted: Wanted, port: int, lifetime: int) -> float:
        """Add a mapping; its lifetime in seconds. It may come about when nobody waits for the answer any more, and is held from now on."""
        before, self._held[wanted] = self._held.get(wanted), port
        try:
            return await self._add_held(wanted, port, lifetime)
        except NatError:
            if before is None:
                del self._held[wanted]
            else:
                self._held[wanted] = before
            raise

    async def _add_held(self, wanted: Wanted, port: int, lifetime: int) -> float:
        protocol = _PROTOCOLS[wanted.protocol]

        def add(lease: int) -> None:
            if not self._client.addportmapping(port, protocol, self.local, wanted.port, DESCRIPTION, "", lease):
                raise NatError(f"UPnP, {wanted}: refused")

        if not self._permanent:
            try:
                await self._call(lambda: add(lifetime))
            except NatError as error:
                if _PERMANENT_ONLY not in str(error):
                    raise
                self._permanent = True
            else:
                return lifetime
        await self._call(lambda: add(0))
        return math.inf

    async def unmap(self, wanted: Wanted) -> None:
        """See `Router`."""
        port = self._held.pop(wanted, None)
        if port is not None and await self._is_ours(wanted, port):
            await self._call(lambda: self._client.deleteportmapping(port, _PROTOCOLS[wanted.protocol]))

    def has_forgotten(self) -> bool:
        """See `Router`."""
        forgot, self._forgot = self._forgot, False
        return forgot

    def close(self) -> None:
        """See `Router`: there is nothing to close."""


def _connect(url: str) -> Any:  # noqa: ANN401  (as above)
    """In a thread: read the description, and see that it sends us nowhere else."""
    library: Any = import_module("miniupnpc")  # it has no types
    client = library.UPnP()
    control = str(client.selectigd(url))
    try:
        leads_elsewhere = ssdp.host_of(control) != ssdp.host_of(url)
    except DecodingError:
        leads_elsewhere = True
    if leads_elsewhere:
        raise NatError("UPnP: the router's description leads to another host, and is not believed")
    return client
