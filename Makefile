# Thin targets: each calls one program, and CI calls the same ones. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python
DIR ?= .local/demo
# Only `make demo KUBECONFIG=...` means another cluster: an exported KUBECONFIG may be a production one.
OTHER := $(if $(filter command line,$(origin KUBECONFIG)),$(KUBECONFIG))
SOURCES := operator agent_runtime localcluster demo tests

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.made: requirements/dev.txt pyproject.toml scripts/setup
	@scripts/setup && touch $@

.PHONY: setup
setup: .venv/.made ## make .venv from the lock file

.PHONY: servers
servers: ## install the Debian packages that the tests run
	@scripts/servers

.PHONY: demo
demo: setup ## real node, operator, gateway, traffic: one good rollout, one rolled back (KEEP=1 keeps it; KUBECONFIG=... elsewhere)
	@$(PY) -m demo --dir "$(DIR)" $(if $(KEEP),--keep) $(if $(OTHER),--kubeconfig "$(OTHER)")

.PHONY: down
down: setup ## remove the demo's cluster
	@$(PY) -m localcluster down --dir "$(DIR)"

.PHONY: test
test: lint test-all ## lint, unit, contract, chart and cluster tests, demo smoke

.PHONY: test-all
test-all: setup servers ## all tests
	@$(PY) -m localcluster build --images
	@$(PY) -m pytest tests

.PHONY: test-unit
test-unit: setup servers ## unit tests: seconds to a minute
	@$(PY) -m pytest tests/unit

.PHONY: e2e
e2e: setup servers ## cluster tests on any cluster: make e2e KUBECONFIG=...
	@AGENTDEPLOY_KUBECONFIG="$(OTHER)" $(PY) -m pytest tests/cluster

.PHONY: lint
lint: setup ## formatter, linter, types, import directions
	@.venv/bin/ruff format --check --quiet $(SOURCES)
	@.venv/bin/ruff check --quiet $(SOURCES)
	@.venv/bin/mypy
	@.venv/bin/lint-imports

.PHONY: format
format: setup ## format the sources and fix what can be fixed
	@.venv/bin/ruff check --quiet --fix $(SOURCES)
	@.venv/bin/ruff format --quiet $(SOURCES)

.PHONY: crds
crds: setup ## generate the CustomResourceDefinition from the API models
	@$(PY) -m agent_operator.api.crd

.PHONY: lock
lock: setup ## lock the dependencies of pyproject.toml again
	@scripts/lock

.PHONY: clean
clean: ## remove .venv and everything under .local (stop clusters first: make down)
	@rm -rf .venv .local
