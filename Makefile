# make demo           environment, rendered data, a short training, mAP, pictures
# make test           environment, static checks, tests in JOBS processes
# make test-fast      the smallest backbones, the configs, the command line:
#                     a minute, for between two edits
# make test-all       what takes long and only a release needs; after make test
# make ops            mmcv's compiled ops into the same environment (a compiler,
#                     15 minutes); make test then tests them as well
# make test-ops       only the tests that differ with the compiled ops
# make test-gpu       only the tests that need a GPU
# make static-checks  ruff and mypy;  make format: ruff's formatter
# make docs           the pages of docs/, in site/
# make wheel          the wheel and the source distribution, in dist/
#
# PYTHON=python3.12 chooses the interpreter of the environment,
# STACK=openmmlab the original packages, in an environment of its own.
STACK ?= onedl
JOBS ?= 2
ifeq ($(STACK),onedl)
VENV := .venv
else
VENV := .venv-$(STACK)
endif
PY := $(VENV)/bin/python
PYTEST := $(PY) -m pytest -n $(JOBS) --dist worksteal

.PHONY: demo docs env format lint ops static-checks test test-all test-fast \
	test-gpu test-ops tests wheel

env:
	@tools/setup_env.sh $(VENV) $(STACK)

ops: env
	@tools/build_ops.sh $(VENV) $(STACK)

demo: env
	@PYTHON=$(PY) tools/demo.sh

format: env
	@$(PY) -m ruff check -q --fix .
	@$(PY) -m ruff format .

static-checks lint: env
	@$(PY) -m ruff check .
	@$(PY) -m ruff format -q --check .
	@$(PY) -m mypy

# The static checks run beside the tests, whose last one leaves a core free.
test: env
	@$(MAKE) --no-print-directory -j2 static-checks tests

tests: env
	@$(PYTEST) -m 'not release'

# Without the commands that train.
test-fast: env
	@$(PYTEST) -m 'not release' tests/test_imports.py tests/commands \
		$(patsubst %,--ignore=tests/commands/test_%.py,bands own_data_run \
		report teacher untrusted_checkpoints) \
		tests/configs/test_recipes.py tests/models/backbones/test_contract.py

test-all: env
	@$(PYTEST) -m release

test-gpu: env
	@$(PY) -m pytest --gpu tests/test_cuda.py

test-ops: ops
	@$(PYTEST) -m compiled_ops
	@$(PY) -m pytest tests/tools/test_workflow.py

wheel: env
	@$(PY) -m pip install -q build twine
	@$(PY) -m build -q
	@$(PY) -m twine check --strict dist/*

docs: env
	@$(PY) -m pip install -q mkdocs-material
	@$(PY) -m mkdocs build -q --strict
