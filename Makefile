# Everything runs from .venv, which `install` makes; the pinned versions are in constraints.txt.
# `make` alone prints the targets: a sentence behind `##` is the help of its target.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
INSTALLED := $(VENV)/.installed
EQUIPPED := $(VENV)/.equipped

.PHONY: help install tools demo test test-all unit integration acceptance browser coverage contract screenshots fuzz chaos cluster-chaos bitflips simulate bench soak pagesoak year stall interop lint format lock clean

help: ## Print this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with the package and what all its commands need, in the pinned versions.

tools: $(EQUIPPED) ## Make .venv as above, and add what tests, checks and benchmarks need.

# A .venv without pip would be taken for a whole one the next time.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Error: variantbus needs Python 3.11 or newer, and $(PYTHON) is %d.%d.%d; name another one: make $(or $(MAKECMDGOALS),install) PYTHON=python3.12" % sys.version_info[:3])'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(INSTALLED): $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[all]'
	touch $@

$(EQUIPPED): $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	touch $(INSTALLED) $@

demo: install ## Run the example experiment on a fresh set of services and draw a contact sheet of its pictures.
	$(BIN)/variantbus demo --data-dir data

# Where bytecode is forbidden, as in many containers, each of a thousand processes would compile all that it imports.
test test-all unit integration acceptance browser coverage: export PYTHONDONTWRITEBYTECODE :=

PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal
# Beside the unit tests those of the log, which is a file. The list of what is held is in pyproject.toml.
COVERED := tests/unit $(patsubst %,tests/integration/test_%.py,bus_log* bus_retention log_faults metrics cluster_access_file \
	damaged_state migrations verify)
CLUSTER_CHAOS := tests/acceptance/test_cluster_chaos.py

test: tools ## Run the tests of every day on all cores, or with TEST=path all of a file, a folder or a `file::test`.
	$(PYTEST) $(or $(TEST),-m 'not exhaustive')

# Those under coverage come first: they are quick to fail, and need not run again. Chaos is alone on the machine.
test-all: coverage ## Run every test once, also the exhaustive ones that `make test` leaves out: about half an hour.
	$(PYTEST) $(addprefix --ignore-glob=,$(COVERED) $(CLUSTER_CHAOS))
	$(MAKE) cluster-chaos

unit: tools ## Run the tests that need no socket, process or database: half a minute.
	$(PYTEST) tests/unit

integration: tools ## Run the tests of parts that work together in one process.
	$(PYTEST) tests/integration

acceptance: tools ## Run the tests that start the commands as processes.
	$(PYTEST) tests/acceptance

browser: tools ## Run the tests of the dashboard in Chromium; without it they are skipped.
	$(PYTEST) tests/browser

coverage: tools ## Hold 100 % of the branches of the protocol, the log and every module that decides.
	$(PYTEST) $(COVERED) --cov

contract: tools ## Ask image servers (WEBUI_URL, COMFYUI_URL; without one our fake) what their contract says, and print the differences.
	$(BIN)/python -m tests.contract $(if $(WEBUI_URL),--webui-url $(WEBUI_URL)) $(if $(COMFYUI_URL),--comfyui-url $(COMFYUI_URL))

SCREENSHOTS ?=

screenshots: tools ## Make the pictures of the dashboard in docs/screenshots anew, in Chromium; options in SCREENSHOTS.
	$(BIN)/python -m tests.screenshots $(SCREENSHOTS)

FUZZ_SECONDS ?= 300
FUZZ_TARGETS := feed reply request body topic address experiment

# What is found beside the vectors stays in .fuzz; an input that fails goes where every later test run tries it again.
fuzz: tools ## Fuzz each decoder for FUZZ_SECONDS (default 300); Linux only.
	$(PIP) --editable '.[fuzz]'
	for target in $(FUZZ_TARGETS); do \
		mkdir -p .fuzz/$$target tests/fuzz/corpus/$$target tests/fuzz/crashes/$$target && \
		$(BIN)/python -m tests.fuzz $$target -max_total_time=$(FUZZ_SECONDS) -max_len=2048 \
			-artifact_prefix=tests/fuzz/crashes/$$target/ .fuzz/$$target tests/fuzz/corpus/$$target || exit 1; \
	done

chaos: tools ## Kill, stop and restart the services at random for CHAOS_SECONDS; CHAOS_SEED repeats a run.
	CHAOS_SECONDS=$${CHAOS_SECONDS:-300} $(BIN)/python -m pytest -q -s tests/acceptance/test_chaos.py --timeout=0

cluster-chaos: tools ## Kill and pause all that a cluster consists of for CLUSTER_CHAOS_SECONDS; CLUSTER_CHAOS_SEED repeats a run.
	CLUSTER_CHAOS_SECONDS=$${CLUSTER_CHAOS_SECONDS:-300} $(BIN)/python -m pytest -q -s $(CLUSTER_CHAOS) --timeout=0

BITFLIPS ?= 1000

bitflips: tools ## Flip BITFLIPS bits (default 1000) of a small data folder, one at a time, and see what becomes of each.
	$(BIN)/python -m tests.bitflips --trials $(BITFLIPS)

YEAR_DAYS ?= 365

year: tools ## Simulate YEAR_DAYS (default 365) of ten experiments a day with a stepped clock, and look at sizes and lists.
	YEAR_DAYS=$(YEAR_DAYS) $(BIN)/python -m pytest -q tests/integration/test_year.py

stall: tools ## Break connections of peers that read nothing, and flood services with resets, for STALL_SECONDS.
	STALL_SECONDS=$${STALL_SECONDS:-600} $(BIN)/python -m pytest -q -s tests/acceptance/test_stalled_peers.py --timeout=0

SIMULATE ?=

simulate: tools ## Measure how often answers and searches are right, on simulated experiments; takes hours, options in SIMULATE.
	$(BIN)/python -m tests.simulation $(SIMULATE)

bench: tools ## Measure speed beside Redis, NATS, Zenoh, plain pyzmq, Celery, huey and dramatiq; about an hour, options in BENCH.
	$(PIP) --editable '.[bench]'
	$(BIN)/python -m benchmarks $(BENCH)

SOAK_SECONDS ?= 3600

soak: tools ## Load all processes for SOAK_SECONDS (default 3600), and see whether their memory stays flat.
	$(BIN)/python -m benchmarks.soak --seconds $(SOAK_SECONDS)

PAGE_SECONDS ?= 1800

pagesoak: tools ## Keep a page open for PAGE_SECONDS (default 1800) of events and views, and see whether its memory stays flat.
	VARIANTBUS_TEST_SOAK_SECONDS=$(PAGE_SECONDS) $(BIN)/python -m pytest tests/browser/test_soak.py

# The libraries bring their binaries along, so no script of theirs has to run. Those of the Ruby client are packages of the
# system: apt install ruby ruby-ffi-rzmq ruby-msgpack
interop: ## Install what the tests of the Node client need; without npm those tests are skipped.
	if command -v npm >/dev/null; then npm ci --ignore-scripts --no-audit --no-fund --prefix tests/interop; fi

lint: tools ## Check style, format and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: tools ## Format the code and mend what ruff can mend.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: tools ## Write the installed versions into constraints.txt.
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean: ## Remove what the other targets made.
	rm -rf $(VENV) data .coverage .fuzz .bitflips tests/interop/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
