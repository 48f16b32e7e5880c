# Thin verbs only. CI calls these and nothing else.
SHELL := /bin/bash
LEGACY := .venv-legacy/bin
MODERN := .venv-modern/bin
UV_LOCK = uv pip compile --quiet --no-header --no-annotate --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: help setup demo test thorough endurance reliability reproduce weights agreement image image-test bench docs lab lint format lock audit clean

help:  ## list these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

setup:  ## build .venv-legacy (Python 3.8) and .venv-modern (Python >= 3.11) where they are missing or outdated
	@bash requirements/setup.sh legacy modern

demo: setup  ## train both networks in both frameworks on the same mocks; ends with one page, runs/demo/report.html
	@$(MODERN)/python -m experiments demo

test: setup  ## run every test in both interpreters
	@bash tests/run.sh

thorough: setup  ## ask more of the verb score and of the lab: 10,000 malformed files, all notebooks, ten seeds; half an hour
	@LENS_THOROUGH=1 $(MODERN)/python -m pytest tests/modern/test_survey_fuzz.py tests/modern/test_survey_formats.py tests/modern/test_lab.py tests/modern/test_exercise.py

endurance: setup  ## 100,000 malformed files and 100 kills in each interpreter, hours; counts go to results/endurance
	@mkdir -p results/endurance
	@$(MODERN)/python tests/endurance.py --out results/endurance/modern.json
	@$(LEGACY)/python tests/endurance.py --out results/endurance/legacy.json

reliability: setup  ## run the tests of bad inputs and faults, and write docs/reliability.md from what they say
	@$(MODERN)/python docs/reliability.py

bench: setup  ## measure speeds, half an hour; results go to bench/results.json; ONLY="loading resnet" for some
	@$(LEGACY)/python -m bench.run $(ONLY)

reproduce: setup  ## make the reproduction pages from the stored runs; PROFILE=quick runs a small study, =full all of it
	@bash experiments/reproduction/reproduce.sh $(PROFILE)

weights: setup  ## train, measure and describe the shipped networks, five hours on two cores; ONLY=card: docs/model-card.md
	@bash experiments/shipped/make.sh $(ONLY)

agreement: setup  ## train both twins from new seeds and judge whether their ROCs agree, ten minutes
	@$(MODERN)/python -m experiments agreement.agreement

docs: setup  ## make docs/differences.md, faithfulness.md and picture.png anew from the sources and the stored results
	@$(MODERN)/python docs/differences.py
	@$(MODERN)/python docs/idioms.py
	@$(MODERN)/python -m lab.write_solutions
	@$(MODERN)/python -m docs.picture

lab: setup  ## execute the notebooks of the lab into runs/lab and print the time of each; slides.html beside them
	@$(MODERN)/python -m lab.execute --out runs/lab
	@$(MODERN)/python -m lab.slides runs/lab

image:  ## build the image lens-legacy with Docker or Podman
	@bash requirements/image.sh build

image-test: setup image  ## run the image as a stranger would: hardened, with bad inputs, stopped and continued
	@bash tests/image.sh

lint: setup  ## check style, format, types (in both interpreters), the walls, the Dockerfile and environment.yml
	@bash -c 'failed=0; \
	  step() { echo "lint: $$*"; "$$@" || failed=1; }; \
	  export PYTHONPATH=common:legacy:modern; \
	  step $(MODERN)/ruff check .; \
	  step $(MODERN)/ruff format --check .; \
	  step $(LEGACY)/mypy common/lens_common legacy/lens_legacy; \
	  step $(MODERN)/mypy common/lens_common modern/lens_modern experiments bench docs; \
	  step $(MODERN)/lint-imports --no-logo; \
	  step $(MODERN)/hadolint Dockerfile; \
	  step $(MODERN)/python requirements/check_environment.py; \
	  if [ $$failed = 1 ]; then echo "lint: failed" >&2; exit 1; fi; echo "lint: all is well"'

format: setup  ## let ruff format the code and sort the imports
	@echo "format: ruff rewrites what it may"
	@$(MODERN)/ruff check --fix --exit-zero --quiet .
	@$(MODERN)/ruff format .

lock:  ## remake requirements/*.txt from requirements/*.in (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv on the PATH: install it with \`pip install uv\`." >&2; exit 2; }
	@echo "lock: legacy.txt, legacy-test.txt, build.txt (Python 3.8), modern.txt (Python 3.11), all with hashes"
	@cd requirements && $(UV_LOCK) --python-version 3.8 --generate-hashes --override overrides.txt legacy.in -o legacy.txt
	@# Without the packages that legacy.txt holds: both files are installed together.
	@cd requirements && $(UV_LOCK) --python-version 3.8 --generate-hashes --override overrides.txt -c legacy.txt \
	  $$(sed -n 's/^\([A-Za-z0-9_.-]*\)==.*/--no-emit-package \1/p' legacy.txt) legacy-test.in -o legacy-test.txt
	@cd requirements && $(UV_LOCK) --python-version 3.8 --generate-hashes -c legacy.txt -c legacy-test.txt build.in -o build.txt
	@cd requirements && $(UV_LOCK) --python-version 3.11 --generate-hashes --override overrides.txt modern.in -o modern.txt

audit:  ## look up known weaknesses of the locked packages (needs a network)
	@bash requirements/audit.sh

clean:  ## remove the virtual environments, caches and build leftovers; runs/ stays
	@echo "clean: removing .venv-legacy, .venv-modern, .conda-py38, caches and build leftovers; runs/ stays"
	@rm -rf .venv-legacy .venv-modern .conda-py38 .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .cache
	@find common legacy modern experiments bench docs tests \( -name __pycache__ -o -name '*.egg-info' -o -name dist -o -name build \) -type d -prune -exec rm -rf {} +
