"""Settings that all tests share."""

import inspect
import os
import signal
from functools import partial

import pytest
import trio
from hypothesis import settings
from trio.testing import MockClock

from tests.steps import StepWatch

# A shell that starts the tests in the background ignores SIGINT for them, which the programs that they start and interrupt would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A failing example is printed as a @reproduce_failure line (`print_blob`), so that it can be run again anywhere. No deadlines: how fast
# code is belongs to the benchmarks. `ci` looks for new examples at every run, where Hypothesis's own profile of that name repeats the same.
settings.register_profile("dev", deadline=None, print_blob=True, max_examples=100)
settings.register_profile("ci", deadline=None, print_blob=True, max_examples=200, derandomize=False)
settings.register_profile("long", deadline=None, print_blob=True, max_examples=50_000)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


WATCH = StepWatch()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_clock: an async test with sockets, threads or processes, for which a MockClock cannot wait")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def test_*` under trio, by default with a clock that jumps to the next deadline whenever nothing else happens."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    real = pyfuncitem.get_closest_marker("real_clock") is not None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    test = partial(pyfuncitem.obj, **arguments)

    async def main() -> None:
        with trio.fail_after(30 if real else 10**6):  # a test that waits for ever fails instead of hanging
            await test()

    WATCH.test = pyfuncitem.nodeid
    trio.run(main, clock=None if real else MockClock(autojump_threshold=0), instruments=[WATCH])
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how long the library kept the loop busy at most; nothing is asserted, since machines are noisy."""
    step = WATCH.longest
    if step.task:
        terminalreporter.write_line(f"longest step of the library: {step.seconds * 1000:.1f} ms, {step.task} in {step.test}")
