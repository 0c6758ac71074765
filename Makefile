# One door. `make help` lists the targets; each does its own set-up, and says what it is doing.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full check bench fuzz sim fmt reasons install uninstall
PYTHON ?= python3
BIN := .venv/bin

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

python:
	@command -v $(PYTHON) >/dev/null || { echo "make: Python 3.11 or newer is missing: apt-get install python3 python3-venv" >&2; exit 1; }

setup: python ## Debian packages, .venv and the packet engine
	@$(PYTHON) tools/setup.py run

demo: setup ## two networks joined, on this machine, in a few seconds
	@$(BIN)/culvert demo $(ARGS)

test: python ## everything that proves it, in under 25 minutes
	@$(PYTHON) tools/setup.py test
	@$(BIN)/python tools/check.py
	@$(BIN)/python tools/test.py $(ARGS)

test-full: test ## the same, and everything that a network can do to two gateways within eight steps
	@$(BIN)/python tools/test.py --exhaustive -m exhaustive

check: python ## formats, types, lints, import contract, generated tables
	@$(PYTHON) tools/setup.py test
	@$(BIN)/python tools/check.py

bench: python ## throughput and latency beside strongSwan's user-space plugin and plain routing
	@$(PYTHON) tools/setup.py test
	@$(BIN)/python -m bench $(ARGS)

fuzz: python ## the readers of both processes and the IKE core against any octets, a minute for each
	@$(PYTHON) tools/setup.py test
	@$(BIN)/python tools/fuzz.py $(ARGS)

sim: python ## simulated gateways in a bad network, seed after seed until stopped (or ARGS="--seed 7 --runs 100")
	@$(PYTHON) tools/setup.py run
	@$(BIN)/python -m culvert.sim $(or $(ARGS),--forever --seed $$(date +%s)000)

fmt: python ## format both languages
	@$(PYTHON) tools/setup.py test
	@$(BIN)/ruff check --fix-only -q . && $(BIN)/ruff format -q . && cargo fmt --all --manifest-path engine/Cargo.toml

reasons: ## both languages' tables of reasons, from reasons.toml
	@$(PYTHON) tools/generate_reasons.py

install: setup ## culvert in /usr/local with its systemd unit (as root)
	@$(PYTHON) tools/install.py install

uninstall: python ## take away what `make install` put there
	@$(PYTHON) tools/install.py uninstall
