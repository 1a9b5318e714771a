"""How much computing a visit by RLPx takes: handshake, Hello, Status, farewell, with a node of the library in another process.

It prints the figure and asks for none: how fast a machine is belongs to no test.
"""

import sys

import pytest
from devp2p_crawler.model import Outcome

from tools.bench import visits


@pytest.mark.simulation
@pytest.mark.real_clock
async def test_a_visit_takes_little_computing(capsys: pytest.CaptureFixture[str]):
    outcomes, seconds = await visits.measure()
    assert outcomes == {Outcome.OK: visits.CALLERS * visits.EACH}
    taken = seconds / outcomes.total()
    with capsys.disabled():
        sys.stdout.write(f"\na visit by RLPx with Hello and Status: {1000 * taken:.2f} ms of one core, {1 / taken:.0f} a second\n")
