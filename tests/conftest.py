"""Settings that all tests share."""

import os

from hypothesis import settings

# A failing example is printed as a @reproduce_failure line (`print_blob`), so that it can be run again anywhere. No deadlines: how fast
# code is belongs to the benchmarks. `ci` looks for new examples at every run, where Hypothesis's own profile of that name repeats the same.
settings.register_profile("dev", deadline=None, print_blob=True, max_examples=100)
settings.register_profile("ci", deadline=None, print_blob=True, max_examples=200, derandomize=False)
settings.register_profile("long", deadline=None, print_blob=True, max_examples=50_000)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
