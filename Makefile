# Every target sets up .venv by itself. `make help` lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-browser test-loggers test-faults test-gpu check-minimum check-newest coverage mutation lint types check tensorboard wheel release bench bench-ddp bench-gpu bench-adaptation docs clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

# uv links what it has installed once: 17 s for the first .venv, 2 s for the next (pip: 70 s). Compiling takes 20 s more, and
# saves 5 s at each start of a process where Python may not write what it has compiled
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "headstart needs Python 3.11 to 3.13, $(PYTHON) is $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(READY)  ## make .venv with everything in it

demo: $(READY)  ## develop a source model, reuse it in every mode over 5 seeds, compare
	$(BIN)/headstart -m study=demo

test: $(READY)  ## the tests (10 minutes at most on 2 cores)
	$(BIN)/python -m pytest -n 2

test-all: $(READY)  ## the tests with the slow ones
	$(BIN)/python -m pytest -n 2 -m 'not browser and not faults and not gpu'

test-faults: $(READY)  ## faults at random places: kills, torn files, full disks (40 minutes; FAULTS=0.1 takes 4)
	FAULTS=$${FAULTS:-1} $(BIN)/python -m pytest -n 2 -m faults tests/faults

test-browser: $(READY)  ## the report page in a headless Chromium
	$(BIN)/python -m pytest -m browser

# BIN=<folder of a python> takes an interpreter that is there, on a machine without network: nothing is set up then
ifeq ($(origin BIN),command line)
GPU_READY :=
else
GPU_READY := $(READY)
endif

test-gpu: $(GPU_READY)  ## runs on this machine's GPUs against runs on the CPU; without a GPU they skip (4 minutes)
	PYTHONPATH=$(CURDIR)/src $(BIN)/python -m pytest -rs -m gpu tests/gpu

bench-gpu: $(GPU_READY)  ## throughput on one GPU against Lightning, fastai and timm, as far as they are installed (6 minutes)
	PYTHONPATH=$(CURDIR)/src $(BIN)/python benchmarks/gpu.py

# in a .venv of their own: what `make check` runs in does not depend on them
.venv-loggers/.ready: $(READY) pyproject.toml
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-loggers
	$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-loggers/bin/python -e '.[wandb,mlflow,comet]' 'pytest>=8.2'
	@touch $@

test-loggers: .venv-loggers/.ready  ## W&B, MLflow and Comet without network, beside TensorBoard (some minutes)
	.venv-loggers/bin/python -m pytest -q -m slow tests/runs/training/test_offline_loggers.py

$(VENV)/.coverage-ready: $(READY) pyproject.toml constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[coverage]'
	@touch $@

coverage: $(VENV)/.coverage-ready  ## which lines the tests run: build/coverage/index.html (20 minutes on 2 cores)
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/coverage run -m pytest -q -n 2
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report

$(VENV)/.mutation-ready: $(READY) pyproject.toml constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[mutation]'
	@touch $@

# 100 mutants of each room; each runs its room's tests alone, up to the first that fails
MUTANTS ?= 100
MUTATION_ROOMS ?=
mutation: $(VENV)/.mutation-ready  ## small changes of the code, drawn by seed: are they noticed? (2 hours at most on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutation/run_mutants.py --count $(MUTANTS) $(MUTATION_ROOMS)

# what depends on versions of other libraries, and a source model that is trained and reused as in the demo
VERSIONS := tests/compat tests/system/test_old_names.py tests/callbacks/training/test_unfreeze.py tests/modules/test_classifier.py \
  tests/cli/test_cli_jobs.py tests/cli/test_cli_names.py tests/resume/test_resume.py
SMALL_DEMO := -m mode=scratch,fine_tuning seed=0,1

# the oldest versions that pyproject.toml lets in, in a .venv of their own
.venv-minimum/.ready: $(READY) pyproject.toml
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-minimum
	$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-minimum/bin/python --resolution lowest-direct -e . 'pytest>=8.2'
	@touch $@

check-minimum: .venv-minimum/.ready  ## what depends on versions, with the oldest ones that pyproject.toml lets in (some minutes)
	.venv-minimum/bin/python -m pytest -q $(VERSIONS)
	cd "$$(mktemp -d)" && $(CURDIR)/.venv-minimum/bin/headstart $(SMALL_DEMO)

