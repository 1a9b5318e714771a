"""Settings that all tests share."""

import gc
import inspect
import os
import signal
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import settings
from trio.testing import MockClock

from tests.cancellation.harness import COUNTS
from tests.clocks import FairClock
from tests.steps import Step, StepWatch
from tests.wires import WIRES, Wire, chosen

# A shell that starts the tests in the background ignores SIGINT for them, and nohup SIGHUP. The programs that they start and interrupt
# would inherit that; of what is caught here, they do not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# A failing example is printed as a @reproduce_failure line (`print_blob`), so that it can be run again anywhere. No deadlines: how fast
# code is belongs to the benchmarks. `ci` looks for new examples at every run, where Hypothesis's own profile of that name repeats the same.
settings.register_profile("dev", deadline=None, print_blob=True, max_examples=100)
settings.register_profile("ci", deadline=None, print_blob=True, max_examples=100, derandomize=False)
settings.register_profile("long", deadline=None, print_blob=True, max_examples=50_000)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


WATCH = StepWatch()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "real_clock: an async test with sockets, threads or processes, for which a MockClock cannot wait: it has a FairClock"
    )
    config.addinivalue_line("markers", "only: the wires that a test is run over; see tests/wires.py")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect thousands of tests without looking for garbage in them again and again (a third of the time), then or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a `wire` runs over each, or over those that it is `only` for."""
    if "wire" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("only")
        metafunc.parametrize("wire", list(WIRES) if marker is None else chosen(marker.args), indirect=True)


@pytest.fixture
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """What this run of a test reaches its nodes over."""
    with WIRES[request.param].while_testing():
        yield WIRES[request.param]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def test_*` under trio, by default with a clock that jumps to the next deadline whenever nothing else happens."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    real = pyfuncitem.get_closest_marker("real_clock") is not None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    test = partial(pyfuncitem.obj, **arguments)

    async def main() -> None:
        with trio.fail_after(300 if real else 10**6):  # a test that waits for ever fails instead of hanging, on a busy machine too
            await test()

    WATCH.begin_test(pyfuncitem.nodeid)
    clock = FairClock() if real else MockClock(autojump_threshold=0)
    trio.run(main, clock=clock, instruments=[WATCH, *([clock] if isinstance(clock, FairClock) else [])])
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells its figures to the process that prints them."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = [*WATCH.longest], [*COUNTS.items()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear what a worker tells; one that has crashed tells nothing."""
    if (figures := getattr(node, "workeroutput", {}).get("figures")) is not None:
        step, counts = figures
        WATCH.longest = max(WATCH.longest, Step(*step))
        COUNTS.update(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how long the library kept the loop busy at most (tests/attacks bounds it); and at how many points
    tests/cancellation broke something off.
    """
    step = WATCH.longest
    if step.task:
        terminalreporter.write_line(f"longest step of the library: {step.seconds * 1000:.1f} ms, {step.task} in {step.test}")
    for name in sorted({name for name, _, _ in COUNTS}):
        visited = {(kind, victim): count for (each, kind, victim), count in sorted(COUNTS.items()) if each == name}
        cancelled = ", ".join(f"{victim} {count}" for (kind, victim), count in visited.items() if kind == "cancel")
        failed = sum(count for (kind, _), count in visited.items() if kind != "cancel")
        terminalreporter.write_line(f"{name}: cancelled at steps ({cancelled}), {failed} failing operations")
    if COUNTS:
        terminalreporter.write_line(f"points of cancellation and failure: {sum(COUNTS.values())} in all")
