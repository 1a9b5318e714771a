import ast
import ipaddress
from pathlib import Path

import pytest

from devp2p.discovery.networks import Endpoint, Scope, is_local, network_of, relay_fault, scope_of, unmapped


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


SENDERS = {
    "h": ["127.0.0.1", "::1"],  # this host
    "l": ["192.168.1.7", "10.9.8.7", "100.64.3.2", "169.254.7.7", "fd00::7", "fe80::7", "::ffff:172.16.0.9"],  # the LAN
    "p": ["8.8.8.8", "2600::1", "::ffff:8.8.8.8", "203.0.113.5", "64:ff9b::808:808", ""],  # anyone else, whatever it seems to be
}

# D6: an address -> whose word for it is taken
ADDRESSES = {
    # public
    "1.1.1.1": "hlp",
    "8.8.8.8": "hlp",
    "9.255.255.255": "hlp",
    "11.0.0.0": "hlp",
    "100.63.255.255": "hlp",
    "100.128.0.0": "hlp",
    "126.255.255.255": "hlp",
    "128.0.0.1": "hlp",
    "172.15.255.255": "hlp",
    "172.32.0.0": "hlp",
    "192.0.1.1": "hlp",
    "192.167.255.255": "hlp",
    "198.17.255.255": "hlp",
    "198.20.0.0": "hlp",
    "223.255.255.255": "hlp",
    "2001:200::1": "hlp",
    "2001:4860:4860::8888": "hlp",
    "2400::1": "hlp",
    "2600::": "hlp",
    "2620:4f:8001::1": "hlp",
    "2a01:4f8::1": "hlp",
    "::ffff:1.1.1.1": "hlp",
    # the LAN
    "10.0.0.0": "hl",
    "10.255.255.255": "hl",
    "100.64.0.1": "hl",
    "100.127.255.255": "hl",
    "169.254.0.1": "hl",
    "172.16.0.1": "hl",
    "172.31.255.255": "hl",
    "192.168.0.0": "hl",
    "192.168.255.255": "hl",
    "fc00::1": "hl",
    "fdff:ffff::1": "hl",
    "fe80::1": "hl",
    "febf::1": "hl",
    "::ffff:10.0.0.1": "hl",
    # this host
    "127.0.0.1": "h",
    "127.255.255.254": "h",
    "::1": "h",
    "::ffff:127.0.0.1": "h",
    # not the address of a host
    "0.0.0.0": "",  # noqa: S104  (nobody binds here)
    "0.1.2.3": "",
    "192.0.0.1": "",
    "192.0.0.9": "",
    "192.0.0.170": "",
    "192.0.0.171": "",
    "192.0.2.1": "",
    "192.31.196.1": "",
    "192.52.193.1": "",
    "192.88.99.1": "",
    "192.175.48.1": "",
    "198.18.0.1": "",
    "198.19.255.255": "",
    "198.51.100.1": "",
    "203.0.113.1": "",
    "224.0.0.1": "",
    "239.255.255.255": "",
    "240.0.0.1": "",
    "255.255.255.255": "",
    "::": "",
    "::ffff:0.0.0.0": "",
    "::ffff:224.0.0.1": "",
    "::7f00:1": "",  # IPv4-compatible, given up long ago
    "::808:808": "",
    "64:ff9b::a00:1": "",  # NAT64 of 10.0.0.1
    "64:ff9b::808:808": "",
    "64:ff9b:1::1": "",
    "100::1": "",  # discard
    "2001::1": "",  # Teredo
    "2001:1::1": "",
    "2001:2::1": "",
    "2001:3::1": "",
    "2001:4:112::1": "",
    "2001:5::1": "",
    "2001:10::1": "",
    "2001:20::1": "",
    "2001:30::1": "",
    "2001:db8::1": "",
    "2002:a00:1::": "",  # 6to4 of 10.0.0.1
    "2002:808:808::1": "",
    "2620:4f:8000::1": "",
    "3ffe::1": "",
    "3fff::1": "",
    "4000::1": "",
    "5f00::1": "",
    "fec0::1": "",  # site-local
    "feff::1": "",
    "ff00::1": "",
    "ff02::1": "",
    "ff0e::1": "",
}


@pytest.mark.parametrize("sender", [pytest.param((who, text), id=text or "nothing") for who, texts in SENDERS.items() for text in texts])
def test_d6_nobody_tells_us_of_addresses_that_he_cannot_know(sender):
    who, text = sender
    assert len(ADDRESSES) >= 60
    taken = {a for a in ADDRESSES if relay_fault(packed(text) if text else b"", Endpoint(packed(a), 30303)) is None}
    assert taken == {a for a, senders in ADDRESSES.items() if who in senders}


# What go-ethereum's p2p/netutil refuses from anyone, as facts: its two lists, multicast and the unspecified addresses.
REFUSED_ELSEWHERE = """
    0.0.0.0/8 192.0.0.0/29 192.0.0.9/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24
    192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 255.255.255.255/32 224.0.0.0/4
    100::/64 2001::/32 2001:1::1/128 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:5::/32 2001:10::/28 2001:20::/28 2001:db8::/32 2002::/16
    ::/128 ff00::/8
"""


