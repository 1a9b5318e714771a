"""Lookups in ordinary DNS, by the package dnspython, which only this file needs: ``pip install trio-devp2p[dns]``."""

from collections.abc import Sequence

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.inet
import dns.rdtypes.txtbase
import dns.resolver

from devp2p.discovery.dns.source import LOOKUP_TIMEOUT, LookupFailed
from devp2p.errors import LocalProtocolError


class DnsResolver:
    """A `Resolver` that asks DNS servers, by UDP, and by TCP where an answer is too large for that."""

    def __init__(self, servers: Sequence[str] = (), *, port: int = 53, timeout: float = LOOKUP_TIMEOUT) -> None:
        """Ask `servers` (IP addresses), trying one after the other, or those that the operating system is configured to ask.

        LookupFailed if that has none, LocalProtocolError for what is no address.
        """
        if wrong := [server for server in servers if not dns.inet.is_address(server)]:
            raise LocalProtocolError(f"a DNS server is named by its IP address, which {wrong[0]!r} is not")
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration as error:
            raise LookupFailed(f"no DNS server to ask: {error}") from None
        if servers:
            self._resolver.nameservers = list(servers)
            self._resolver.port = port
        self._resolver.lifetime = timeout

    async def txt(self, name: str) -> list[str]:
        """See `Resolver`. What is not ASCII is left out: it is no part of a tree."""
        backend = dns.asyncbackend.get_backend("trio")
        try:
            # With the dot at its end, the name is not tried under the domains that this machine searches.
            answer = await self._resolver.resolve(f"{name}.", "TXT", backend=backend, search=False)
        except dns.resolver.NXDOMAIN:
            raise LookupFailed("there is no such name") from None
        except dns.resolver.NoAnswer:
            raise LookupFailed("the name has no TXT records") from None
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(str(error) or type(error).__name__) from None
        texts = (b"".join(record.strings) for record in answer if isinstance(record, dns.rdtypes.txtbase.TXTBase))
        return [text.decode() for text in texts if text.isascii()]
