"""NAT-PMP, PCP, SSDP, STUN and routes, as bytes."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.addresses import Endpoint
from devp2p.errors import DecodingError
from devp2p.nat import NatError, gateways, nat_of, pcp, pmp, ssdp, stun
from devp2p.nat.epoch import Epoch
from devp2p.nat.gateway import Gateway
from devp2p.nat.settings import NatSettings
from tests.fuzz import nat_targets


def test_nat_pmp_is_as_the_rfc_writes_it():
    assert pmp.ask_external() == b"\0\0"
    assert pmp.ask_mapping(pmp.MAP_TCP, 30303, 40404, 7200).hex() == "00020000" + "765f9dd4" + "00001c20"
    assert pmp.decode(bytes.fromhex("00800000000003e82d43000a")) == pmp.External(0, 1000, bytes((45, 67, 0, 10)))
    assert pmp.decode(bytes.fromhex("00820000000003e8765f9dd400001c20")) == pmp.Mapped(2, 0, 1000, 30303, 40404, 7200)
    assert pmp.decode(bytes.fromhex("00820002000003e8")) == pmp.Mapped(2, 2, 1000, 0, 0, 0)


def test_pcp_is_as_the_rfc_writes_it():
    client, nonce = ip_address("192.168.1.2").packed, bytes(range(12))
    head = "0201000000001c2000000000000000000000ffffc0a80102"
    body = nonce.hex() + "11000000" + "765f9dd4" + bytes(16).hex()
    assert pcp.ask_mapping(client, nonce, 17, 30303, 40404, bytes(16), 7200).hex() == head + body
    assert len(pcp.ask_announce(client)) == 24
    answer = bytes.fromhex("0281000000001c20000003e8" + "00" * 12 + nonce.hex() + "11000000765f9dd4" + "00" * 10 + "ffff2d43000a")
    assert pcp.decode(answer) == pcp.Answer(2, 1, 0, 7200, 1000, pcp.Mapping(nonce, 17, 30303, 40404, bytes((45, 67, 0, 10))))


def test_a_server_of_nat_pmp_alone_is_known_by_its_answer():
    assert pcp.decode(bytes.fromhex("00810001000003e8")).version == 0
    with pytest.raises(DecodingError):
        pcp.decode(bytes.fromhex("00810000000003e8"))


@pytest.mark.parametrize("size", [0, 1, 3, 7, 11])
def test_what_is_too_short_is_refused(size):
    for decode in (pmp.decode, pcp.decode):
        with pytest.raises(DecodingError):
            decode(b"\0\x80" + bytes(size - 2) if size > 1 else bytes(size))


@pytest.mark.parametrize("name", [name for name in vars(nat_targets) if name.startswith("fuzz_")])
def test_the_fuzz_targets_hold(name):
    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(nat_targets.SEEDS) | st.binary(max_size=80), st.integers(0, 80), st.binary(max_size=3))
    def run(data, at, edit):
        getattr(nat_targets, name)(data[:at] + edit + data[at + len(edit) :])

    run()
    for seed in nat_targets.SEEDS:
        getattr(nat_targets, name)(seed)


@given(st.integers(0, 2**31), st.floats(0, 10**6), st.floats(-1, 1))
def test_an_honest_clock_is_believed(start, passed, error):
    epoch = Epoch()
    assert not epoch.forgot(start, 0.0)
    assert not epoch.forgot(start + int(max(0, passed + error)), passed)


@pytest.mark.parametrize(("server", "now"), [(5, 60.0), (998, 1.0), (1000, 60.0), (1060, 0.0), (0, 100.0)])
def test_a_router_that_has_started_again_is_noticed(server, now):
    epoch = Epoch()
    epoch.forgot(1000, 0.0)
    assert epoch.forgot(server, now)


def test_routes_are_read_as_linux_writes_them(tmp_path):
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "nonsense\n"
    )
    (tmp_path / "ipv6_route").write_text(
        f"{'0' * 32} 00 {'0' * 32} 00 fe800000000000000000000000000001 00000400 00000003 00000000 00000003     eth0\n"
        f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n"
    )
    assert gateways(tmp_path) == (Gateway("192.0.2.1", "eth0"), Gateway("192.168.1.1", "wlan0"), Gateway("fe80::1%eth0", "eth0"))


def test_without_proc_it_says_what_is_missing(tmp_path):
    with pytest.raises(NatError, match="which only Linux has"):
        gateways(tmp_path / "none")
    (tmp_path / "route").write_text("Iface\n")
    with pytest.raises(NatError, match="no default gateway"):
        gateways(tmp_path)


ANSWER = "HTTP/1.1 200 OK\r\nST: x\r\nLocation: {}\r\n\r\n"


def test_the_location_of_a_router_is_believed_of_itself_only():
    url = "http://192.168.1.1:5000/rootDesc.xml"
    assert ssdp.location(ANSWER.format(url).encode(), "192.168.1.1") == url
    for wrong, sender in [
        (url, "192.168.1.7"),
        ("http://example.org/x", "192.168.1.1"),
        ("https://192.168.1.1/x", "192.168.1.1"),
        ("http://45.67.0.1/x", "45.67.0.1"),
        ("http://127.0.0.1/x", "127.0.0.1"),
        ("http://user@192.168.1.1/", "192.168.1.1"),
        ("http://192.168.1.1:99999/", "192.168.1.1"),
        ("", "192.168.1.1"),
    ]:
        with pytest.raises(DecodingError):
            ssdp.location(ANSWER.format(wrong).encode(), sender)
    assert ssdp.location(ANSWER.format("http://45.67.0.1/x").encode(), "45.67.0.1", frozenset({"45.67.0.1"}))


@pytest.mark.parametrize("host", ["45.67.0.10", "2a01::5"])
def test_stun_says_where_we_are_seen(host):
    transaction = bytes(range(12))
    answer = nat_targets.stun_answer(transaction, host)
    assert stun.decode(answer, transaction) == Endpoint(ip_address(host).packed, 40000)
    for other in (bytes(12), transaction[::-1]):
        with pytest.raises(DecodingError):
            stun.decode(answer, other)
    request = stun.ask_binding(transaction)
    assert struct.unpack("!HHI", request[:8]) == (1, 0, 0x2112A442)
    with pytest.raises(DecodingError):
        stun.decode(request, transaction)


def test_what_a_user_may_say():
    assert nat_of("any") == NatSettings(("pcp", "pmp", "upnp"))
    assert nat_of("upnp") == NatSettings(("upnp",))
    assert nat_of("none") == NatSettings()
    assert nat_of("none").is_idle
    assert nat_of("extip:45.67.0.1") == NatSettings(external="45.67.0.1")
    assert nat_of("stun").stun == ()
    assert nat_of("stun:example.org").stun == (("example.org", 3478),)
    assert nat_of("stun:[2a01::1]:5").stun == (("2a01::1", 5),)
    for wrong, said in [
        ("natpmp", "nat is any, upnp, pmp, pcp, stun"),
        ("extip:router", "is no IP address"),
        ("extip:0.0.0.0", "not the address of a host"),
        ("stun:a b", "is no server"),
        ("stun:a:b", "a port is a number"),
        ("", "nat is any"),
    ]:
        with pytest.raises(ValueError, match=said):
            nat_of(wrong)
    with pytest.raises(TypeError, match="nat is any"):
        nat_of(5)  # type: ignore[arg-type]
