SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# A name may be a shim that does not run. Isolated mode (-I), because PYTHONHOME can prevent Python from starting.
PYTHON ?= $(shell for name in python3.12 python3.11 python3; do $$name -I -c "" 2>/dev/null && command -v $$name && break; done)
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet $(UPGRADE)

IMAGES := airflow spark web
TAG ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

# Isolate .venv from an active virtual environment and from settings of Python and pip for other projects. Only pip's
# settings for package sources are kept.
PIP_SOURCES := INDEX_URL EXTRA_INDEX_URL FIND_LINKS NO_INDEX TRUSTED_HOST PROXY CERT CLIENT_CERT KEYRING_PROVIDER CONFIG_FILE CACHE_DIR NO_CACHE_DIR RETRIES TIMEOUT DEFAULT_TIMEOUT
unexport $(filter-out $(PIP_SOURCES:%=PIP_%),$(filter PIP_%,$(.VARIABLES)))
unexport $(filter PYTHON%,$(.VARIABLES))
unexport VIRTUAL_ENV BASH_ENV
# Overrides pip's configuration files.
export PIP_USER := 0
# The path of the checkout may contain non-ASCII characters.
export LC_ALL := C.UTF-8

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/installed ## Start the platform, ingest members and serve until Ctrl-C. ONCE=1 exits at the end; COUNT=5000.
	@$(BIN)/member-analyzer run $(if $(COUNT),--count $(COUNT)) $(if $(ONCE),--once)

.PHONY: test
test: .venv/installed-dev .venv/chromium check ## Check the code and run all tests against real servers, about 45 minutes on 2 cores. SCREENSHOTS=1 updates docs/screenshots.
	@$(BIN)/python tests/suite.py

.PHONY: drills
drills: .venv/installed-dev ## Run all fault drills and 100,000 generated records; the results go to docs/reliability.md.
	@RECORD_CASES=100000 $(BIN)/python -m pytest tests/unit/test_member.py -k any_json --timeout 1800
	@$(BIN)/python -m pytest tests/platform/test_environment.py -m ""
	@DRILLS_DOCUMENT=1 DRILL_MEMBERS=10000 $(BIN)/python -m pytest tests/faults -m ""

.PHONY: prove-drills
prove-drills: .venv/installed-dev ## Verify that each drill fails when the protection it tests is disabled, in a scratch copy.
	@$(BIN)/python tests/faults/prove.py

.PHONY: check
check: .venv/installed-dev ## Lint, type-check, and check the import contracts.
	@# Without the cache: a new module can change how ruff sorts imports in unchanged files.
	@$(BIN)/ruff check --no-cache .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: .venv/installed-dev ## Format the code.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: install
install: .venv/installed ## Install the platform's dependencies into .venv.

.PHONY: down
down: .venv/installed ## Stop the platform; its data is kept.
	@$(BIN)/member-analyzer down

.PHONY: bench
bench: export LOCAL_HOME := $(CURDIR)/var/bench-platform
bench: export LOCAL_DOWNLOADS ?= $(CURDIR)/var/java
bench: .venv/installed-dev ## Run the benchmarks of docs/performance.md on a separate platform; takes several hours.
	@$(BIN)/python bench/startup.py
	@$(BIN)/member-analyzer up
	@for name in land publish collector interactions freshness; do $(BIN)/python bench/$$name.py; done
	@$(BIN)/python bench/stream.py
	@$(BIN)/python bench/growth.py
	@$(BIN)/python bench/user_api.py

.PHONY: images $(IMAGES:%=image-%)
images: $(IMAGES:%=image-%) ## Build the container images. TAG=1.0 sets their tag; S3A=1 adds S3 support for Spark's checkpoint.

image-spark: override BUILD_ARGS += $(if $(S3A),--build-arg JAR_GROUPS="spark spark-s3a")
$(IMAGES:%=image-%): image-%:
	@DOCKER_BUILDKIT=1 docker build --file images/$*/Dockerfile --tag member-analyzer/$*:$(TAG) $(BUILD_ARGS) .