# the newest versions there are; of Hydra and OmegaConf also what is not released yet, which pyproject.toml does not let in
.venv-newest/.ready: $(READY) pyproject.toml
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-newest
	$(BIN)/uv pip install --quiet --compile-bytecode --upgrade --python .venv-newest/bin/python -e . 'pytest>=8.2'
	$(BIN)/uv pip install --quiet --compile-bytecode --upgrade --python .venv-newest/bin/python 'hydra-core>=1.4.0rc1' 'omegaconf>=2.4.1rc1'
	@touch $@

check-newest: .venv-newest/.ready  ## the same with the newest versions, and pre-releases of Hydra and OmegaConf (some minutes)
	.venv-newest/bin/python -m pytest -q $(VERSIONS)
	cd "$$(mktemp -d)" && $(CURDIR)/.venv-newest/bin/headstart $(SMALL_DEMO)

lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	$(BIN)/mypy

check: lint types test  ## what CI runs

tensorboard: $(READY)  ## the curves of the newest study; STUDY=outputs/demo names one, STUDY=outputs is all
	$(BIN)/tensorboard --logdir "$${STUDY:-$$(ls -td outputs/*/ 2>/dev/null | grep -Ev '/(store|mlflow|sources?|trials|probe|reproduced|embeddings|explain)/$$' | head -n 1 || true)}" --host localhost

wheel: $(READY)  ## the wheel, in dist/
	$(BIN)/python -m build --wheel --installer uv

$(VENV)/.release-ready: $(READY) pyproject.toml constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[release]'
	@touch $@

release: $(VENV)/.release-ready  ## the wheel and the sdist, in dist/, built and checked
	rm -rf dist
	$(BIN)/python -m build --installer uv
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

# the peers are in a .venv of their own: what `make check` runs in does not depend on them
.venv-bench/.ready: $(READY) pyproject.toml constraints.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-bench
	$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-bench/bin/python -c constraints.txt -e '.[bench]'
	@touch $@

bench: .venv-bench/.ready  ## time and memory, against the peers: benchmarks/RESULTS.md (an hour or two on 2 cores)
	TORCH_CPP_LOG_LEVEL=ERROR .venv-bench/bin/python benchmarks/bench.py

bench-ddp: .venv-bench/.ready  ## unfreezing on 2 processes, against the peers: benchmarks/RESULTS-ddp.md
	TORCH_CPP_LOG_LEVEL=ERROR .venv-bench/bin/python benchmarks/ddp.py

# shot goes on from the source's model, one for each seed, so it is compared with source_only that does, in as many steps;
# an epoch of MNIST is 844 steps, one of USPS 103
SEEDS := seed=0,1,2,3,4 selection=infomax callbacks.domains=null callbacks.figures=null hydra/launcher=slots
ON    := adaptation=source_only,shot 'weights.seed=$${seed}'
bench-adaptation: export HEADSTART_DATA ?= ../shared/data
bench-adaptation: $(READY)  ## MNIST and USPS without labels of the target: docs/how_to/adaptation.md (an hour on 2 cores)
	for pair in mnist_to_usps usps_to_mnist; do \
	  $(BIN)/headstart -m experiment=$${pair}_unlabelled adaptation=source_only,dann,cdan $(SEEDS) || exit 1; \
	done
	$(BIN)/headstart -m 'experiment=[mnist_to_usps_unlabelled,shot]' $(ON) weights.max_epochs=2 trainer.max_epochs=10 +trainer.max_steps=1030 $(SEEDS)
	$(BIN)/headstart -m 'experiment=[usps_to_mnist_unlabelled,shot]' $(ON) weights.max_epochs=16 trainer.max_epochs=2 $(SEEDS)

$(VENV)/.docs-ready: $(READY) pyproject.toml constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(VENV)/.docs-ready  ## the documentation site, in build/docs; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "build/docs/index.html; with search: $(BIN)/python -m http.server -d build/docs"

clean:  ## remove what was built; outputs/ stays
	rm -rf $(VENV) .venv-bench .venv-loggers .venv-minimum .venv-newest dist build .pytest_cache .mypy_cache .ruff_cache
