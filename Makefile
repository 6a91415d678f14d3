# make demo           environment, rendered data, a short training, mAP, pictures
# make test           environment, static checks, tests in JOBS processes
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

.PHONY: docs env format lint demo ops static-checks test test-gpu test-ops wheel

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

test: static-checks
	@$(PY) -m pytest -n $(JOBS) --dist loadfile

test-gpu: env
	@$(PY) -m pytest --gpu tests/test_cuda.py

test-ops: ops
	@$(PY) -m pytest -n $(JOBS) --dist loadfile -m compiled_ops
	@$(PY) -m pytest tests/tools/test_workflow.py

wheel: env
	@$(PY) -m pip install -q build twine
	@$(PY) -m build -q
	@$(PY) -m twine check --strict dist/*

docs: env
	@$(PY) -m pip install -q mkdocs-material
	@$(PY) -m mkdocs build -q --strict
