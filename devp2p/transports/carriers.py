"""Several transports together: which of them an address is for."""

from collections.abc import Iterable
from contextlib import AsyncExitStack

from devp2p.addresses import Address, Scope
from devp2p.arguments import named, several
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.peers import WhyNot, undialable
from devp2p.records import NodeRecord
from devp2p.transports.defaults import Defaults, default_transports
from devp2p.transports.links import Listener, Transport, naming
from devp2p.transports.over_tcp import OverTcp, listen_together
from devp2p.transports.proxies import Proxy, proxy_of
from devp2p.transports.tcp import TcpTransport


class Carriers:
    """Transports by the schemes of addresses that they understand."""

    def __init__(
        self, transports: Iterable[Transport] | None = None, key: PrivateKey | None = None, *, proxy: str | Proxy | None = None
    ) -> None:
        """By default those that come with the library, as far as what they need is installed; those that prove a `key` only with one.

        Of two for one scheme the later one counts. With a `proxy` (``socks5://127.0.0.1:9050``) there are those over TCP, which dial by it,
        and Unix sockets; and they listen at loopback addresses only, so that nobody reaches the node past it. TypeError for what is no
        transport, ValueError for what is no proxy, LocalProtocolError for a proxy beside transports of one's own.
        """
        self.proxy: Proxy | None = None if proxy is None else proxy_of(proxy)
        """By which all dials go."""
        if self.proxy is not None and transports is not None:
            raise LocalProtocolError("transports of one's own have a proxy each: give them theirs, as TcpTransport(Proxy.parse(...))")
        self._defaults = Defaults(key, self.proxy) if transports is None else None
        self._transports: dict[str, Transport] = {}
        for transport in () if transports is None else several(transports, "transports"):
            self.add(transport)

    def add(self, transport: Transport) -> None:
        """Take one more. TypeError for what is no transport."""
        if isinstance(transport, type) or not all(hasattr(transport, name) for name in ("schemes", "dial", "bind")):
            hint = f": write {transport.__name__}()" if isinstance(transport, type) else ""
            raise TypeError(f"each of transports is an object with schemes, dial and bind, not {named(transport)}{hint}")
        several(transport.schemes, f"{type(transport).__name__}.schemes")
        self._transports |= dict.fromkeys(transport.schemes, transport)

    @property
    def given(self) -> tuple[Transport, ...] | None:
        """Those that were given, each once; None for those that come with the library. With a proxy, those that prove no key."""
        if self.proxy is not None:
            return default_transports(self.proxy)
        return None if self._defaults is not None else tuple({id(one): one for one in self._transports.values()}.values())

    @property
    def schemes(self) -> frozenset[str]:
        """What is understood."""
        return frozenset(self._transports) | (frozenset[str]() if self._defaults is None else self._defaults.schemes)

    def transport(self, address: Address) -> Transport:
        """The transport for an address; ValueError if there is none, which says what would bring it."""
        found = self._transports.get(address.scheme)
        if found is None and self._defaults is not None and (found := self._defaults.make(address)) is not None:
            self.add(found)
        if found is None:
            raise ValueError(f"no transport for {address}: this node has {', '.join(sorted(self.schemes)) or 'none'}")
        return found

    def may_dial(self, address: Address) -> bool:
        """Whether there is a transport for an address, and the node there takes connections."""
        return address.is_dialable and address.scheme in self.schemes

    async def bind(self, address: Address, stack: AsyncExitStack | None = None) -> Listener:
        """Begin to listen at an address, until `stack` is left if it is given, whether or not somebody serves there.

        OSError that names the address if that is impossible, ValueError without a transport for it, or past the proxy.
        """
        transport = self.transport(address)
        self.require_hidden(address)
        with naming(address):
            listener = await transport.bind(address)
        if stack is not None:
            stack.push_async_callback(listener.aclose)
        return listener

    async def bind_all(self, addresses: Iterable[Address], stack: AsyncExitStack) -> list[Listener]:
        """Begin to listen at several addresses, as `bind`; those over TCP with one host and port share it."""
        together: dict[tuple[str, int | None], list[tuple[Address, OverTcp | None]]] = {}
        listeners: list[Listener] = []
        for address in addresses:
            self.require_hidden(address)
            transport, group = self.transport(address), together.setdefault((address.host, address.port), [])
            has_another = any(address.scheme == other.scheme for other, _ in group)
            if isinstance(transport, OverTcp) and not has_another:
                group.append((address, transport))
            elif isinstance(transport, TcpTransport) and not has_another:
                group.append((address, None))
            else:
                listeners.append(await self.bind(address, stack))
        for group in together.values():
            if len(group) == 1:
                listeners.append(await self.bind(group[0][0], stack))
            elif group:
                with naming(group[0][0]):
                    listeners.append(await listen_together(group))
                stack.push_async_callback(listeners[-1].aclose)
        return listeners

    def require_hidden(self, address: Address) -> None:
        """ValueError for an address at which others would reach the node past its proxy, if it has one."""
        if self.proxy is None or address.port is None or address.is_relayed or (address.ip and address.scope is Scope.LOOPBACK):
            return
        raise ValueError(
            f"who connects to {address} would reach this node past the proxy {self.proxy}: listen at 127.0.0.1 or [::1],"
            " to where an onion service or a relay of your own leads, or nowhere"
        )

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
