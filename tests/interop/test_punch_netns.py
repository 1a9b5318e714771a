"""Relay and holes in a laboratory of namespaces: kinds of NAT by kinds of transport, with what is to be expected of each.

    a (10.0.1.2) - na - net (the relay) - nb - b (10.0.2.2)

A cone is a NAT that keeps ports (`masquerade`), a symmetric one gives each destination another (`fully-random`), a firewall is IPv6
without translation; all of them let in only what answers.
"""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from devp2p import PrivateKey
from tests.interop.netns import Lab, outcomes, until

pytestmark = pytest.mark.interop

PRELOADED = ("tests.interop.punching", "devp2p.node.dialer", "devp2p.node.door", "devp2p.node.steering", "devp2p.transports.quic")
KEYS = {name: PrivateKey(bytes([number]) * 32) for number, name in enumerate(("relay", "called", "caller"), 1)}
PUBLIC = {name: bytes(key.public_key).hex() for name, key in KEYS.items()}
RELAY = {"4": "192.0.2.1", "6": "[2001:db8::1]"}

FILTER = """
table inet guard {
  chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "in" oifname "out" accept
  }
  chain input { type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname { "in", "lo" } accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
  }
}
"""
TRANSLATION = """
table ip nat {
  chain out { type nat hook postrouting priority 100;
    oifname "out" masquerade %s
  }
}
"""


