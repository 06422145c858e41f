# Every verb works first on a fresh machine: each sets up what it needs. People and CI call the same ones.
PYTHON ?= python3
LOGIN ?= loopback
PORT ?=
NAME ?=
# A module stays on one worker: its tests share a house, and starting that is what costs.
SPREAD = -n auto --dist loadfile

.PHONY: setup demo test soak coverage check smoke bench lock clean
.DEFAULT_GOAL := help

help: ## show these lines
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## make both environments and the proxy from their locks
	@$(PYTHON) deploy/setup.py

demo: setup ## start the whole house with demo data (LOGIN=keycloak for a real Keycloak)
	@exec .venv/bin/aurelius demo --login $(LOGIN) $(if $(PORT),--port $(PORT))

test: setup ## run every test but the slow ones; what a missing system package skips is listed at the end
	@.venv/bin/python -m pytest tests -m "not soak" $(SPREAD) --durations=20

soak: setup ## run the tests that are slow by nature: crashes, fuzzing, every route, every extra
	@.venv/bin/python -m pytest tests -m soak $(SPREAD)

coverage: setup ## run every test but the slow ones and report which lines none of them reached
	@.venv/bin/python -m pytest tests -m "not soak" $(SPREAD) --cov --cov-report=term:skip-covered

check: setup ## lint, format, types, import rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PYTHON) deploy/setup.py check
	@.venv/bin/python -m pytest -q tests/house/test_rules.py

smoke: setup ## walk every user's path through a fresh demo, without a screen
	@cd tests && ../.venv/bin/python -m support.smoke

bench: setup ## measure against the peers (NAME=… for one)
	@.venv/bin/python -m bench $(NAME)

lock: ## renew requirements/*.txt and package-lock.json
	@deploy/lock.sh

clean: ## remove what set-up, demo and tests made
	rm -rf .venv .venv-annotation node_modules .cache .aurelius build .pytest_cache .mypy_cache .ruff_cache .hypothesis
