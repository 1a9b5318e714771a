"""SSDP, by which a router says where its UPnP description is, as text (pure; UPnP Device Architecture 1.1, section 1.3).

Anybody on the network can answer a search, and the answer is a URL that we are to fetch. So it is believed only if it leads to the very
host that has sent it, on our own network: nobody else's web pages are asked for, and no other machine of this network.
"""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from devp2p.addresses import Scope, pack_ip, scope_of
from devp2p.errors import DecodingError

GROUP: Final = "239.255.255.250"
PORT: Final = 1900
TARGETS: Final = (
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
)
_MOST_BYTES: Final = 2048
_MOST_URL: Final = 256


def search(target: str) -> bytes:
    """A search for devices of one type."""
    return f'M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}:{PORT}\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: {target}\r\n\r\n'.encode()


def location(data: bytes, sender: str, gateways: frozenset[str] = frozenset()) -> str:
    """The URL in an answer from the IP address `sender`; DecodingError for what is no answer, and for a URL that is not believed."""
    if len(data) > _MOST_BYTES:
        raise DecodingError(f"an answer of SSDP with {len(data)} bytes")
    lines = data.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1.") or lines[0].split(" ")[1:2] != ["200"]:
        raise DecodingError("no answer of SSDP")
    found = [value.strip() for name, _, value in (line.partition(":") for line in lines[1:]) if name.strip().lower() == "location"]
    if len(found) != 1 or not found[0].isascii() or not found[0].isprintable() or len(found[0]) > _MOST_URL:
        raise DecodingError("an answer of SSDP without a location")
    if host_of(found[0]) != sender:
        raise DecodingError(f"an answer of SSDP from {sender} that leads to another host")
    if sender not in gateways and scope_of(pack_ip(sender)) is not Scope.LAN:
        raise DecodingError(f"an answer of SSDP from {sender}, which is not on this network")
    return found[0]


def host_of(url: str) -> str:
    """The IP address in an http URL; DecodingError for any other URL, and for a name."""
    try:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.username is not None or parts.hostname is None:
            raise DecodingError("a location that is no http URL")
        _ = parts.port
        return str(ipaddress.ip_address(parts.hostname))
    except ValueError:
        raise DecodingError("a location without an IP address") from None
