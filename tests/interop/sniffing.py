"""Tells each kind of packet that comes in by an interface, once, as a line of JSON: ``python tests/interop/sniffing.py INTERFACE``.

What the kernel sends by itself to find its neighbours, ARP and that part of ICMPv6, is left out.
"""

import json
import socket
import struct
import sys
from ipaddress import ip_address

_IPV4, _IPV6, _ARP = 0x0800, 0x86DD, 0x0806
_NAMES = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp", socket.IPPROTO_ICMP: "icmp", socket.IPPROTO_ICMPV6: "icmp6"}
_NEIGHBOURS = range(130, 144)  # types of ICMPv6: listeners of multicast, routers, neighbours


def told(kind: int, packet: bytes) -> tuple[str, str, int] | None:
    """Protocol, destination, and its port."""
    if kind == _IPV4:
        protocol, target, rest = packet[9], packet[16:20], packet[(packet[0] & 15) * 4 :]
    elif kind == _IPV6:
        protocol, target, rest = packet[6], packet[24:40], packet[40:]
        if protocol == 0:  # hop by hop, as listeners of multicast have it
            protocol, rest = rest[0], rest[(rest[1] + 1) * 8 :]
        if protocol == socket.IPPROTO_ICMPV6 and rest[0] in _NEIGHBOURS:
            return None
    else:
        return None if kind == _ARP else (f"ethernet {kind:#06x}", "", 0)
    name = _NAMES.get(protocol, str(protocol))
    return name, str(ip_address(target)), struct.unpack_from(">H", rest, 2)[0] if name in {"tcp", "udp"} else 0


def main(interface: str) -> None:
    seen = set[tuple[str, str, int]]()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as sock:  # 3: of every protocol
        sock.bind((interface, 3))
        sys.stdout.write('"sniffing"\n')
        while True:
            packet, (_, kind, direction, *_) = sock.recvfrom(65536)
            if direction != socket.PACKET_OUTGOING and (found := told(kind, packet)) is not None and found not in seen:
                seen.add(found)
                sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
