"""The fuzz targets hold for what Hypothesis thinks of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import dpx_targets, prelude_targets, stream_targets, wire_targets

inputs = st.binary(max_size=400) | st.binary(min_size=1000, max_size=2200)


TARGETS = [
    wire_targets.fuzz_ecies,
    wire_targets.fuzz_auth,
    wire_targets.fuzz_ack,
    wire_targets.fuzz_frames,
    prelude_targets.fuzz_request,
    prelude_targets.fuzz_answer,
    stream_targets.fuzz_plain_frames,
    stream_targets.fuzz_own_stream,
    stream_targets.fuzz_stream_name,
    dpx_targets.fuzz_dpx_element,
    dpx_targets.fuzz_dpx_header,
    dpx_targets.fuzz_dpx_control,
    dpx_targets.fuzz_dpx_records,
    dpx_targets.fuzz_dpx_frames,
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_the_invariant_holds(target):
    @settings(max_examples=60, deadline=None)
    @given(inputs)
    def run(data):
        target(data)

    run()
