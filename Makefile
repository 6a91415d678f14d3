# make demo   environment, rendered data, a short training, mAP and pictures
# make test   environment and tests; STACK=openmmlab tests on the originals
STACK ?= onedl
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
	@$(PY) -m pytest
