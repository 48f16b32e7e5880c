# Thin verbs only. CI calls these and nothing else.
SHELL := /bin/bash
LEGACY := .venv-legacy/bin
MODERN := .venv-modern/bin
PAGE_TOOLS := lab/page/node_modules/.package-lock.json
NPM = PATH="$(CURDIR)/$(MODERN):$$PATH" npm --prefix lab/page
UV_LOCK = ../$(MODERN)/uv pip compile --quiet --no-header --no-annotate --no-emit-index-url

# What make test leaves out for its length and CI runs, and what it tries in short.
THOROUGH := tests/agreement/test_agreement.py tests/parity/test_idioms.py $(addprefix tests/modern/test_, \
  lab.py exercise.py site.py survey_faults.py survey_cluster.py distributions.py)
MORE_THOROUGH := tests/parity/test_lab_page.py $(addprefix tests/modern/test_, interpreters.py survey_fuzz.py survey_formats.py)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check thorough endurance reliability reproduce weights agreement image image-test bench docs site lab lint format lock audit dist clean nothing-test

help:  ## list these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

setup:  ## build .venv-legacy (Python 3.8) and .venv-modern (Python >= 3.11) where they are missing or outdated
	@bash requirements/setup.sh legacy modern

demo: setup  ## train both networks in both frameworks on the same mocks; ends with one page, runs/demo/report.html
	@$(MODERN)/python -m experiments demo

test: setup  ## run every test in both interpreters; SIDE=modern PYTHON=3.13: those of one side, in another Python
	@$(if $(PYTHON),bash requirements/setup.sh modern-$(PYTHON))
	@LENS_SIDE=$(SIDE) LENS_PYTHON=$(PYTHON) bash tests/run.sh

check: setup  ## lint, and the tests that name what changed since main; before every commit
	@$(MAKE) --no-print-directory lint
	@LENS_ONLY="$$($(MODERN)/python tests/changed.py)" bash tests/run.sh

thorough: setup  ## what takes minutes: ResNets trained afresh, 10,000 malformed files, all notebooks, the site; ONLY="FILE ...", or =CI for what CI runs
	@LENS_THOROUGH=1 LENS_ONLY="$(or $(filter-out CI,$(ONLY)),$(THOROUGH) $(if $(ONLY),,$(MORE_THOROUGH)))" bash tests/run.sh

dist: setup  ## build wheels and sdists of the three distributions into dist/
	@bash requirements/dist.sh

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

weights: setup  ## train, measure and describe the shipped networks, seven hours on two cores; ONLY=card: docs/model-card*.md
	@bash experiments/shipped/make.sh $(ONLY)

agreement: setup  ## train both twins from new seeds and judge whether their ROCs agree, ten minutes
	@$(MODERN)/python -m experiments agreement.agreement

docs: setup $(PAGE_TOOLS)  ## make docs/differences.md, faithfulness.md, pictures and lab.html anew from the sources and the stored results
	@$(MODERN)/python docs/differences.py
	@$(MODERN)/python docs/idioms.py
	@$(MODERN)/python -m lab.write_solutions
	@$(MODERN)/python -m docs.picture
	@$(MODERN)/python -m docs.populations
	@$(MODERN)/python -m docs.lab

# What bundles and checks lab/page, as its lock has it; node and npm come with .venv-modern.
$(PAGE_TOOLS): lab/page/package-lock.json
	@$(NPM) ci --silent
	@touch $@

lab: setup  ## execute the notebooks of the lab into runs/lab and print the time of each; slides.html beside them
	@$(MODERN)/python -m lab.execute --out runs/lab
	@$(MODERN)/python -m lab.slides runs/lab

site: setup  ## build the documentation into runs/site, notebooks with their outputs; open runs/site/index.html, no server needed
	@$(MODERN)/python -m lab.execute --out runs/lab --missing
	@$(MODERN)/python -m lab.slides runs/lab
	@$(MODERN)/python -m sphinx -W --keep-going -q -E -c docs/site -d runs/site-cache . runs/site
	@echo "site: open runs/site/index.html"

image:  ## build the image lens-legacy with Docker or Podman
	@bash requirements/image.sh build

image-test: setup image  ## run the image as a stranger would: hardened, with bad inputs, stopped and continued
	@bash tests/image.sh

nothing-test: setup  ## do what README says on a Debian with nothing, in a container: the apt line and the two commands; as root
	@bash tests/nothing.sh

lint: setup $(PAGE_TOOLS)  ## check style, format, types (in both interpreters), walls, lab/page, Dockerfile, compose, workflow, environment.yml
	@bash -c 'failed=0; \
	  step() { echo "lint: $$*"; "$$@" || failed=1; }; \
	  export PYTHONPATH=common:legacy:modern; \
	  step $(MODERN)/ruff check .; \
	  step $(MODERN)/ruff format --check .; \
	  step $(LEGACY)/mypy common/lens_common legacy/lens_legacy; \
	  step $(MODERN)/mypy common/lens_common modern/lens_modern experiments bench docs; \
	  step $(MODERN)/lint-imports --no-logo; \
	  export PATH="$(CURDIR)/$(MODERN):$$PATH"; \
	  step npm --prefix lab/page run --silent lint; \
	  step $(MODERN)/hadolint Dockerfile; \
	  step $(MODERN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml; \
	  step $(MODERN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml; \
	  step $(MODERN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff; \
	  step $(MODERN)/python requirements/check_environment.py; \
	  if [ $$failed = 1 ]; then echo "lint: failed" >&2; exit 1; fi; echo "lint: all is well"'

format: setup $(PAGE_TOOLS)  ## let ruff and biome format the code and sort the imports
	@echo "format: ruff and biome rewrite what they may"
	@$(MODERN)/ruff check --fix --exit-zero --quiet .
	@$(MODERN)/ruff format .
	@$(NPM) run --silent format

lock: setup  ## remake requirements/*.txt from requirements/*.in
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
	@echo "clean: removing .venv-legacy, .venv-modern, .conda-py38, .tools, dist, caches and build leftovers; runs/ stays"
	@rm -rf .venv-legacy .venv-modern* .conda-py38 .tools dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .cache lab/page/node_modules
	@find common legacy modern experiments bench docs tests \( -name __pycache__ -o -name '*.egg-info' -o -name dist -o -name build \) -type d -prune -exec rm -rf {} +
