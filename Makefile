# Everything a newcomer needs: `make demo`, `make test`.  Each target sets up .venv first; quick when current.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.current
EXTRAS ?= test,check

.PHONY: demo test check bench docs interop keys-matrix regress-client regress-server regress-sftp fuzz soak clean

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $(STAMP)

# The demo needs the program itself and nothing else.
.venv/.program: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -e $(STAMP) || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch .venv/.program

demo: .venv/.program
	@$(BIN)/python -m sshkit_cli.demo

test: $(STAMP)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile tests

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy tests/typing
	@$(BIN)/pyright --warnings

# The interop table: peer x role x algorithm.
interop: $(STAMP)
	@$(BIN)/python -m tests.interop.table

# Key files: maker x format x type x reader.
keys-matrix: $(STAMP)
	@$(BIN)/python -m tests.interop.key_formats

# OpenSSH's own scripts, run with our programs in place of its own; apt gets the scripts.
regress-client: $(STAMP)
	@$(BIN)/python -m tests.regress.fetch
	@$(BIN)/python -m tests.regress.client_run

regress-server: $(STAMP)
	@$(BIN)/python -m tests.regress.fetch
	@$(BIN)/python -m tests.regress.server_run

regress-sftp: $(STAMP)
	@$(BIN)/python -m tests.regress.fetch
	@$(BIN)/python -m tests.regress.run

.venv/.bench: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS),bench]'
	@touch .venv/.bench

bench: .venv/.bench
	@$(BIN)/python -m benchmarks

.venv/.docs: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS),docs]'
	@touch .venv/.docs

docs: .venv/.docs
	@$(BIN)/mkdocs build --quiet --strict --site-dir site

.venv/.fuzz: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS),fuzz]' \
		|| echo 'atheris cannot be had for this Python: inputs are changed at random'
	@touch .venv/.fuzz

# So many seconds for each target, JOBS of them at once; FUZZ="name name" for some.  See docs/fuzzing.md.
fuzz: .venv/.fuzz
	@$(BIN)/python -m tests.fuzz.run --seconds $(or $(SECONDS),60) --jobs $(or $(JOBS),1) $(FUZZ)

# A server that meets crowds and vandals for so long: memory and descriptors stay as they are.
soak: $(STAMP)
	@$(BIN)/python -m benchmarks.soak --seconds $(or $(SECONDS),600)

clean:
	rm -rf .venv .peers site dist .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