@pytest.mark.parametrize("network", REFUSED_ELSEWHERE.split())
def test_d6_what_go_ethereum_refuses_is_refused(network):
    parsed = ipaddress.ip_network(network)
    for address in (parsed[0], parsed[-1]):
        assert scope_of(address.packed) is Scope.SPECIAL


@pytest.mark.parametrize(("port", "taken"), [(0, 0), (53, 0), (1024, 0), (1025, 1), (65535, 1), (65536, 0), (-1, 0)])
def test_d6_ports_of_other_services_are_refused(port, taken):
    assert (relay_fault(b"\x08\x08\x08\x08", Endpoint(b"\x01\x01\x01\x01", port)) is None) == bool(taken)


@pytest.mark.parametrize("size", [0, 1, 3, 5, 8, 15, 17, 32])
def test_what_is_no_address_is_special(size):
    assert scope_of(b"\x08" * size) is Scope.SPECIAL
    assert str(Endpoint(b"\x08" * size, 1)) == f"[{'08' * size}]:1"


def test_networks():
    assert {network_of(packed(text)) for text in ("8.1.2.3", "8.1.2.200", "::ffff:8.1.2.9")} == {b"\x08\x01\x02"}
    assert network_of(packed("8.1.2.3"), wide=True) == b"\x08\x01\x02"
    site, provider = network_of(packed("2a01:4f8:1:2::3")), network_of(packed("2a01:4f8:9:2::3"), wide=True)
    assert (site, provider) == (packed("2a01:4f8:1::")[:6], packed("2a01:4f8::")[:4])
    assert network_of(packed("2a01:4f8:2:2::3")) != site
    assert network_of(packed("2a01:4f9::")) != provider


def test_addresses_in_the_clothes_of_others():
    assert unmapped(packed("::ffff:1.2.3.4")) == packed("1.2.3.4")
    assert unmapped(packed("::1.2.3.4")) == packed("::1.2.3.4")
    assert is_local(packed("::ffff:192.168.0.1"))
    assert not is_local(packed("2002:c0a8:1::"))


def test_endpoints_as_text():
    assert str(Endpoint(packed("1.2.3.4"), 30303)) == "1.2.3.4:30303"
    assert str(Endpoint(packed("fe80::1"), 9000)) == "[fe80::1]:9000"


# P1: the hash of an int is not salted. 256-bit numbers can be chosen so that all collide, and a dict of them is slow enough to stop a node.

KEYED = {"add", "get", "setdefault", "pop", "discard", "remove", "move_to_end"}


def int_keys(tree: ast.AST) -> list[int]:
    """The lines in which something is kept, or looked up, under an int that was made of bytes or text."""
    numbers = set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                numbers |= {name} if is_number(value, numbers) else set()
    lines: list[int] = []
    for node in ast.walk(tree):
        keys: list[ast.expr | None] = []
        match node:
            case ast.Dict(keys=keys):
                pass
            case ast.Set(elts=elements):
                keys = [*elements]
            case ast.DictComp(key=key) | ast.SetComp(elt=key) | ast.Subscript(slice=key):
                keys = [key]
            case ast.Call(func=ast.Attribute(attr=attr), args=[key, *_]) if attr in KEYED:
                keys = [key]
        lines += [key.lineno for key in keys if key is not None and is_number(key, numbers)]
    return lines


def is_number(node: ast.expr, numbers: set[str]) -> bool:
    match node:
        case ast.Name(id=name):
            return name in numbers
        case ast.BinOp(left=left, right=right):
            return is_number(left, numbers) or is_number(right, numbers)
        case ast.Call(func=ast.Name(id="int"), args=[ast.BinOp()]):
            return False  # rounding
        case ast.Call(func=function):
            return ast.unparse(function) in {"int", "int.from_bytes"}
    return False


FILES = sorted((Path(__file__).parents[2] / "devp2p" / "discovery").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_p1_nothing_from_the_network_is_kept_under_an_int(path):
    assert int_keys(ast.parse(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "bad",
    [
        "d[int.from_bytes(node)]",
        "x = int.from_bytes(node)\ns.add(x)",
        "{int(a): b}",
        "{int(a) ^ b for a in c}",
        "x: int = int.from_bytes(node)\nx in seen or seen.add(x)",
        "d.get(int(text), None)",
    ],
)
def test_p1_the_rule_finds_its_fault(bad):
    assert int_keys(ast.parse(bad)) != []


def test_p1_ids_made_to_collide_as_ints_do_not_as_bytes():
    ids = [(1 + place * (2**61 - 1)).to_bytes(32) for place in range(5000)]
    assert len({hash(int.from_bytes(node)) for node in ids}) == 1
    assert len({hash(node) for node in ids}) == len(ids)
