"""How a node is to be reached from outside of its network, as the user says it: ``any``, ``pcp``, ``extip:203.0.113.5`` (pure)."""

import ipaddress
from dataclasses import dataclass
from typing import Final

from devp2p.addresses import Scope, parse_port, scope_of
from devp2p.arguments import require

METHODS: Final = ("pcp", "pmp", "upnp")
"""The protocols in which a router can be asked for mappings, the best one first."""
NONE: Final = "none"
_WANTED: Final = "any, upnp, pmp, pcp, stun, stun:HOST[:PORT], extip:IP or none"
_STUN_PORT: Final = 3478


@dataclass(frozen=True, slots=True)
class NatSettings:
    """What to do about a NAT; `nat_of` makes it of text."""

    methods: tuple[str, ...] = ()
    """Of `METHODS`, in the order in which they are tried."""
    stun: tuple[tuple[str, int], ...] | None = None
    """Servers of STUN to ask, names and ports; an empty tuple for well-known ones, and None for none."""
    external: str = ""
    """The external address, if the user knows it."""
    look_every: float = 60.0
    """Seconds between two looks at the router: whether it is there, and has forgotten nothing."""

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do while the node runs."""
        return not self.methods and self.stun is None


def nat_of(text: "str | NatSettings") -> NatSettings:
    """Read how to be reached; ValueError for text that says nothing of the kind, TypeError for anything else."""
    require(text, (str, NatSettings), f"nat is {_WANTED}")
    if isinstance(text, NatSettings):
        return text
    kind, colon, rest = text.partition(":")
    if colon and kind == "extip":
        return NatSettings(external=_external(rest))
    if colon and kind == "stun":
        return NatSettings(stun=(_server(rest),))
    if text == NONE:
        return NatSettings()
    if text == "any":
        return NatSettings(METHODS)
    if text == "stun":
        return NatSettings(stun=())
    if text in METHODS:
        return NatSettings((text,))
    raise ValueError(f"nat is {_WANTED}, not {text[:80]!r}")


def _external(text: str) -> str:
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"extip: {text[:80]!r} is no IP address: write extip:IP, such as extip:203.0.113.5") from None
    if ip.is_unspecified or ip.is_multicast:
        raise ValueError(f"extip: {ip} is not the address of a host")
    return str(ip)


def _server(text: str) -> tuple[str, int]:
    host, port = text, str(_STUN_PORT)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or not host.isprintable() or any(sign in host for sign in " /?#@[]"):
        raise ValueError(f"stun: {text[:80]!r} is no server: write stun:HOST or stun:HOST:PORT")
    return host, parse_port(port)


def is_believable(ip: bytes) -> bool:
    """Whether a router or server may say that an address is our external one: others have to be able to reach it."""
    return scope_of(ip) is Scope.PUBLIC
