"""Each run of runs.py is a fixture of its name.

All chance in them comes from one number: SIMULATION_SEED in the environment, or else 1. A test that fails prints it.
"""

from typing import Any

import pytest

from tests.simulation.network import SEED
from tests.simulation.runs import RUNS


@pytest.fixture(autouse=True)
def _seed_is_printed() -> None:
    print(f"SIMULATION_SEED={SEED}")  # noqa: T201  (what a test prints is shown where it fails)


def _fixture_of(run: str) -> Any:
    @pytest.fixture(name=run)
    def result() -> Any:
        found = RUNS[run]()
        print(f"{run}: {found}")  # noqa: T201  (-rP shows it)
        return found

    return result


globals().update({f"_{run}": _fixture_of(run) for run in RUNS})
