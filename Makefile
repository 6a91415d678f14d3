# make demo   environment, rendered data, a short training, mAP and pictures
# make test   environment and tests, in JOBS processes;
#             STACK=openmmlab tests on the original packages
STACK ?= onedl
JOBS ?= 2
ifeq ($(STACK),onedl)
VENV := .venv
else
VENV := .venv-$(STACK)
endif
PY := $(VENV)/bin/python

.PHONY: demo test lint env

env:
	@tools/setup_env.sh $(VENV) $(STACK)

demo: env
	@PYTHON=$(PY) tools/demo.sh

lint: env
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

test: lint
	@$(PY) -m pytest -n $(JOBS) --dist loadfile
