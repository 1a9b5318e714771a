"""What leaves a node that has a proxy, seen from the wire in a network namespace: TCP to the proxy, and nothing else."""

import json
import sys
from pathlib import Path

import pytest

from devp2p import PrivateKey
from tests.interop import daemons, netns, proxies
from tests.interop.daemons import program
from tests.interop.netns import Lab, until

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parent.parent.parent
NODE, OUTSIDE = "192.168.7.10", "192.168.7.1"  # of a LAN, to which the limits on callers of one address do not apply
DEVP2P = (sys.executable, "-m", "devp2p.cli")
PORT = 1080
SCHEMES = ("tcp", "tls", "ws", "ssh")
SECRETS = "me:battery"
HASH = "$6$devp2p$dvzh6vTH3QEO.w4.PQOqy/s.KZFNrjbQK56eF/hWjuQV4PE7m3.urRDK9jX8Jt1a1POSNLeLE4CxQsHfuQvBr1"
"""Of the password, as it stands in /etc/shadow."""


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    daemons.need("dante", "tinyproxy")


def wired(lab: Lab) -> None:
    """A node's host, and all that is outside of it: a proxy, a node to be called, and the server of DNS that it has been told of."""
    lab.add("node", "outside")
    lab.wire(("node", "eth0", [f"{NODE}/24", "fd00::10/64"]), ("outside", "out0", [f"{OUTSIDE}/24", "fd00::1/64"]))
    lab.run("node", "ip", "route", "add", "default", "via", OUTSIDE)
    (lab.folder / "resolv.conf").write_text(f"nameserver {OUTSIDE}\noptions timeout:1 attempts:1\n")
    netns._run("mount", "--bind", str(lab.folder / "resolv.conf"), "/etc/resolv.conf")
    lab.start("outside", sys.executable, "-u", "-m", "tests.interop.sniffing", "out0", log="packets")
    until("the packets are looked at", lambda: "sniffing" in lab.log("packets"))


def packets(lab: Lab) -> set[tuple[str, str, int]]:
    return {tuple(json.loads(line)) for line in lab.log("packets").splitlines()[1:]}


def begin_outside(lab: Lab, kind: str) -> tuple[str, str]:
    """Start a node and a proxy, which alone knows its name; the proxy, and the node's key."""
    listen = [part for scheme in SCHEMES for part in ("--listen", f"{scheme}://{OUTSIDE}:{30303 + SCHEMES.index(scheme)}")]
    command = (*DEVP2P, "node", "--json", "--capability", "tests.chat:Chat", "--no-discovery", "--nat", "none", *listen)
    lab.start("outside", *command, log="outside")
    files = {"hosts": f"{OUTSIDE} node.example\n"}
    if kind == "dante":
        settings = proxies.dante_settings(lab.folder, OUTSIDE, PORT, OUTSIDE, "username")
        files |= {"passwd": "root:x:0:0::/:/bin/sh\nme:x:0:0::/:/bin/sh\n", "shadow": f"root:*:19000::::::\nme:{HASH}:19000::::::\n"}
        run = f"{program('dante')} -f {settings}"
    else:
        settings = proxies.tinyproxy_settings(lab.folder, OUTSIDE, PORT, *SECRETS.split(":"))
        run = f"{program('tinyproxy')} -d -c {settings}"
    for name, text in files.items():
        (lab.folder / name).write_text(text)
    mounts = "".join(f"mount --bind {lab.folder / name} /etc/{name} && " for name in files)
    lab.start("outside", "unshare", "-m", "sh", "-c", f"{mounts}exec {run}", log="proxy")
    until("the proxy listens", lambda: f":{PORT} " in lab.run("outside", "ss", "-ltn"))
    until("the node listens", lambda: "listening" in lab.log("outside"))
    enode = json.loads(lab.log("outside").splitlines()[0])["enode"]
    return f"{'socks5' if kind == 'dante' else 'http'}://{SECRETS}@{OUTSIDE}:{PORT}", enode.split("//")[1].partition("@")[0]


def with_a_proxy(lab: Lab, kind: str) -> None:
    wired(lab)
    proxy, key = begin_outside(lab, kind)
    for number, scheme in list(enumerate(SCHEMES))[kind == "tinyproxy" :: 2]:
        told = json.loads(lab.run("node", *DEVP2P, "ping", "--json", "--proxy", proxy, f"{scheme}://{key}@node.example:{30303 + number}"))
        assert (told["status"], told["transport"], told["path"]) == ("ok", scheme, f"proxy {proxy.replace(f'{SECRETS}@', '')}"), told
    command = (*DEVP2P, "ping", "--json", "--proxy", proxy, f"quic://{key}@node.example:1")
    assert "would go past the proxy" in lab.run("node", "sh", "-c", f"{' '.join(command)} || true")
    peer = f"enode://{key}@node.example:30303"
    lab.start("node", *DEVP2P, "node", "--json", "--proxy", proxy, "--capability", "tests.chat:Chat", "--peer", peer, log="node")
    until("the node has its peer", lambda: '"ready"' in lab.log("node"))
    assert packets(lab) == {("tcp", OUTSIDE, PORT)}, packets(lab)


def without_one(lab: Lab) -> None:
    wired(lab)
    peer = f"enode://{bytes(PrivateKey.generate().public_key).hex()}@node.example:30303"
    command = (*DEVP2P, "ping", "--timeout", "5", peer)
    lab.run("node", "sh", "-c", f"{' '.join(command)} || true")
    assert ("udp", OUTSIDE, 53) in packets(lab), packets(lab)


def looking_for_nodes(lab: Lab) -> None:
    wired(lab)
    lab.start("node", *DEVP2P, "node", "--json", "--capability", "tests.chat:Chat", log="node")
    until("it asks routers", lambda: any(name == "udp" for name, _, _ in packets(lab)))


@pytest.mark.parametrize("kind", ["dante", "tinyproxy"])
def test_t60_nothing_leaves_a_node_with_a_proxy_but_tcp_to_it(kind: str) -> None:
    netns.inside(__file__, "with_a_proxy", kind, seconds=90)


def test_t60_control_without_one_a_name_is_asked_for_by_dns() -> None:
    netns.inside(__file__, "without_one")


def test_t61_control_without_one_a_node_asks_routers() -> None:
    netns.inside(__file__, "looking_for_nodes")
