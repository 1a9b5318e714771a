"""The fuzz targets hold for what Hypothesis thinks of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import wire_targets

inputs = st.binary(max_size=400) | st.binary(min_size=1000, max_size=2200)


@pytest.mark.parametrize("name", ["fuzz_ecies", "fuzz_auth", "fuzz_ack", "fuzz_frames"])
def test_the_invariant_holds(name):
    target = getattr(wire_targets, name)

    @settings(max_examples=60, deadline=None)
    @given(inputs)
    def run(data):
        target(data)

    run()
