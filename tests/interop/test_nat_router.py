"""A node behind a real router: miniupnpd with nftables gives mappings by UPnP, NAT-PMP and PCP, is restarted, moves, and dies; and coturn.

Each scenario runs in network namespaces of its own (`netns`): a host, its router, and the internet, which has public addresses.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.interop import daemons, netns
from tests.interop.netns import Lab, until

pytestmark = pytest.mark.interop

PRELOADED = ("devp2p.cli", "devp2p.discovery", "devp2p.nat.keeper", "devp2p.nat.stun", "devp2p.node.door", "devp2p.node.steering")
HOST, ROUTER = "192.168.1.2", "192.168.1.1"
INTERNET, OURS, MOVED = "45.67.0.1", "45.67.0.10", "45.67.0.11"
METHODS = ["pcp", "pmp", "upnp"]
DEVP2P = (sys.executable, "-m", "devp2p.cli")
RULES = """
table inet filter {
    chain forward {
        type filter hook forward priority 0; policy drop;
        jump miniupnpd
        ct state established,related accept
        iifname "lan0" accept
    }
    chain miniupnpd { }
    chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority 100; policy accept; oifname "wan0" masquerade; }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
"""
SETTINGS = """
ext_ifname=wan0
listening_ip=lan0
port=5000
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
min_lifetime=60
max_lifetime=86400
notify_interval=900
uuid=11111111-2222-3333-4444-555555555555
upnp_table_name=filter
upnp_nat_table_name=filter
{deny}
allow 1024-65535 0.0.0.0/0 1024-65535
"""


@pytest.fixture(scope="module")
def _programs():
    daemons.need("miniupnpd", "coturn")


class Router:
    """The router of a laboratory, and its miniupnpd."""

    def __init__(self, lab: Lab, deny: str = "") -> None:
        self.lab = lab
        lab.add("host", "router", "internet")
        lab.wire(("host", "eth0", [f"{HOST}/24"]), ("router", "lan0", [f"{ROUTER}/24"]))
        lab.wire(("router", "wan0", [f"{OURS}/24"]), ("internet", "eth0", [f"{INTERNET}/24"]))
        lab.run("host", "ip", "route", "add", "default", "via", ROUTER)
        lab.run("router", "ip", "route", "add", "default", "via", INTERNET)
        lab.router("router")
        self.rules, self.settings = lab.folder / "rules", lab.folder / "settings"
        self.rules.write_text(RULES)
        self.settings.write_text(SETTINGS.format(deny=deny))
        lab.run("router", "/usr/sbin/nft", "-f", str(self.rules))
        self.start()

    def start(self) -> None:
        pid = str(self.lab.folder / "pid")
        said = (self.lab.folder / "miniupnpd").stat().st_size if (self.lab.folder / "miniupnpd").exists() else 0
        self.daemon = self.lab.start("router", "/usr/sbin/miniupnpd", "-d", "-f", str(self.settings), "-P", pid, log="miniupnpd")
        self.began = time.monotonic()
        until("miniupnpd listens", lambda: "Listening for NAT-PMP" in self.lab.log("miniupnpd")[said:])

    def die(self) -> None:
        """It is gone, and so is what it had. Its clock has to have gone on a little, or nobody would see that it begins anew."""
        time.sleep(max(0.0, self.began + 4 - time.monotonic()))
        self.lab.stop(self.daemon, kill=True)
        for chain in ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd"):
            self.lab.run("router", "/usr/sbin/nft", "flush", "chain", "inet", "filter", chain)

    def move(self) -> None:
        """Have another external address, and say so as routers do."""
        self.lab.run("router", "ip", "address", "del", f"{OURS}/24", "dev", "wan0")
        self.lab.run("router", "ip", "address", "add", f"{MOVED}/24", "dev", "wan0")
        self.lab.run("router", "ip", "route", "add", "default", "via", INTERNET)

    def mapped(self) -> set[str]:
        """What its tables forward, such as ``tcp 30303``."""
        shown = self.lab.run("router", "/usr/sbin/nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd")
        protocols = {"0x6": "tcp", "0x11": "udp"}
        return {f"{protocols[number]} {port}" for number, port in re.findall(r"@nh,72,8 (0x6|0x11) th dport (\d+)", shown)}


def told(lab: Lab, what: str, is_so: Callable[[dict[str, Any]], object], seconds: float = 25) -> dict[str, Any]:
    """The latest news of the node, once it is so."""

    def look() -> dict[str, Any] | None:
        found = lab.told("node")
        return found[-1] if found and is_so(found[-1]) else None

    try:
        found = until(what, look, seconds=seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{lab.log('node')}\n{lab.log('miniupnpd')[-3000:]}") from None
    assert isinstance(found, dict)
    return found


def start_node(lab: Lab, how: str, look_every: float = 1.0) -> netns.Program:
    """It looks at its router each second, so that what happens to that is noticed within a test."""
    return lab.start("host", sys.executable, "-m", "tests.interop.nat_node", how, "30303", str(look_every), log="node")


def ping(lab: Lab, enode: str) -> None:
    """Somebody on the internet calls the node by its enode."""
    shown = json.loads(lab.run("internet", *DEVP2P, "ping", "--json", "--timeout", "5", enode))
    assert shown["status"] == "ok"
    assert shown["address"].startswith("tcp://45.67.0.")


def reach(lab: Lab, enode: str) -> None:
    """The same again, but for the session: one host may call once in 28 s."""
    host, _, port = enode.rpartition("@")[2].partition("?")[0].partition(":")
    lab.run("internet", sys.executable, "-c", f"import socket; socket.create_connection(({host!r}, {port}), 5)")


def scenario_says_what_it_finds(lab: Lab) -> None:
    router = Router(lab)
    shown = json.loads(lab.run("host", *DEVP2P, "nat", "--json"))
    assert (shown["status"], shown["external"]) == ("ok", OURS)
    gateway, *steps = shown["steps"]
    assert gateway["found"] == f"{ROUTER} at eth0"
    assert [step["step"] for step in steps] == METHODS
    for step in steps:
        assert step["ok"], step
        assert step["mapping"]["external"].startswith(f"{OURS}:"), step
    assert not router.mapped()


def scenario_lives_with_its_router(lab: Lab, method: str) -> None:
    router = Router(lab)
    node = start_node(lab, method)
    first = told(lab, "both ports are mapped", lambda one: len(one["mapped"]) == 2)
    assert first["record"] == [OURS, 30303, 30303]
    assert router.mapped() == {"tcp 30303", "udp 30303"}
    ping(lab, first["enode"])

    router.die()
    router.start()
    until("the mappings are made anew", lambda: len(router.mapped()) == 2)
    reach(lab, lab.told("node")[-1]["enode"])

    router.move()
    moved = told(lab, "the new address is told", lambda one: one["external"] == MOVED and len(one["mapped"]) == 2)
    assert moved["record"][0] == MOVED
    reach(lab, moved["enode"])

    router.die()
    gone = told(lab, "nothing is forwarded", lambda one: not one["mapped"])
    assert gone["record"][0] != MOVED
    router.start()
    lab.stop(node)
    assert node.returncode == 0


def scenario_hears_its_router(lab: Lab) -> None:
    """It would look in an hour only, but the router announces that it has started again."""
    router = Router(lab)
    start_node(lab, "pcp", 3600.0)
    told(lab, "both ports are mapped", lambda one: len(one["mapped"]) == 2)
    router.die()
    router.start()
    until("the mappings are made anew", lambda: len(router.mapped()) == 2)


def scenario_gets_other_ports(lab: Lab, method: str) -> None:
    router = Router(lab, "deny 30303-30304 0.0.0.0/0 0-65535")
    node = start_node(lab, method)
    status = told(lab, "both ports are mapped", lambda one: len(one["mapped"]) == 2)
    address, tcp, udp = status["record"]
    assert (address, f"{OURS}:{tcp}", f"{OURS}:{udp}") == (OURS, status["mapped"]["tcp"], status["mapped"]["udp"])
    assert not {tcp, udp} & {30303, 30304}
    ping(lab, status["enode"])
    assert len(router.mapped()) == 2
    lab.stop(node)
    assert node.returncode == 0
    assert not router.mapped()


def scenario_asks_a_stun_server(lab: Lab) -> None:
    Router(lab)
    names = lab.folder / "hosts"
    names.write_text(f"127.0.0.1 localhost\n{INTERNET} stun.test\n")
    subprocess.run(["mount", "--bind", str(names), "/etc/hosts"], check=True)
    options = ("-n", "--stun-only", "--listening-ip", INTERNET, "--listening-port", "3478", "--no-tls", "--no-dtls", "--log-file", "stdout")
    lab.start("internet", "/usr/bin/turnserver", *options, "--pidfile", str(lab.folder / "turn"), "--no-cli", log="turnserver")
    until(
        "coturn listens",
        lambda: (
            ":3478" in lab.run("internet", "sh", "-c", "ss -uln || cat /proc/net/udp")
            or "0D96" in lab.run("internet", "cat", "/proc/net/udp")
        ),
    )
    for server in (INTERNET, "stun.test", "stun.test:3478"):
        shown = json.loads(lab.run("host", *DEVP2P, "nat", f"stun:{server}", "--json"))
        assert (shown["status"], shown["external"]) == ("ok", OURS), shown
    start_node(lab, f"stun:{INTERNET}")
    status = told(lab, "the address is told", lambda one: one["external"] == OURS)
    assert status["record"] == [OURS, 30303, 30303]


def scenario_asks_others(lab: Lab, how: str, verdict: str) -> None:
    """Four servers of nat/1 on networks of their own, of which each calls back."""
    Router(lab)
    lab.router("internet")
    servers = []
    for number in range(1, 5):
        name, where = f"server{number}", f"46.{number}.0.2"
        lab.add(name)
        lab.wire((name, "eth0", [f"{where}/24"]), ("internet", f"to{number}", [f"46.{number}.0.1/24"]))
        lab.run(name, "ip", "route", "add", "default", "via", f"46.{number}.0.1")
        options = ("--capability", "devp2p.capabilities.nat:Nat", "--listen", f"{where}:30303", "--nat", "none", "--json")
        lab.start(name, *DEVP2P, "node", *options, log=name)
        servers.append(name)
    enodes = [json.loads(str(until(f"{name} listens", partial(lab.log, name))).splitlines()[0])["enode"] for name in servers]
    told = json.loads(lab.run("host", sys.executable, "-m", "tests.interop.nat_asker", how, *enodes, seconds=50))
    where = f"tcp://{OURS}:30303"
    assert told["verdict"] == verdict, told
    assert told["addresses" if verdict == "public" else "unreachable"] == [where], told
    assert set(told["observed"]) == {OURS}, told
    assert told["peers"] == 4, told


@pytest.fixture(scope="module")
def run(request, _programs):
    yield from netns.outcomes(request, __file__)


@pytest.mark.parametrize("case", [f"scenario_lives_with_its_router {method}" for method in METHODS])
def test_a_node_lives_through_a_restart_a_move_and_the_end_of_its_router(case, run):
    run(case)


@pytest.mark.parametrize("case", ["scenario_asks_others pcp public", "scenario_asks_others none private"])
def test_four_servers_find_out_whether_a_node_behind_a_nat_is_reached(case, run):
    run(case)


@pytest.mark.parametrize("case", ["scenario_says_what_it_finds"])
def test_the_command_says_what_a_router_does_by_each_protocol(case, run):
    run(case)


@pytest.mark.parametrize("case", ["scenario_hears_its_router"])
def test_an_announcement_of_the_router_is_heard(case, run):
    run(case)


@pytest.mark.parametrize("case", [f"scenario_gets_other_ports {method}" for method in METHODS])
def test_the_record_has_the_ports_that_the_router_gives_and_a_node_that_ends_gives_them_back(case, run):
    run(case)


@pytest.mark.parametrize("case", ["scenario_asks_a_stun_server"])
def test_a_real_stun_server_says_where_we_are(case, run):
    run(case)
