"""The plot of the searches' hops is a whole document, with a point for each size at its place."""

import xml.etree.ElementTree as ET
from itertools import pairwise

from tests.simulation.ideal import Ways
from tools.hops import chart


def test_the_plot_has_a_point_for_each_size_and_more_hops_are_higher():
    space = "{http://www.w3.org/2000/svg}"
    ways = {
        nodes: Ways(exact=1.0, recall=1.0, hops=hops, hops_error=0.02, queries=20.0)
        for nodes, hops in ((100, 0.5), (1000, 1.0), (10_000, 1.5))
    }
    root = ET.fromstring(chart(ways))  # noqa: S314  (our own)
    points = [(float(circle.attrib["cx"]), float(circle.attrib["cy"])) for circle in root.findall(f"{space}circle")]
    assert len(points) == 3
    steps = [(x - left, y - top) for (left, top), (x, y) in pairwise(points)]
    assert steps[0] == steps[1]  # the same factor, the same part of a hop
    assert steps[0][0] > 0 > steps[0][1]
