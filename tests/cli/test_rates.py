"""How caps and shaping are written on the command line."""

import pytest

from devp2p import Shaping
from devp2p.terminal.arguments import bandwidth, shaping


@pytest.mark.parametrize(
    ("text", "cap"),
    [
        ("2M", ("", 2_000_000)),
        ("1.5m", ("", 1_500_000)),
        ("500K", ("", 500_000)),
        ("65536", ("", 65_536)),
        ("64KiB/s", ("", 65_536)),
        ("2MB", ("", 2_000_000)),
        ("eth=1 GiB", ("eth", 2**30)),
    ],
)
def test_bandwidths_are_written_as_people_write_them(text, cap):
    assert bandwidth(text) == cap


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("off", Shaping()),
        ("buckets", Shaping.buckets()),
        ("cells", Shaping.cells(1024)),
        ("cells:2048", Shaping.cells(2048)),
        ("paced:200K", Shaping.paced(200_000)),
        ("paced:200K:512", Shaping.paced(200_000, 512)),
        ("constant:20K", Shaping.constant(20_000)),
        ("constant:20K-80K:2048", Shaping.constant(20_000, 80_000, 2048)),
    ],
)
def test_what_is_to_be_hidden_is_one_word_with_its_numbers(text, kind):
    assert shaping(text) == kind
