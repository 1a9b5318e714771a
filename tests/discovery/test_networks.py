import ast
import ipaddress
from pathlib import Path

import pytest

from devp2p.discovery.networks import Endpoint, Scope, is_local, network_of, scope_of, unmapped


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


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
