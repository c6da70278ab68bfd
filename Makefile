# Two commands: `make demo` and `make test`. Everything else serves them.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SERVE ?= 1
PORT ?= 8000
QUICK ?= 0
SEED ?= 7
OPTIMIZER ?= ppo
ADAPTER ?= none
# Test processes side by side, each with a database of its own.
JOBS ?= 2
# Whole programs, rounds and addresses asked as everybody: tested by `make test`, left out of `make quick`.
LONG := training/recipes training/runs evaluation/recipes outerloop/rounds access bad_input faults journeys
PACKAGES := outerloop web annotation training evaluation tests manage.py

# One line for each large file, as pip begins to fetch it, and the sums. Bytecode is written as it is used, also
# where the environment forbids it: without it each process compiles PyTorch and transformers anew, three times as slow.
unexport PYTHONDONTWRITEBYTECODE
define PIP_WORDS
$$1 == "status" { exit $$2 } \
/^ *(Downloading|Using cached) .*\(.* (kB|MB|GB)\)$$/ { \
  size = substr($$(NF - 1), 2) * ($$NF == "kB)" ? 0.001 : $$NF == "GB)" ? 1000 : 1); \
  how = $$1 == "Using" ? "cached" : "fetched"; sum[how] += size; \
  if (size >= 10) { name = $$(NF - 2); sub(".*/", "", name); split(name, part, "-"); printf "  %s %s: %.0f MB %s\n", part[1], part[2], size, how == "cached" ? "from the cache" : "to fetch"; fflush() } } \
/^Installing collected/ { \
  printf "  %.0f MB fetched, %.0f MB from the cache; unpacking %d packages ...\n", sum["fetched"], sum["cached"], NF - 3; fflush() }
endef
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export HF_HUB_OFFLINE ?= 1

.PHONY: help setup demo up test quick check bench doctor chromium lock clean

help:
	@echo "make demo            set up, serve the site, and run the whole loop in the demo world before your eyes"
	@echo "make demo SERVE=0    the same without the site, ending after the loop"
	@echo "make demo QUICK=1    one short round"
	@echo "make demo OPTIMIZER=dpo     the same by DPO; best_of_n, and ADAPTER=lora, too"
	@echo "make demo PORT=8080  the site on another port; the same for make up"
	@echo "make up              site, workers, schedule and policy server on what is in the database"
	@echo "make test            every test, browser journeys included"
	@echo "make quick           the part of the tests without whole programs, rounds and browsers"
	@echo "make check           ruff, mypy, import arrows, bandit, migrations, deployment settings"
	@echo "make bench           short forms of the measurements of learning beside other programs"
	@echo "make doctor          what is configured, reachable and missing"

setup: $(INSTALLED)

$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else f"Outerloop needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. Name a newer one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@echo "Installing the locked packages into .venv; PyTorch is by far the largest. What pip has in its cache is not fetched again."
	@{ $(BIN)/pip install --no-compile --progress-bar off --requirement requirements.lock; echo "status $$?"; } | awk '$(PIP_WORDS)'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/python manage.py demo --seed $(SEED) --port $(PORT) --optimizer $(OPTIMIZER) --adapter $(ADAPTER) $(if $(filter 0,$(SERVE)),--no-serve,) $(if $(filter 1,$(QUICK)),--quick,)

up: $(INSTALLED)
	$(BIN)/python manage.py up --port $(PORT)

doctor: $(INSTALLED)
	$(BIN)/python manage.py doctor

chromium: $(INSTALLED)
	@$(BIN)/python -m tests.support.chromium

test: $(INSTALLED) chromium
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

quick: $(INSTALLED)
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not browser" $(LONG:%=--ignore=tests/%)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES) benchmarks
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --severity-level medium --recursive outerloop web annotation training evaluation manage.py
	$(BIN)/python manage.py makemigrations --check --dry-run
	DJANGO_SETTINGS_MODULE=outerloop.settings.prod OUTERLOOP_SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') \
	OUTERLOOP_ALLOWED_HOSTS=outerloop.example $(BIN)/python manage.py check --deploy --fail-level WARNING

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.ppo_equivalence
	$(BIN)/python -m benchmarks.sampler_vs_generate --short
	$(BIN)/python -m benchmarks.ppo_vs_trl --short
	$(BIN)/python -m benchmarks.reward_model_vs_trl --short

lock: $(INSTALLED)
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache
