"""Keeps the mappings of a node for as long as it runs, and tells what is true of them.

Theory of operation. The keeper looks for a router, by each protocol in turn, and then stays with it: it asks for a mapping of each port,
renews them (`leases`, which decides when), and looks once a minute whether the router is there, has another external address, or has
started again. A router that says so itself, by multicast, is looked at once; but what it says there is a hint only, since anybody could
say it. After three looks in vain nothing is published any more, and a router is searched for anew. When the node ends the mappings are
removed, which takes two seconds at most, also where the node was cancelled.
"""

import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import trio

from devp2p.addresses import Endpoint, unmapped
from devp2p.nat import pmp, stun, upnp
from devp2p.nat.gateway import gateways
from devp2p.nat.leases import LIFETIME, Leases, NatError, Wanted
from devp2p.nat.routers import PcpRouter, PmpRouter, Router
from devp2p.nat.settings import NatSettings, is_believable

LOOKS_IN_VAIN: Final = 3
SEARCH_AGAIN: Final = (30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds until a router is searched for again, after each search in vain."""
STUN_EVERY: Final = 600.0
FAREWELL: Final = 2.0
"""Seconds for removing the mappings, at the end."""
HINTS_EVERY: Final = 5.0
"""Seconds for which a router is not looked at again because of what is said by multicast."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NatStatus:
    """What is known of how this node is reached."""

    method: str = ""
    """The protocol that has answered; empty as long as none has."""
    external: bytes = b""
    """The external address, packed; empty if it is not known."""
    mapped: Mapping[Wanted, Endpoint] = field(default_factory=dict[Wanted, Endpoint])
    """Which of our ports are reached where."""
    problem: str = ""
    """What went wrong last."""


Publish = Callable[[NatStatus], None]
Find = Callable[[], Awaitable[Router]]


class NatKeeper:
    """Makes and keeps the mappings of some ports; `run` does it."""

    def __init__(
        self,
        settings: NatSettings,
        wanted: Iterable[Wanted],
        publish: Publish,
        *,
        find: Find | None = None,
        lifetime: int = LIFETIME,
    ) -> None:
        """`publish` is told of each change. `find` is for tests: it gives a router, or raises NatError."""
        self._settings = settings
        self._wanted = dict.fromkeys(wanted)
        self._publish = publish
        self._find = find or self._search
        self._lifetime = lifetime
        self._look_every = settings.look_every
        self._leases = Leases((), 0.0)
        self._asked: set[Wanted] = set()  # of the router that we are with, whatever it answered
        self._method, self._refused = "", set[str]()  # the one by which it was found; those by which nothing was given
        self._hint = trio.Event()
        self._told = trio.Event()
        self.status: NatStatus = NatStatus()
        """What is known now."""

    def add(self, wanted: Wanted) -> None:
        """Have one more port mapped."""
        self._wanted[wanted] = None
        self._leases.add(wanted, trio.current_time())
        self._hint.set()

    async def run(self) -> None:
        """Keep the mappings, for ever."""
        async with trio.open_nursery() as nursery:
            if self._settings.methods:
                nursery.start_soon(self._listen)
                nursery.start_soon(self._keep_mapped)
            if self._settings.stun is not None:
                nursery.start_soon(self._keep_asking, self._settings.stun)

    # Routers

    async def _keep_mapped(self) -> None:
        vain = 0
        while True:
            try:
                router = await self._find()
            except NatError as error:
                self._tell(NatStatus(problem=str(error)))
                vain += 1
            else:
                vain = 0
                try:
                    await self._stay_with(router)
                finally:
                    await self._leave(router)
                continue
            with trio.move_on_after(_search_again(vain)):
                await self._wait_hint()

    async def _search(self) -> Router:
        """The first router that answers, by the protocols in their order; NatError says what came of each."""
        problems: list[str] = []
        for method in self._settings.methods:
            if method in self._refused:
                continue
            try:
                router = await find_router(method)
            except NatError as error:
                problems.append(str(error))
            else:
                self._method = method
                return router
        self._refused.clear()
        raise NatError("; ".join(dict.fromkeys(problems)))

    async def _stay_with(self, router: Router) -> None:
        """Keep mappings with a router until it is gone."""
        now = trio.current_time()
        self._leases, self._asked = Leases(self._wanted, now), set()
        external, vain = b"", 0
        next_look = first_look = now + self._look_every
        while vain < LOOKS_IN_VAIN:
            problem = await self._ask_for_due(router)
            now = trio.current_time()
            if router.has_forgotten():
                self._leases.forgotten(now)
                problem = problem or await self._ask_for_due(router)
            mapped = self._leases.published(now)
            if problem and not mapped and next_look == first_look and self._tries_another():
                self._tell(NatStatus(problem=problem))
                return
            external = next((endpoint.ip for endpoint in mapped.values()), external)
            self._tell(NatStatus(router.name, external, mapped, problem))
            with trio.move_on_at(min(next_look, self._leases.next_due())):
                await self._wait_hint()
                next_look = trio.current_time()
            if trio.current_time() < next_look:
                continue
            next_look = trio.current_time() + self._look_every
            try:
                seen = await router.look()
            except NatError as error:
                vain += 1
                self._tell(NatStatus(router.name, external, mapped, str(error)))
                next_look = trio.current_time() + self._look_every / 4  # to know soon
                continue
            vain, seen = 0, None if seen is None else unmapped(seen)
            if router.has_forgotten() or (seen is not None and external and seen != external):
                self._leases.forgotten(trio.current_time())
            if seen is not None and len(seen) == 4 and is_believable(seen):
                external = seen
        self._leases.withdrawn(trio.current_time())
        self._tell(NatStatus(problem=f"{router.name}: the router has gone"))

    def _tries_another(self) -> bool:
        """A router has given nothing: whether there is another protocol, by which it may. A router may know one, and have it off."""
        self._refused.add(self._method)
        is_left = bool(self._method) and not self._refused.issuperset(self._settings.methods)
        if not is_left:
            self._refused.clear()
        return is_left

    async def _ask_for_due(self, router: Router) -> str:
        """Ask for each mapping that is due; what went wrong."""
        problem = ""
        for wanted in self._leases.due(trio.current_time()):
            self._asked.add(wanted)
            try:
                grant = await router.map(wanted, self._leases.suggestion(wanted), self._lifetime)
            except NatError as error:
                self._leases.failed(wanted, trio.current_time())
                problem = str(error)
                continue
            try:
                self._leases.granted(wanted, grant, trio.current_time())
            except NatError as error:
                problem = f"{router.name}: {error}"
        return problem

    async def _leave(self, router: Router) -> None:
        """Remove what there is, and quickly: the node may be ending.

        That is more than what was published: also what was granted and not believed, or asked for when the node was cancelled.
        """
        with trio.move_on_after(FAREWELL, shield=True):
            async with trio.open_nursery() as nursery:
                for wanted in self._asked:
                    nursery.start_soon(self._remove, router, wanted)
        router.close()

    async def _remove(self, router: Router, wanted: Wanted) -> None:
        try:
            await router.unmap(wanted)
        except NatError as error:
            _logger.info("the mapping of %s stays until it ends by itself: %s", wanted, error)

    def _tell(self, status: NatStatus) -> None:
        if status == self.status:
            return
        self.status = status
        self._publish(status)
        self._told.set()
        self._told = trio.Event()

    async def changed(self) -> None:
        """Wait until `status` is something else."""
        await self._told.wait()

    # Hints

    async def _wait_hint(self) -> None:
        await self._hint.wait()
        self._hint = trio.Event()

    async def _listen(self) -> None:
        """Hear of routers that have started again, or have another address (RFC 6886, section 3.2.1; RFC 6887, section 14.1)."""
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                await sock.bind((pmp.ANNOUNCED_TO, pmp.ANNOUNCED_AT))
                group = struct.pack("4s4s", socket.inet_aton(pmp.ANNOUNCED_TO), bytes(4))
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            except OSError as error:
                _logger.debug("announcements of routers are not heard: %s", error)
                return
            while True:
                try:
                    _, sender = await sock.recvfrom(1100)
                except OSError:
                    await trio.sleep(HINTS_EVERY)
                    continue
                if sender[1] == pmp.PORT and sender[0] in _gateway_hosts():
                    self._hint.set()
                    await trio.sleep(HINTS_EVERY)

    # STUN

    async def _keep_asking(self, servers: tuple[tuple[str, int], ...]) -> None:
        vain = 0
        while True:
            try:
                external = await stun.ask_several(servers)
                if not is_believable(external):
                    raise NatError(f"STUN: we are seen at {Endpoint(external, 0)}, which nobody outside reaches")
            except NatError as error:
                vain += 1
                self._tell(NatStatus(problem=str(error)))
            else:
                vain = 0
                self._tell(NatStatus("STUN", external))
            await trio.sleep(_search_again(vain) if vain else STUN_EVERY)


async def find_router(method: str) -> Router:
    """Look for a router by one protocol of `METHODS`: at the default gateway, or by SSDP; NatError says why there is none."""
    hosts = _gateway_hosts()
    if method == "upnp":
        urls = await upnp.search(hosts)
        problem = NatError("UPnP: no router answers")
        for url in urls:
            try:
                return await upnp.UpnpRouter.open(url)
            except NatError as error:
                problem = error
        raise problem
    if not hosts:
        gateways()  # which says why
        raise NatError("this machine has no default gateway of IPv4")
    opens = PcpRouter.open if method == "pcp" else PmpRouter.open
    problem = NatError("")
    for host in sorted(hosts):
        try:
            return await opens(host)
        except NatError as error:
            problem = error
    raise problem


def _search_again(vain: int) -> float:
    """Seconds to wait after so many searches in vain."""
    return SEARCH_AGAIN[min(vain, len(SEARCH_AGAIN)) - 1]


def _gateway_hosts() -> frozenset[str]:
    """The default gateways of IPv4; none where they cannot be known."""
    try:
        return frozenset(gateway.host for gateway in gateways() if gateway.version == 4)
    except NatError:
        return frozenset()
