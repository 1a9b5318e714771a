"""Several transports together: which of them an address is for."""

from collections.abc import Iterable
from contextlib import AsyncExitStack

from devp2p.addresses import Address
from devp2p.arguments import named, several
from devp2p.peers import WhyNot, undialable
from devp2p.records import NodeRecord
from devp2p.transports.defaults import default_transports
from devp2p.transports.links import Listener, Transport, naming


class Carriers:
    """Transports by the schemes of addresses that they understand."""

    def __init__(self, transports: Iterable[Transport] | None = None) -> None:
        """By default TCP and Unix sockets; of two for one scheme the later one counts. TypeError for what is no transport."""
        chosen = default_transports() if transports is None else several(transports, "transports")
        for transport in chosen:
            if isinstance(transport, type) or not all(hasattr(transport, name) for name in ("schemes", "dial", "bind")):
                hint = f": write {transport.__name__}()" if isinstance(transport, type) else ""
                raise TypeError(f"each of transports is an object with schemes, dial and bind, not {named(transport)}{hint}")
            several(transport.schemes, f"{type(transport).__name__}.schemes")
        self._transports: dict[str, Transport] = {scheme: transport for transport in chosen for scheme in transport.schemes}

    @property
    def schemes(self) -> frozenset[str]:
        """What is understood."""
        return frozenset(self._transports)

    def transport(self, address: Address) -> Transport:
        """The transport for an address; ValueError if there is none."""
        if address.scheme not in self._transports:
            raise ValueError(f"no transport for {address}: this node has {', '.join(sorted(self._transports)) or 'none'}")
        return self._transports[address.scheme]

    def may_dial(self, address: Address) -> bool:
        """Whether there is a transport for an address, and the node there takes connections."""
        return address.is_dialable and address.scheme in self._transports

    async def bind(self, address: Address, stack: AsyncExitStack | None = None) -> Listener:
        """Begin to listen at an address, until `stack` is left if it is given, whether or not somebody serves there.

        OSError that names the address if that is impossible, ValueError without a transport for it.
        """
        transport = self.transport(address)
        with naming(address):
            listener = await transport.bind(address)
        if stack is not None:
            stack.push_async_callback(listener.aclose)
        return listener

    def require_dialable(self, record: NodeRecord) -> None:
        """ValueError for a node that can never be dialled: it has no address, none with a transport, or a port 0."""
        match undialable(record, self.schemes):
            case WhyNot.NO_ADDRESS:
                raise ValueError(f"{record.enode} has no address to dial: add @<host>:<port>")
            case WhyNot.NO_TRANSPORT:
                self.transport(record.addresses[0])
            case WhyNot.NO_PORT:
                raise ValueError(f"{record.enode} says port 0: the node does not take connections")
            case _:
                pass
