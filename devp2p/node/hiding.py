"""What a node with a proxy may not do, since it would go past it (pure)."""

from collections.abc import Iterable

from devp2p.addresses import Address
from devp2p.capability import AnyCapability
from devp2p.errors import LocalProtocolError
from devp2p.nat import NatSettings
from devp2p.transports import Carriers, OverTcp, Proxy, Transport


def require_nothing_past(
    carriers: Carriers, listen: Iterable[Address], capabilities: Iterable[AnyCapability], *, discovers: bool, nat: NatSettings
) -> None:
    """Refuse what would go past the proxy, if there is one, before anything is sent.

    LocalProtocolError for what else the node is to do, ValueError for where it is to listen; each says what to write instead.
    """
    proxy = carriers.proxy
    if proxy is None:
        return
    if discovers:
        raise LocalProtocolError(
            f"discovery asks by UDP and DNS, past the proxy {proxy}: leave out bootnodes, dns_trees and discovery,"
            " and name nodes by static_peers, candidates or connect"
        )
    if nat != NatSettings():
        raise LocalProtocolError(f"nat= asks routers and servers, past the proxy {proxy}, or says where the node is: leave it out")
    for capability in capabilities:
        if capability.direct:
            raise LocalProtocolError(
                f"{type(capability).__name__} is there to be reached past the proxy {proxy}, and connects by itself: leave it out"
            )
    for address in listen:
        carriers.transport(address)  # there is none for what is not TCP
        carriers.require_hidden(address)


def require_by_proxy(proxy: Proxy | None, transports: Iterable[Transport]) -> None:
    """LocalProtocolError for transports of one's own that do not dial by the node's proxy, if it has one."""
    for transport in transports:
        if proxy is not None and not (isinstance(transport, OverTcp) and transport.connect == proxy):
            raise LocalProtocolError(
                f"{type(transport).__name__} of extra_transports would connect past the proxy {proxy}: make it with connect= that proxy"
            )
