"""The processes that are measured, on our side; tools/bench/geth does the same jobs with go-ethereum, told by the same arguments.

    python -m tools.bench.endpoints MODE [--size N] [--seconds S] ... [--target enode://...]

Without a target a process listens and says where, as its first line: ``{"listening": "enode://..."}``. The process that measures ends
with one line, its result. The process that does not measure may have to be killed.
"""
