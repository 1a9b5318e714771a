"""The demonstration's pictures: the live screen, and the plot as SVG, as a page and as PNG."""

import itertools
import re
import struct
import sys
import types
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from tests.tools.boards import report, session
from tools.show.board import Board
from tools.show.plan import CAPABILITIES, Nature, plan_nodes
from tools.show.plot import NoPngError, write_plots, write_png
from tools.show.reports import Experience, NodeReport
from tools.show.screen import ending, picture
from tools.show.summary import summary_of


def crowded(nodes: int) -> Board:
    """A board whose observers have all places taken."""
    plans = plan_nodes(nodes, 5, ipv6=True) if nodes else []
    board = Board(plans, seed=5)
    for name in board.nodes:
        board.apply({"event": "listening", "node": name, "id": f"id of {name}", "client": "c", "enr": "", "enode": ""}, 0.0)
    everything = {capability: Experience(1e6, 12345.6, 99, 99, "something long " * 9) for capability in CAPABILITIES}
    kinds = dict(zip(CAPABILITIES, ("core", "diverse", "explore"), strict=True))
    why = "core in bulk (better than 92 %); protected " * 3
    ratings = dict.fromkeys(CAPABILITIES, 0.92)
    for node in board.observers:
        others = [other for other in plans if other is not node.plan][: node.plan.places]
        peers = [replace(session(other, everything), slots=kinds, ratings=ratings, value=1.25, why=why) for other in others]
        report(board, NodeReport(bulk_bytes=10**9, bytes_in=10**9, sessions=tuple(peers)), 1.0, node.plan.name)
        board.problem(2.0, "something long " * 20)
    board.show_began, board.show_ends = 1.0, 20.0
    for now in range(2, 9):
        board.sample(now)
    return board


def drawn(what: object, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(what)
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (200, 60)])
@pytest.mark.parametrize("nodes", [0, 3, 30])
def test_the_picture_fits_the_terminal(width, height, nodes):
    board = crowded(nodes)
    lines = drawn(picture(board, 4.0, width, height), width, height)
    assert len(lines) <= height
    assert all(node.plan.name in "\n".join(lines) for node in board.observers[:4])


@pytest.mark.parametrize(("width", "measured"), [(80, False), (120, False), (200, True)])
def test_each_peer_is_shown_with_its_slots_and_why_it_is_kept(width, measured):
    board = crowded(30)
    text = "\n".join(drawn(picture(board, 0.0, width, 50), width, 50))
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    rows = re.findall(r"core +92 +div +92 +expl +92 +1\.25 .* 3 s +core in bulk; prot", text)
    assert len(rows) == board.observers[0].plan.places
    assert ("KB/s" in text) is measured


def test_each_observer_has_its_turn():
    board = crowded(30)
    seen = {line.split()[1] for now in range(0, 60, 4) for line in drawn(picture(board, now, 100, 40), 100, 40) if "its peers" in line}
    assert len(seen) == len(board.observers) == 6


def test_what_stays_on_the_terminal_names_every_observer():
    board = crowded(30)
    text = "\n".join(drawn(ending(board, summary_of(board, 9.0), wide=True), 120, 40))
    assert all(node.plan.name in text for node in board.observers)


def test_the_plots_are_whole_documents(tmp_path):
    board = crowded(30)
    svg, html = write_plots(board, summary_of(board, 9.0), tmp_path / "new")
    picture = ET.fromstring(svg.read_text("utf-8"))  # noqa: S314  (we wrote it)
    texts = [element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("mean ") for text in texts)
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == len(board.observers) + 1
    labels = [element for element in picture.iter() if (element.text or "").split()[0:1] in ([str(nature)] for nature in Nature)]
    heights = sorted(float(label.attrib["y"]) for label in labels)
    assert len(heights) == 4
    assert all(lower - upper >= 12 for upper, lower in itertools.pairwise(heights))
    assert all(name in html.read_text("utf-8") for name in board.nodes)


def test_the_plot_is_in_pixels_too(tmp_path):
    board = crowded(30)
    svg, _ = write_plots(board, summary_of(board, 9.0), tmp_path)
    png = write_png(svg)
    assert png == tmp_path / "service.png"
    width, height = struct.unpack(">2L", png.read_bytes()[16:24])
    box = ET.fromstring(svg.read_text("utf-8")).attrib["viewBox"]  # noqa: S314  (we wrote it)
    assert [width, height] == [2 * float(side) for side in box.split()[2:]]


@pytest.mark.parametrize("lack", ["package", "font"])
def test_without_what_a_png_needs_there_is_a_line_that_says_so(lack, tmp_path, monkeypatch):
    (tmp_path / "service.png").write_bytes(b"of another run")
    (tmp_path / "service.svg").write_text("<svg/>")
    blind = types.SimpleNamespace(svg_to_bytes=lambda **_: b"no text can be seen")
    monkeypatch.setitem(sys.modules, "resvg_py", None if lack == "package" else blind)
    with pytest.raises(NoPngError, match=lack):
        write_png(tmp_path / "service.svg")
    assert not (tmp_path / "service.png").exists()
