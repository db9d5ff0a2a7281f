# The targets that README.md explains; CI calls the same ones.
#   make run ONLY=01          only the notebooks whose names contain 01
#   make run KERNEL=NAME      another kernel specification (see `make kernels`)
#   make run PYTHON=python3.12   the Python that .venv is created with
PYTHON ?= python3
KERNEL ?= python3
ONLY ?=

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.installed
NBVAL := --nbval-lax --nbval-sanitize-with tests/nbval_sanitize.cfg \
	--nbval-kernel-name $(KERNEL) --nbval-kernel-startup-timeout 180 \
	--nbval-cell-timeout 1200

# The kernel is the one of .venv, also where the reader has another of that name.
export JUPYTER_PREFER_ENV_PATH := 1

.PHONY: run store test unit lab lint format sync figures bench readme kernels links lock export \
	site test-browser test-backends test-colab clean help

help:
	@echo "make run            execute the notebooks into build/, with a summary"
	@echo "make test           unit tests, style checks, every notebook through nbval"
	@echo "make lab            open JupyterLab on the series"
	@echo "make lint           check style and pairing;  make format: mend the style"
	@echo "make sync           write notebooks/*.ipynb from the .py sources"
	@echo "make store          keep the last run: notebooks, scorecards, README tables"
	@echo "make figures        draw images/;  make bench: measure benchmarks/results/"
	@echo "make site           build the static site;  make test-browser: try its sliders"
	@echo "make test-backends  the tests of helpers on JAX and PyTorch"
	@echo "make test-colab     all of it as on a hosted notebook service, oldest versions"
	@echo "make export         write models/*.onnx anew after a training"
	@echo "make kernels        install a CPU and a GPU kernel specification in .venv"
	@echo "make readme         fill the tables of README.md, draw the house anew"
	@echo "make links          point every link at the remote, or at REPO=owner/name"
	@echo "make lock           write requirements.lock anew;  make clean: remove build/"

$(READY): requirements.lock tools/environment.py
	@$(PYTHON) tools/environment.py $(VENV) requirements.lock

run: $(READY)
	@$(PY) -m tools.run_notebooks --kernel $(KERNEL) --only "$(ONLY)"

store: $(READY)
	@$(PY) -m tools.store --only "$(ONLY)"

test: $(READY)
	REGISTRATION_PROFILE=$${REGISTRATION_PROFILE:-quick} \
	$(PY) -m pytest --durations 10 $(NBVAL) tests notebooks --ignore tests/browser

unit: $(READY)
	$(PY) -m pytest --durations 10 tests --ignore tests/browser

lab: $(READY)
	$(PY) -m jupyterlab --notebook-dir . --ServerApp.default_url /lab/tree/notebooks

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pytest -q tests/tools/test_notebooks.py tests/tools/test_house.py

format: $(READY)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

sync: $(READY)
	$(PY) -m tools.sync --only "$(ONLY)"

# What the site and its tests in a browser need is installed when they are asked for.
$(READY)-site: $(READY) requirements/site.txt
	@$(PYTHON) tools/environment.py $(VENV) requirements/site.txt \
		--constraint requirements.lock --stamp .installed-site

site: $(READY)-site
	$(PY) -m tools.site

test-browser: site
	$(PY) -m pytest --durations 5 tests/browser

readme: $(READY)
	$(PY) -m tools.readme
	$(PY) -m tools.house

figures: $(READY)
	$(PY) -m tools.run_scripts tools/figures --only "$(ONLY)"

kernels: $(READY)
	$(PY) -m ipykernel install --sys-prefix --name registration-cpu \
		--display-name "Registration (CPU)" --env CUDA_VISIBLE_DEVICES -1
	$(PY) -m ipykernel install --sys-prefix --name registration-gpu \
		--display-name "Registration (GPU)" --env TF_FORCE_GPU_ALLOW_GROWTH true
	@echo "Pick one:  make test KERNEL=registration-cpu"

links: $(READY)
	$(PY) -m tools.links $(REPO)

# Environments of their own, so that a reader's .venv stays small.
bench:
	@$(PYTHON) tools/environment.py .venv-bench requirements.txt \
		requirements/bench.txt requirements/stripping.txt \
		benchmarks/requirements.txt
	.venv-bench/bin/python -m tools.run_scripts benchmarks --only "$(ONLY)"

test-backends:
	@$(PYTHON) tools/environment.py .venv-backends requirements/backends.txt \
		--constraint requirements.lock
	.venv-backends/bin/python -m tools.helper_tests jax torch

# The networks as registration/runtime.py runs them; PyTorch writes them.
export:
	@$(PYTHON) tools/environment.py .venv-backends requirements/backends.txt \
		requirements/export.txt --constraint requirements.lock --stamp .installed-export
	.venv-backends/bin/python models/export.py

# What a hosted notebook service has: its versions, an empty folder, its own kernel.
test-colab: $(READY)
	@$(PYTHON) tools/environment.py .venv-colab requirements/colab.txt
	.venv-colab/bin/python -m ipykernel install --prefix $(VENV) --name hosted
	$(PY) -m tools.colab --kernel hosted --python .venv-colab/bin/python \
		--only "$(ONLY)"
	.venv-colab/bin/python tools/install_missing.py
	.venv-colab/bin/python -m tools.helper_tests tensorflow

lock:
	@$(PYTHON) tools/environment.py .venv-lock requirements/lock.txt
	.venv-lock/bin/python -m tools.lock

clean:
	rm -rf build
