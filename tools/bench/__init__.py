"""Benchmarks beside go-ethereum, in the same run: ``python -m tools.bench``. docs/benchmarks.md has the method and one run's figures."""