def build(lab: Lab, kinds: tuple[str, str]) -> None:
    """The namespaces, with a NAT of some kind before each of the two nodes."""
    lab.add("net", "na", "nb", "a", "b")
    lab.router("net")
    lab.run("net", "ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    lab.run("net", "ip", "address", "add", "2001:db8::1/128", "dev", "lo")
    for number, (host, box, kind) in enumerate((("a", "na", kinds[0]), ("b", "nb", kinds[1])), 1):
        lab.router(box)
        lab.wire(
            ("net", f"to{box}", [f"203.0.{112 + number}.1/24", f"2001:db8:{number}::1/64"]),
            (box, "out", [f"203.0.{112 + number}.2/24", f"2001:db8:{number}::2/64"]),
        )
        inner = (box, "in", [f"10.0.{number}.1/24", f"2001:db8:{number}1::1/64"])
        lab.wire(inner, (host, "out", [f"10.0.{number}.2/24", f"2001:db8:{number}1::2/64"]))
        lab.run(host, "ip", "route", "add", "default", "via", f"10.0.{number}.1")
        lab.run(host, "ip", "-6", "route", "add", "default", "via", f"2001:db8:{number}1::1")
        lab.run(box, "ip", "route", "add", "default", "via", f"203.0.{112 + number}.1")
        lab.run(box, "ip", "-6", "route", "add", "default", "via", f"2001:db8:{number}::1")
        lab.run("net", "ip", "-6", "route", "add", f"2001:db8:{number}1::/64", "via", f"2001:db8:{number}::2")
        rules = FILTER
        if kind != "firewall":
            rules += TRANSLATION % ("fully-random" if kind == "symmetric" else "")
        (lab.folder / f"{box}.nft").write_text(rules)
        lab.run(box, "nft", "-f", str(lab.folder / f"{box}.nft"))


def move_behind_a_second_nat(lab: Lab, host: str) -> None:
    """A host becomes a NAT itself, with the host ``inside`` behind it."""
    lab.add("inside")
    lab.router(host)
    lab.wire((host, "in", ["10.0.9.1/24"]), ("inside", "out", ["10.0.9.2/24"]))
    lab.run("inside", "ip", "route", "add", "default", "via", "10.0.9.1")
    (lab.folder / "second.nft").write_text(FILTER + TRANSLATION % "")
    lab.run(host, "nft", "-f", str(lab.folder / "second.nft"))


def filling(lab: Lab, scheme: str) -> None:
    """Print by what a node behind two NATs was connected to three nodes behind another, at first and at last."""
    build(lab, ("cone", "cone"))
    move_behind_a_second_nat(lab, "a")
    at = f"{PUBLIC['relay']}@{RELAY['4']}:30303"
    program = [sys.executable, "-m", "tests.interop.punching"]
    lab.start("net", *program, "relay", bytes(KEYS["relay"]).hex(), log="relay.log")
    until("the relay", lambda: lab.told("relay.log"))
    keys = [PrivateKey(bytes([10 + number]) * 32) for number in range(3)]
    for number, key in enumerate(keys):
        lab.start("b", *program, "called", bytes(key).hex(), scheme, at, f"--port={30303 + number}", log=f"called{number}.log")
    until("the reservations", lambda: lab.told("relay.log")[-1]["reservations"] == 3)
    targets = [bytes(key.public_key).hex() for key in keys]
    lab.start("inside", *program, "filler", bytes(KEYS["caller"]).hex(), scheme, at, *targets, log="filler.log")
    try:
        until("all of them directly", lambda: lab.told("filler.log")[-1:] and lab.told("filler.log")[-1]["links"] == ["direct"] * 3)
    except AssertionError:
        say(lab.log("filler.log")[-3000:])
        raise
    lines = [line for line in lab.told("filler.log") if "links" in line]
    say({"ever": sorted({link for line in lines for link in line["links"]}), "last": lines[-1]["links"]})


def crossed(lab: Lab) -> int:
    """How many bytes have crossed the relay by now."""
    seen = len(lab.told("relay.log"))
    until("two reports", lambda: len(lab.told("relay.log")) >= seen + 2)
    return int(lab.told("relay.log")[-1]["bytes"])


def say(result: object) -> None:
    """To the test, by the output of the process."""
    sys.stdout.write(f"{json.dumps(result)}\n")


def scenario(lab: Lab, first: str, second: str, scheme: str, *options: str) -> None:
    """Print what became of a session between two nodes behind these NATs."""
    build(lab, (first, second))
    at = f"{PUBLIC['relay']}@{RELAY['6' if first == 'firewall' else '4']}:30303"
    program = [sys.executable, "-m", "tests.interop.punching"]

    def start(host: str, name: str, *arguments: str) -> None:
        lab.start(host, *program, name, bytes(KEYS[name]).hex(), *arguments, log=f"{name}.log")

    start("net", "relay")
    until("the relay", lambda: lab.told("relay.log"))
    start("b", "called", scheme, at, *options)
    until("the reservation", lambda: any(line.get("reservations") for line in lab.told("relay.log")))
    start("a", "caller", scheme, at, PUBLIC["called"], str(lab.folder / "go"))
    try:
        until("its move", lambda: any("marked" in line for line in lab.told("caller.log")), seconds=50)
        before = crossed(lab)
        (lab.folder / "go").touch()
        until("its answer", lambda: any("path" in line for line in lab.told("caller.log")), seconds=20)
    except AssertionError:
        say({name: lab.log(f"{name}.log")[-3000:] for name in ("caller", "called")})
        raise
    after = crossed(lab)
    end = next(line for line in lab.told("caller.log") if "path" in line)
    say(end | {"crossed": after - before})


Outcome: TypeAlias = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def printed(request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    yield from outcomes(request, __file__)


@pytest.fixture
def outcome(printed: Callable[[str], str]) -> Outcome:
    """What became of each case."""

    def outcome_of(case: str) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(printed(case).splitlines()[-1])
        assert result["same"], "the session is another object"
        assert result["answered"]
        return result

    return outcome_of


@pytest.mark.parametrize(
    "case", ["scenario cone cone tcp", "scenario cone cone quic", "scenario firewall firewall tcp", "scenario firewall firewall quic"]
)
def test_between_nats_that_keep_ports_a_session_goes_on_directly(case: str, outcome: Outcome) -> None:
    result = outcome(case)
    assert (result["transport"], result["path"]) == (case.rpartition(" ")[2], "direct")
    assert result["crossed"] < 2_000, "no more of it crosses the relay"


@pytest.mark.parametrize(
    "case",
    [
        "scenario cone symmetric tcp",
        "scenario cone symmetric quic",
        "scenario symmetric symmetric tcp",
        "scenario symmetric symmetric quic",
    ],
)
def test_where_a_nat_gives_other_ports_the_session_stays_on_the_relay(case: str, outcome: Outcome) -> None:
    result = outcome(case)
    assert result["transport"] == "relay"
    assert result["crossed"] > 200_000


@pytest.mark.parametrize("case", ["scenario cone cone tcp --silent", "scenario cone cone quic --silent"])
def test_control_if_only_one_side_dials_the_other_nat_lets_nothing_in(case: str, outcome: Outcome) -> None:
    assert outcome(case)["transport"] == "relay"


@pytest.mark.parametrize("case", ["filling tcp", "filling quic"])
def test_a_node_behind_two_nats_fills_its_places_through_a_relay_and_then_directly(case: str, printed: Callable[[str], str]) -> None:
    assert json.loads(printed(case).splitlines()[-1]) == {"ever": ["direct", "relay"], "last": ["direct"] * 3}
