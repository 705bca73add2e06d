# Two commands set everything up from a clean clone: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-all lint docs notebooks fuzz faults licences audit clean

demo: $(VENV)/installed
	$(BIN)/alad demo

# A worker a core. Files come in the order of tests/conftest.py, not in that of their numbers of
# tests.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile \
  --no-loadscope-reorder
test: lint  # tests/test_docs.py builds the pages, with warnings as errors
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

# The pages, into site/; a warning is an error.
docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html in a browser."

# Runs all notebooks in place and keeps what they show.
notebooks: $(VENV)/installed
	$(BIN)/python notebooks/execute.py

# 100,000 inputs drawn from a seed; half an hour at most on two cores. Writes the JSON and the page.
FUZZ_INPUTS ?= 100000
fuzz: $(VENV)/installed
	$(BIN)/python -m benchmarks.fuzz --inputs $(FUZZ_INPUTS); \
	  status=$$?; $(BIN)/python -m benchmarks.report && exit $$status

# Every command killed, interrupted, on full and read-only disks, twice at once; some hours. Linux.
faults: $(VENV)/installed
	$(BIN)/python -m benchmarks.faults; status=$$?; $(BIN)/python -m benchmarks.report && exit $$status

licences: $(VENV)/installed
	$(BIN)/python -m benchmarks.packages

# Known vulnerabilities, where pip-audit's database can be reached.
audit: $(VENV)/installed
	$(BIN)/python -m benchmarks.packages --audit

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

# The environment is made once, and again when what it holds changes. pip compiles what it installs,
# and is to: where PYTHONDONTWRITEBYTECODE is set, as in many containers, each process would else
# compile TensorFlow's sources anew, and the tests start dozens.
$(VENV)/installed: requirements.txt setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is `$(PYTHON) -V`. Try: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info
