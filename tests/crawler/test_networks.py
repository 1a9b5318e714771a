"""Sets of networks, and who does not want to be visited."""

import ipaddress

import pytest
from devp2p_crawler.model import Networks, OptOut

NODE = bytes(range(32))


def ip(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def test_a_set_of_networks_covers_what_lies_in_them():
    some = Networks.parse(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", " 198.51.100.0/25 "])
    assert some.count == 4
    inside = ("10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8:ffff::1", "198.51.100.127", "::ffff:10.1.2.3")
    outside = ("9.255.255.255", "11.0.0.0", "192.0.2.6", "2001:db9::", "198.51.100.128", "::a00:1", "::ffff:11.1.2.3")
    assert [text for text in (*inside, *outside) if some.covers(ip(text))] == [*inside]
    assert not some.covers(b"")
    assert Networks.parse(["0.0.0.0/0"]).covers(ip("203.0.113.1"))
    assert not Networks.parse(["0.0.0.0/0"]).covers(ip("2001:db8::1"))
    assert not Networks().covers(ip("10.0.0.1"))


def test_networks_that_are_none_are_refused_with_what_to_write():
    with pytest.raises(ValueError, match=r"^a network such as 192\.0\.2\.0/24 or 2001:db8::/32, or one address, is wanted, not 'all'$"):
        Networks.parse(["all"])
    told = r"^10\.0\.0\.1/8 is an address in a network: write 10\.0\.0\.0/8 for the network, or 10\.0\.0\.1 for the address alone$"
    with pytest.raises(ValueError, match=told):
        Networks.parse(["10.0.0.1/8"])


def test_lines_of_an_opt_out_list():
    assert OptOut.parse_line("  # a remark") is OptOut.parse_line("") is None
    assert OptOut.parse_line(f"{NODE.hex()}  # asked by mail") == NODE
    assert OptOut.parse_line(f"0x{NODE.hex().upper()}") == NODE
    assert OptOut.parse_line("192.0.2.0/24") == ipaddress.ip_network("192.0.2.0/24")
    with pytest.raises(ValueError, match="is wanted"):
        OptOut.parse_line("enode")


def test_an_opt_out_list_covers_nodes_wherever_they_are_and_networks_whoever_is_there():
    out = OptOut([NODE], Networks.parse(["192.0.2.0/24"]))
    assert out.covers(NODE)
    assert out.covers(NODE, ip("203.0.113.1"))
    assert out.covers(bytes(32), ip("192.0.2.9"))
    assert not out.covers(bytes(32), ip("203.0.113.1"))
    assert not out.covers(bytes(32))
    assert len(out) == 2
    assert not OptOut()
