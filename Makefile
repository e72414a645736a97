# Everything runs in .venv, which any of these sets up once.
PYTHON ?= python3
# Where torch comes from: the configured index; on Linux, PyPI's torch is a GPU build of several GB. The CPU build:
#   make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

.PHONY: setup demo test check

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch==2.13.0
	.venv/bin/pip install -q -c constraints.txt -e '.[all,dev]'
	touch $@

demo: setup
	.venv/bin/likeness demo

test: setup
	scripts/test

check: setup
	scripts/check
