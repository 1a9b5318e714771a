"""``devp2p nat``, and how ``devp2p node`` tells of its router."""

import json

import pytest

from devp2p.cli import main
from devp2p.cli import nat as command
from devp2p.nat import Grant, NatError, Wanted
from devp2p.terminal.output import Exit
from tests.nat.routers import Pmp

EXTERNAL = Pmp().external


class Router:
    """One that does as it is told."""

    name = "PCP"

    def __init__(self, external=EXTERNAL):
        self.external, self.mapped = external, set[Wanted]()

    async def look(self):
        return self.external

    async def map(self, wanted, _, lifetime):
        self.mapped.add(wanted)
        return Grant(self.external, 40404, lifetime)

    async def unmap(self, wanted):
        self.mapped.remove(wanted)

    def has_forgotten(self):
        return False

    def close(self):
        pass


@pytest.fixture
def routers(monkeypatch):
    """Those that are found, by protocol."""
    found: dict[str, Router] = {}

    async def find(method):
        if method not in found:
            raise NatError(f"nobody answers by {method}")
        return found[method]

    monkeypatch.setattr(command, "find_router", find)
    return found


def test_each_step_says_what_came_of_it(routers, capsys):
    routers["pcp"] = Router()
    assert main(["nat"]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["gateway", "PCP", "NAT-PMP", "UPnP", "A"]
    assert "was reached at 45.67.0.10:40404, for 120 s, and is not any more" in lines[1]
    assert "nobody answers by pmp" in lines[2]
    assert lines[-1] == "A node here can be reached at 45.67.0.10: devp2p node --nat pcp"
    assert not routers["pcp"].mapped


def test_json_has_the_steps_and_what_follows(routers, capsys):
    routers["pmp"] = Router()
    assert main(["nat", "pmp", "--json"]) == Exit.OK
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"], shown["external"]) == ("ok", "45.67.0.10")
    step = shown["steps"][1]
    assert (step["step"], step["ok"], step["mapping"]["external"]) == ("pmp", True, "45.67.0.10:40404")


def test_a_look_makes_no_mapping(routers, capsys):
    routers["upnp"] = Router()
    routers["upnp"].map = None
    assert main(["nat", "upnp", "--look", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["steps"][1]["external"] == "45.67.0.10"


def test_a_router_behind_another_nat_is_no_way(routers, capsys):
    routers["pcp"] = Router(bytes((100, 64, 0, 1)))
    assert main(["nat", "pcp", "--json"]) == Exit.FAILED
    shown = json.loads(capsys.readouterr().out)
    assert shown["status"] == "none"
    assert "100.64.0.1, which nobody outside reaches" in shown["steps"][1]["error"]


@pytest.mark.parametrize(("arguments", "said"), [(["none"], "nothing to find out"), (["natpmp"], "nat is any, upnp, pmp, pcp")])
def test_other_arguments_are_refused(arguments, said, capsys):
    with pytest.raises(SystemExit) as end:
        main(["nat", *arguments])
    assert end.value.code == Exit.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nat", "natpmp"], "argument --nat: nat is any, upnp, pmp, pcp"),
        (["--nat", "extip:45.67.0.1", "--no-discovery"], "--nat extip:IP is what discovery tells others"),
        (["--nat", "extip:45.67.0.1", "--external", "45.67.0.2"], "--nat extip:IP and --external both say where"),
    ],
)
def test_what_a_node_cannot_do_about_its_router_is_refused(arguments, said, capsys):
    with pytest.raises(SystemExit) as end:
        main(["node", "--capability", "tests.chat:Chat", *arguments])
    assert end.value.code == Exit.USAGE
    assert said in capsys.readouterr().err
