"""What holds in each test of an attack: the library gives way to others, whatever strangers do."""

from collections.abc import Iterator

import pytest

from tests.conftest import WATCH
from tests.steps import LIMIT


@pytest.fixture(autouse=True)
def nobody_waits_for_long(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which a step of the library took too long; in a control, where a defence is off, it may."""
    WATCH.begin_test(request.node.nodeid)
    yield
    step = WATCH.longest_of_test
    assert step.seconds < LIMIT or "control" in request.node.name, f"{step.task} kept the loop busy for {step.seconds * 1000:.0f} ms"
