# Everything runs from .venv, which `install` makes; the pinned versions are in constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test fuzz chaos simulate bench interop lint format lock clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: install ## The whole chain once: runner, learning service, logger, 8 variants x 3 seeds, a contact sheet
	$(BIN)/variantbus demo --data-dir data

test: install ## All tests, on all cores
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

FUZZ_SECONDS ?= 300
FUZZ_TARGETS := feed reply request body topic address experiment

# What is found beside the vectors stays in .fuzz; an input that fails goes where the tests try it again for ever.
fuzz: install ## Each decoder for FUZZ_SECONDS with atheris, which tests/fuzz uses for a few seconds only
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	for target in $(FUZZ_TARGETS); do \
		mkdir -p .fuzz/$$target tests/fuzz/corpus/$$target tests/fuzz/crashes/$$target && \
		$(BIN)/python -m tests.fuzz $$target -max_total_time=$(FUZZ_SECONDS) -max_len=2048 \
			-artifact_prefix=tests/fuzz/crashes/$$target/ .fuzz/$$target tests/fuzz/corpus/$$target || exit 1; \
	done

chaos: install ## Kill, stop and restart everything at random for CHAOS_SECONDS; CHAOS_SEED repeats a run
	CHAOS_SECONDS=$${CHAOS_SECONDS:-300} $(BIN)/python -m pytest -q -s tests/acceptance/test_chaos.py --timeout=0

simulate: install ## How far the recommendation can be trusted, on experiments whose best value is known: some minutes
	$(BIN)/python -m tests.simulation --runs 1000 --pair-runs 150

bench: install ## Speed, side by side with Redis, NATS, plain pyzmq, Celery, huey and dramatiq: about an hour, on an idle machine
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks $(BENCH)

# The libraries bring their binaries along, so no script of theirs has to run.
interop: ## What the tests of the Node client need, where npm is installed; elsewhere they are skipped
	if command -v npm >/dev/null; then npm ci --ignore-scripts --no-audit --no-fund --prefix tests/interop; fi

lint: install ## Style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install ## Put the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## Renew constraints.txt from what is installed
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean: ## Remove what the other targets made
	rm -rf $(VENV) data .fuzz tests/interop/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