.PHONY: chart-docs
chart-docs: .venv/installed-dev ## Generate the values schema and the README of both charts from the comments in their values.
	@$(BIN)/python tests/charts/values_schema.py charts/operators charts/member-analyzer
	@"$$($(BIN)/python tests/charts/tools.py helm-docs)" --chart-search-root charts --sort-values-order file --log-level warning

CLUSTER ?= member-analyzer-test
.PHONY: test-cluster
test-cluster: .venv/installed-dev ## Test the charts on the kind cluster CLUSTER, created if missing. FULL=1 includes all operators; KEEP=1 keeps the cluster; KUBECONFIG=... selects its kubeconfig.
	@$(BIN)/python -m pytest $(if $(FULL),tests/cluster/whole,tests/cluster/test_installation.py) --timeout 3600 --cluster-name $(CLUSTER) $(if $(KEEP),--keep-cluster) $(if $(KUBECONFIG),--kubeconfig $(KUBECONFIG)) --kind-bin "$$(command -v kind)" --kind-kubectl-bin "$$(command -v kubectl)"

.PHONY: lock
lock: .venv/installed-dev ## Update the locked Python packages.
	@$(COMPILE) pyproject.toml --output-file requirements.lock
	@$(COMPILE) pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	@for image in $(IMAGES) build; do $(COMPILE) images/$$image/requirements.in --constraint requirements.lock --output-file images/$$image/requirements.lock; done
	@for sdk in segment rudder analytics; do $(COMPILE) tests/sdks/python/$$sdk.in --output-file tests/sdks/python/$$sdk.lock; done

.PHONY: java-lock
java-lock: .venv/installed ## Update the locked Java artifacts.
	@$(BIN)/python -m member_analyzer.local.lock
	@$(BIN)/python tests/sdks/java/lock.py

.venv/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "error: no Python found; install Python 3.11 or 3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.version_info[:2] in ((3, 11), (3, 12)) or sys.exit("error: " + sys.executable + " is Python %d.%d; specify Python 3.11 or 3.12 with make PYTHON=..." % sys.version_info[:2])'
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) cannot create virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "creating .venv with $(PYTHON)"
	@"$(PYTHON)" -m venv .venv

# The lock files are complete: pip resolves nothing, and installs only packages with a known hash.
.venv/installed: .venv/bin/python requirements.lock pyproject.toml
	@echo "installing the Python packages of requirements.lock (takes some minutes the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on --no-deps --require-hashes --requirement requirements.lock | grep --line-buffered -v '^Requirement already satisfied' || [ $${PIPESTATUS[0]} -eq 0 ] || { echo "error: the Python packages could not be installed; see pip's output above$${HTTPS_PROXY+; HTTPS_PROXY is set}$${https_proxy+; https_proxy is set}$${ALL_PROXY+; ALL_PROXY is set}$${all_proxy+; all_proxy is set}" >&2; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@# pip's own script has the path of .venv in its shebang line, where some characters are not allowed.
	@printf '%s\n' '#!/bin/sh' 'LC_ALL=C.UTF-8 exec "$$(dirname "$$(readlink -f "$$0")")/python" -I -m member_analyzer.cli "$$@"' >$(BIN)/member-analyzer
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.lock
	@echo "installing the Python packages of requirements-dev.lock"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes --requirement requirements-dev.lock
	@touch $@

# The tests of the console's pages need a browser. Without one they are skipped, or fail if CI is set.
.venv/chromium: .venv/installed-dev
	@if chromium --version >/dev/null 2>&1 || chromium-browser --version >/dev/null 2>&1 || google-chrome --version >/dev/null 2>&1; then touch $@; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "Chromium is not installed: the tests of the console's pages will be skipped; on Debian: apt-get install chromium fonts-dejavu-core"; \
	else \
		echo "installing Chromium for the tests of the console's pages"; \
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium fonts-dejavu-core && chromium --version; } >.venv/chromium.log 2>&1 \
			&& touch $@ \
			|| echo "Chromium could not be installed (see .venv/chromium.log): the tests of the console's pages will be skipped"; \
	fi
