"""What the node's router forwards to it: which ports are wanted, and what our own record says of them."""

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import trio

from devp2p.addresses import Address, Endpoint, Scope
from devp2p.records import enr_entries

if TYPE_CHECKING:  # who has no router to ask need not wait until it is imported
    from devp2p.discovery import Discovery
    from devp2p.nat import NatSettings, NatStatus, Wanted

_OVER_UDP: Final = frozenset({"quic", "sctp"})
"""Schemes whose port is one of UDP."""

_logger = logging.getLogger(__name__)


class Forwarding:
    """Keeps the ports of one node forwarded, as far as it has any that others could reach."""

    def __init__(self, settings: "NatSettings", bound: Sequence[Address], discovery: "Discovery | None") -> None:
        """`bound`: where the node listens."""
        from devp2p.nat import NatKeeper  # noqa: PLC0415  (see above)

        self._discovery = discovery
        self._bound = tuple(bound)
        self._udp = None if discovery is None else _wanted(discovery.address, over_udp=True)
        wanted = [one for one in (self._udp, *map(_wanted, bound)) if one is not None]
        self._has_any = trio.Event()
        if wanted:
            self._has_any.set()
        self._keeper: NatKeeper = NatKeeper(settings, wanted, self._publish)

    @property
    def status(self) -> "NatStatus":
        """What is known now."""
        return self._keeper.status

    async def changed(self) -> None:
        """Wait until that is something else."""
        await self._keeper.changed()

    def add(self, addresses: Iterable[Address]) -> None:
        """The node listens at more addresses."""
        for address in addresses:
            self._bound += (address,)
            if (wanted := _wanted(address)) is not None:
                self._keeper.add(wanted)
                self._has_any.set()

    async def run(self) -> None:
        """Keep them, for ever; as long as only this machine can reach the node, there is nothing to be kept."""
        await self._has_any.wait()
        await self._keeper.run()

    def _publish(self, status: "NatStatus") -> None:
        told = ", ".join(f"{wanted} at {endpoint}" for wanted, endpoint in status.mapped.items())
        _logger.info("%s", f"{status.method}: {told or 'nothing is forwarded'}{f'; {status.problem}' * bool(status.problem)}")
        if self._discovery is None:
            return
        ports = dict[str, tuple[int, int]]()
        for key, value in enr_entries(self._bound).items():
            for one, where in status.mapped.items():
                if one.port == value and one.protocol == ("udp" if key in _OVER_UDP else "tcp"):
                    ports[key] = (one.port, where.port)
        udp = status.mapped.get(self._udp) if self._udp is not None else None
        seen = udp or next(iter(status.mapped.values()), None)
        if seen is None and len(status.external) == 4 and _is_without_ports(status):
            seen = Endpoint(status.external, 0)
        self._discovery.forward(None if seen is None else Endpoint(seen.ip, 0 if udp is None else udp.port), ports)


def _is_without_ports(status: "NatStatus") -> bool:
    """Whether it is a method that says where we are, and forwards nothing: the ports are those that we listen at."""
    return status.method == "STUN"


def _wanted(address: Address, *, over_udp: bool = False) -> "Wanted | None":
    """What to ask of a router of IPv4 for one address; None where nobody outside would be forwarded to it."""
    from devp2p.nat import Wanted  # noqa: PLC0415  (see above)

    if not address.port or ":" in address.host or address.scope is Scope.LOOPBACK:
        return None
    return Wanted("udp" if over_udp or address.scheme in _OVER_UDP else "tcp", address.port)
