PYTHON ?= python3
BIN := .venv/bin
# pip compiles nothing for the demo, so that its picture comes sooner: Python keeps what it compiles, whatever the shell says of it
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint docs bench clean

demo: .venv/demo
	$(BIN)/catchment run --w 80

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/mypy

# the manual: warnings are errors, and its notebooks are run
docs: .venv/installed
	$(BIN)/python -m sphinx -q -b html -W --keep-going docs docs/_build/html
	@echo "manual: docs/_build/html/index.html"

bench: .venv/installed
	$(BIN)/python -m tests.benchmarks

# what the first picture needs: neither networks nor the tools of tests
.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (make PYTHON=...)")'
	$(PYTHON) -m venv .venv
	$(PIP) --no-compile -e .
	touch $@

.venv/installed: .venv/demo
	$(PIP) -e '.[dev]'
	$(BIN)/python -m compileall -qq -j 0 .venv || true # some files of others are templates, which do not compile
	touch $@

clean:
	rm -rf .venv runs
