import ipaddress

import pytest

from devp2p.addresses import Endpoint, Scope, is_local, network_of, scope_of, unmapped


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
