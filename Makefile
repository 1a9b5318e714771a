# Everything one does with this repository. `make` alone lists it.

VENV := .venv
PY := $(VENV)/bin/python
# A lock file is complete, and pip resolves nothing (--no-deps): what is released later changes nothing. `pip check` says what is missing.
INSTALL := install --quiet --disable-pip-version-check --no-deps
INSTALL_LOCKED := $(INSTALL) --require-hashes -r
NOTHING_IS_MISSING = @$(PY) -m pip --disable-pip-version-check check >$(VENV)/check.txt || { cat $(VENV)/check.txt; \
	echo 'The packages in $(VENV) do not fit together. If pyproject.toml asks for something new: make lock. Else remove $(VENV), and try again.'; \
	exit 1; } >&2
# Two processes of pytest for each core, as many tests wait for a network; ARGS="-n 0" makes it one in all, as a debugger wants it.
WORKERS = -n $$($(PY) -c 'import os; print(min(8, 2 * (os.cpu_count() or 1)))') --dist worksteal
# Two, each of which runs whole files, as these share clients and databases; tests/interop/conftest.py says which files go first.
INTEROP_WORKERS = -n 2 --dist loadfile --no-loadscope-reorder
# All but sctp, of which make interop has the tests: what it needs brings 100 MB of video codecs.
EXTRAS := clickhouse dns geo kzg metrics nat parquet postgres proxy quic report rlp serve show ssh tls ws
LOCK := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

# Images of containers often set it. Without byte code each process of pytest, and each program that a test starts, compiles all anew:
# 18 s of CPU for each that collects the tests, a second for each program.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install run test check lint types coverage simulation interop locks format fuzz bench long docs lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'ARGS="..." goes to run, test, simulation, interop, bench, fuzz, long and lock; PYTHON=... says which Python makes $(VENV)'

install: $(VENV)/.installed ## make .venv: pinned, hash-checked requirements and this project, editable

run: install ## the live demonstration, and a crawl of its network; with Go installed, a go-ethereum node takes part (ARGS=--qos: another, of a slow line)
	$(if $(findstring --qos,$(ARGS)),,@if command -v go >/dev/null; then $(PY) tests/interop/build.py testpeer; fi)
	@$(PY) -m tools.show $(ARGS)

test: install ## the tests that need nothing but Python
	@echo 'Left out: simulations (make simulation); tests against other clients (make interop; $(if $(shell command -v go 2>/dev/null),needs Go and Node,needs Go, which is missing here, and Node)); hours-long ones (make long)'
	@$(PY) -m pytest $(WORKERS) $(ARGS)

check: lint types coverage simulation interop locks ## what must hold before a commit: lint to locks

lint: $(VENV)/.installed-lint ## ruff: rules and format
	$(PY) -m ruff check
	$(PY) -m ruff format --check

types: $(VENV)/.installed-lint $(VENV)/.installed-interop ## mypy and pyright, both strict, with tests/typing; every public name typed
	$(PY) -m mypy
	$(PY) -m pyright
	PATH="$(abspath $(VENV))/bin:$$PATH" pyright --ignoreexternal --verifytypes devp2p # it asks the `python` on the PATH where devp2p is

coverage: install ## the tests of keys, wire and sessions again, with pycryptodome's keccak: at least 95 % of the branches of devp2p/wire
	DEVP2P_KECCAK=pycryptodome $(PY) -m pytest --quiet --cov --cov-report= tests/test_keys.py tests/wire tests/session tests/node/test_node.py \
		tests/attacks/test_handshake_replays.py
	$(PY) -m coverage report --include='devp2p/wire/*' --fail-under=95

simulation: install ## tests that simulate large networks, or the choice of peers over many runs; minutes of computing
	$(PY) -m pytest $(WORKERS) -m 'simulation and not long' $(ARGS)

interop: $(VENV)/.installed-interop ## tests against other clients, which are built first; needs Go, Node and network namespaces
	$(PY) tests/interop/build.py
	$(PY) -m pytest $(INTEROP_WORKERS) -m 'interop and not long' $(ARGS)

locks: install ## the lock files installed anew, by each Python at hand, beside later releases of all; needs a package index
	$(PY) -m pytest $(WORKERS) -m index $(ARGS)

