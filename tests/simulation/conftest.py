"""Each run of runs.py is a fixture of its name. Those that the chosen tests want run in two processes beside each other, once.

All chance in them comes from one number: SIMULATION_SEED in the environment, or else 1. A test that fails prints it.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from tests.simulation.network import SEED
from tests.simulation.runs import RUNS


@pytest.fixture(autouse=True)
def _seed_is_printed() -> None:
    print(f"SIMULATION_SEED={SEED}")  # noqa: T201  (what a test prints is shown where it fails)


@pytest.fixture(scope="session")
def _under_way(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Any]]]:
    wanted = {name for item in request.session.items if isinstance(item, pytest.Function) for name in item.fixturenames}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield {name: pool.submit(run) for name, run in RUNS.items() if name in wanted}
        pool.shutdown(wait=False, cancel_futures=True)


def _fixture_of(run: str) -> Any:
    @pytest.fixture(scope="session", name=run)
    def result(_under_way: dict[str, Future[Any]]) -> Any:
        found = _under_way[run].result()
        print(f"{run}: {found}")  # noqa: T201  (-rP shows it)
        return found

    return result


globals().update({f"_{run}": _fixture_of(run) for run in RUNS})
