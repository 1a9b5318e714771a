"""Shows how many points were visited, at the end of a run."""

import pytest

from tests.cancellation.harness import COUNTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not COUNTS:
        return
    terminalreporter.section("points of cancellation and failure")
    for name in dict.fromkeys(name for name, _, _ in COUNTS):
        visited = {(kind, victim): count for (each, kind, victim), count in COUNTS.items() if each == name}
        cancelled = ", ".join(f"{victim} {count}" for (kind, victim), count in visited.items() if kind == "cancel")
        failed = sum(count for (kind, _), count in visited.items() if kind != "cancel")
        terminalreporter.write_line(f"{name}: cancelled at each step ({cancelled}), {failed} failing operations")
    terminalreporter.write_line(f"{sum(COUNTS.values())} points in all")
