"""What a node has, and how its addresses may be written, when nobody says otherwise."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Final, cast

from devp2p.addresses import Address
from devp2p.keys import PrivateKey
from devp2p.transports.links import Transport
from devp2p.transports.proxies import Proxy
from devp2p.transports.tcp import TcpTransport
from devp2p.transports.unix import UnixTransport

DEFAULT_LISTEN: Final = Address("tcp", "*", 30303)
"""Where a node listens that others are to find."""


@dataclass(frozen=True, slots=True)
class _Extra:
    """A transport that is imported when somebody uses it."""

    module: str
    name: str
    extra: str = ""
    """The extra of the distribution that brings what it needs, or none."""
    packages: tuple[str, ...] = ()
    """What that is, by the names of imports."""
    proves: bool = True
    """Whether it proves our key to the peer, and so is made with it."""
    over_tcp: bool = False
    """Whether its connections are made as those of TCP are, and so can go by way of a proxy."""

    @property
    def is_installed(self) -> bool:
        return all(find_spec(package) is not None for package in self.packages)

    def make(self, key: PrivateKey | None, proxy: Proxy | None, **settings: object) -> Transport:
        made = cast("Callable[..., Transport]", getattr(import_module(f"devp2p.transports.{self.module}"), self.name))
        by = settings if proxy is None else {**settings, "connect": proxy}
        return made(key, **by) if self.proves else made(**by)


_EXTRAS: Final[dict[str, _Extra]] = {
    "ksctp": _Extra("ksctp", "KernelSctpTransport", proves=False),
    "mptcp": _Extra("mptcp", "MptcpTransport", proves=False),
    "ssh": _Extra("ssh", "SshTransport", "ssh", ("asyncssh", "trio_asyncio"), over_tcp=True),
    "tls": _Extra("tls", "TlsTransport", "tls", ("OpenSSL",), over_tcp=True),
    "ws": _Extra("ws", "WsTransport", "ws", ("wsproto",), proves=False, over_tcp=True),
    "wss": _Extra("ws", "WsTransport", "ws", ("wsproto",), proves=False, over_tcp=True),
    "quic": _Extra("quic", "QuicTransport", "quic", ("aioquic",)),
    "sctp": _Extra("sctp.transport", "SctpTransport", "sctp", ("aiortc", "OpenSSL")),
}
"""By scheme."""


def default_transports(proxy: Proxy | None = None) -> tuple[Transport, ...]:
    """The transports that need nothing: TCP, which may dial by a proxy, and Unix sockets."""
    return TcpTransport() if proxy is None else TcpTransport(proxy), UnixTransport()


def known_schemes() -> frozenset[str]:
    """The schemes of all transports that come with the library, what they need being installed or not."""
    return frozenset(scheme for transport in default_transports() for scheme in transport.schemes) | _EXTRAS.keys()


def why_not_installed(scheme: str) -> str | None:
    """What has to be installed before a transport that comes with the library can be used; None if it can, or there is none."""
    extra = _EXTRAS.get(scheme)
    if extra is None or extra.is_installed:
        return None
    return f"needs packages that are not installed: pip install 'trio-devp2p[{extra.extra}]'"


def proves_keys(scheme: str) -> bool:
    """Whether the links of a transport that comes with the library prove the peer by themselves."""
    return scheme in _EXTRAS and _EXTRAS[scheme].proves


def transport_with(scheme: str, proxy: Proxy | None = None, **settings: object) -> Transport:
    """The transport that comes with the library for a scheme and proves no key of ours, with settings of its own, as its class takes them.

    It must be installed. Raises what the class does.
    """
    return _EXTRAS[scheme].make(None, proxy, **settings)


class Defaults:
    """The transports of one node that is given none: each is made when it is asked for. With a `proxy` those that dial by it."""

    def __init__(self, key: PrivateKey | None, proxy: Proxy | None = None) -> None:
        self._key = key
        self._proxy = proxy
        self._plain = {scheme: transport for transport in default_transports(proxy) for scheme in transport.schemes}

    @cached_property
    def schemes(self) -> frozenset[str]:
        """What can be made. To look for packages takes a third of a millisecond, and whoever has many nodes to dial asks for each."""
        return frozenset(self._plain).union(scheme for scheme, extra in _EXTRAS.items() if self._can_make(extra))

    def make(self, address: Address) -> Transport | None:
        """The transport for an address, or None if there is none; ValueError that says what is missing."""
        if address.scheme in self._plain:
            return self._plain[address.scheme]
        extra = _EXTRAS.get(address.scheme)
        if extra is None:
            return None
        if self._proxy is not None and not extra.over_tcp:
            raise ValueError(f"{address} would go past the proxy {self._proxy}, by which only TCP goes: {_by_proxy()}")
        if (missing := why_not_installed(address.scheme)) is not None:
            raise ValueError(f"{address} {missing}")
        if extra.proves and self._key is None:
            raise ValueError(f"{address} is of a transport that proves keys, and so needs ours: use `call`, or give the transport")
        return extra.make(self._key, self._proxy)

    def _can_make(self, extra: _Extra) -> bool:
        past = self._proxy is not None and not extra.over_tcp
        return extra.is_installed and not past and not (extra.proves and self._key is None)


def _by_proxy() -> str:
    schemes = sorted(scheme for scheme, extra in _EXTRAS.items() if extra.over_tcp)
    return f"use an address of {DEFAULT_LISTEN.scheme}, {', '.join(schemes)}"


def read_address(text: str) -> Address:
    """Read an address as people write it: without a scheme it is a TCP one. ValueError as `Address.parse`."""
    return Address.parse(text if "://" in text else f"{DEFAULT_LISTEN.scheme}://{text}")