format: $(VENV)/.installed-lint ## let ruff mend what it can
	$(PY) -m ruff check --fix-only
	$(PY) -m ruff format

bench: install ## benchmarks; figures belong here, never into a test
	@$(PY) -m tools.bench $(ARGS)

fuzz: $(VENV)/.installed-fuzz ## 60 s of coverage-guided fuzzing for each target, two at a time (ARGS: targets, --seconds, --keep)
	@$(PY) -m tests.fuzz $(ARGS)

SECONDS := 3600
long: $(VENV)/.installed-fuzz ## soaks, large simulations, then fuzzing for SECONDS a target (an hour: five in all)
	$(PY) -m pytest -m long --hypothesis-profile=long $(ARGS)
	$(PY) -m tests.fuzz --seconds $(SECONDS)

docs: install ## check the links and examples of the documentation
	$(PY) -m pytest tests/test_docs.py

lock: $(PY) ## pin the requirements anew (ARGS=--upgrade: to the newest versions)
	@uv=$$(mktemp -d) && trap 'rm -rf "$$uv"' EXIT && $(PY) -m venv "$$uv" && \
	"$$uv/bin/pip" $(INSTALL_LOCKED) requirements/lock.txt && set -x && \
	"$$uv/bin/uv" $(LOCK) pyproject.toml tools/crawler/pyproject.toml --no-emit-package trio-devp2p --no-emit-package devp2p-crawler \
		$(foreach extra,$(EXTRAS),--extra $(extra)) --group build --group test --group show -o requirements/test.txt $(ARGS) && \
	"$$uv/bin/uv" $(LOCK) --group interop -c requirements/test.txt -o requirements/interop.txt $(ARGS) && \
	"$$uv/bin/uv" $(LOCK) --group fuzz -c requirements/test.txt -o requirements/fuzz.txt $(ARGS) && \
	"$$uv/bin/uv" $(LOCK) --group libp2p -o requirements/libp2p.txt $(ARGS) && \
	"$$uv/bin/uv" $(LOCK) --group lint -c requirements/test.txt -o requirements/lint.txt $(ARGS) && \
	"$$uv/bin/uv" $(LOCK) --group lock -o requirements/lock.txt $(ARGS)

clean: ## remove what builds and tools leave behind; .venv stays
	rm -rf build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name $(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# The stamps make `install` quick when nothing has changed. Nothing here empties or replaces a .venv that exists.

$(PY):
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "Making $(VENV) with $$("$$python" --version)"; \
		"$$python" -m venv $(VENV) || { rm -f $(PY); exit 1; }; \
		exit 0; \
	done; \
	echo "devp2p needs Python 3.11 or newer, but $(or $(PYTHON),python3) is $$($(or $(PYTHON),python3) --version 2>&1 | tail -n 1)." >&2; \
	echo 'Name a newer one: make install PYTHON=/path/to/python3.11' >&2; \
	exit 1

$(VENV)/.installed: requirements/test.txt pyproject.toml tools/crawler/pyproject.toml | $(PY)
	@echo 'Installing requirements/test.txt, devp2p and its crawler'
	@$(PY) -m pip $(INSTALL_LOCKED) requirements/test.txt
	@$(PY) -m pip $(INSTALL) --no-build-isolation --editable . --editable tools/crawler
	$(NOTHING_IS_MISSING)
	@touch $@

$(VENV)/.installed-fuzz: requirements/fuzz.txt $(VENV)/.installed
	@echo 'Installing requirements/fuzz.txt'
	@$(PY) -m pip $(INSTALL_LOCKED) requirements/fuzz.txt
	$(NOTHING_IS_MISSING)
	@touch $@

$(VENV)/.installed-interop: requirements/interop.txt $(VENV)/.installed
	@echo 'Installing requirements/interop.txt'
	@$(PY) -m pip $(INSTALL_LOCKED) requirements/interop.txt
	$(NOTHING_IS_MISSING)
	@touch $@

$(VENV)/.installed-lint: requirements/lint.txt $(VENV)/.installed
	@echo 'Installing requirements/lint.txt'
	@$(PY) -m pip $(INSTALL_LOCKED) requirements/lint.txt
	$(NOTHING_IS_MISSING)
	@touch $@
