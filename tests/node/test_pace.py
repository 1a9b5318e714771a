"""The clock of the policy: trio's, or one that goes so many times faster."""

import math

import pytest
import trio

from devp2p.errors import LocalProtocolError
from devp2p.node.pace import PolicyClock


@pytest.mark.parametrize("pace", [0.0, -1.0, math.inf, math.nan])
def test_a_pace_that_makes_no_sense_is_told(pace):
    with pytest.raises(LocalProtocolError, match="pace"):
        PolicyClock(pace)


@pytest.mark.parametrize("pace", [0.5, 1.0, 60.0])
async def test_what_lasts_so_long_on_it_is_over_when_it_says_so(pace):
    clock = PolicyClock(pace)
    begun = clock.now()
    assert begun == clock.at(trio.current_time())
    await trio.sleep(clock.lasting(90.0))
    assert clock.now() - begun == pytest.approx(90.0)
