"""docs/bounds.md names every bound of ours with its figure."""

import ast
import importlib
import inspect
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from devp2p import Limits
from devp2p.capabilities.eth.pool import PoolLimits
from devp2p.capabilities.nat import NatLimits
from devp2p.capabilities.punch import PunchLimits
from devp2p.capabilities.relay import RelayLimits
from devp2p.capabilities.snap import capability as snap_capability
from devp2p.capabilities.snap import messages as snap_messages
from devp2p.capabilities.snap import peer as snap_peer
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v5.answers import Discv5Limits
from devp2p.nat import keeper, leases
from devp2p.transports import certificates, proxies, tls, ws, ws_frames
from devp2p.transports.ssh import channels, connection, wire
from devp2p.wire.dpx import contexts, credit, ledgers, sender

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "bounds.md").read_text("utf-8")
SECTIONS = {
    "A session": Limits,
    "Discovery v4": Discv4Limits,
    "Discovery v5": Discv5Limits,
    "The transaction pool": PoolLimits,
    "Calls back: nat/1": NatLimits,
}
CONSTANTS = {
    "The state between peers": (snap_messages, snap_capability, snap_peer),
    "A backfill": [importlib.import_module(f"devp2p.capabilities.backfill.{name}") for name in ("span", "parts", "portion", "backfill")],
}
UNITS = {"": 1, "s": 1, "KiB": 2**10, "MiB": 2**20, "MB": 10**6}


def shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        f"{value // 2**20} MiB" if isinstance(value, int) and value >= 2**20 else f"{value:g}" if isinstance(value, float) else str(value)
    )


@pytest.mark.parametrize("title", SECTIONS)
def test_each_bound_is_there_with_its_figure_and_no_other(title: str) -> None:
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    limits = SECTIONS[title]()
    expected = [(field.name, shown(getattr(limits, field.name))) for field in fields(limits) if field.name != "table"]
    assert re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, flags=re.MULTILINE) == expected


def test_each_bound_of_dpx_is_there_with_its_figure() -> None:
    section = TEXT.split("\n## A session over dpx/1\n")[1].split("\n## ")[0]
    ours = vars(ledgers) | vars(contexts) | vars(credit)
    told = re.findall(r"^\| `(\w+)` \| (\S+) \|", section, flags=re.MULTILINE)
    names = [
        name
        for name in ours
        if name.startswith(("CONTROLS_", "CANCELS_", "REFUSALS_", "MOST_", "LEAST_", "PATIENCE")) and name != "MOST_CREDIT"
    ]
    assert sorted(told) == sorted((name, shown(ours[name])) for name in names)
    assert f"every {sender._AT_LEAST_EVERY:g} s" in " ".join(section.split())


def numbers_of(module: ModuleType) -> dict[str, float]:
    """The constants of a module that are numbers, and set by it."""
    found = dict[str, float]()
    for node in ast.parse(inspect.getsource(module)).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        found |= {name: getattr(module, name) for name in names if name.isupper() and isinstance(getattr(module, name), int | float)}
    return found


@pytest.mark.parametrize("title", CONSTANTS)
def test_each_constant_of_a_capability_is_there_with_its_figure_and_no_other(title: str) -> None:
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) ?(\w*) \|", section, flags=re.MULTILINE)
    told = {name: float(figure) * UNITS[unit] for name, figure, unit in rows}
    assert len(rows) == len(told) == section.count("\n| `")
    ours = {name: value for module in CONSTANTS[title] for name, value in numbers_of(module).items() if name != "_LIE"}
    assert told == ours


@pytest.mark.parametrize(
    ("title", "modules"),
    [
        ("Behind a NAT", (leases, keeper)),
        ("Proxies", (proxies,)),
        ("WebSocket", (ws, ws_frames)),
        ("TLS", (tls, certificates)),
        ("SSH", (channels, connection, wire)),
    ],
)
def test_each_bound_of_a_transport_is_there_with_its_figure(title: str, modules: tuple[ModuleType, ...]) -> None:
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) ?(\w*) \|", section, flags=re.MULTILINE)
    ours = {name: value for module in modules for name, value in numbers_of(module).items() if not name.startswith("_")}
    assert {name: float(figure) * UNITS[unit] for name, figure, unit in rows} == ours


def test_each_bound_of_relays_and_holes_is_there_with_its_figure() -> None:
    section = TEXT.split("\n## Relays and holes\n")[1].split("\n## ")[0]
    expected = [(field.name, shown(getattr(limits, field.name))) for limits in (RelayLimits(), PunchLimits()) for field in fields(limits)]
    assert re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, flags=re.MULTILINE) == expected
