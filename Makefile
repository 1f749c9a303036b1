# The commands of this repository. Each may be repeated at will, needs no terminal, and leaves servers that run on
# this machine alone. Options go in ARGS:  make run ARGS=--no-demo   make test ARGS="tests/riskcore -k margin"

SHELL := /bin/bash
PYTHON := .venv/bin/python
ARGS ?=
.DEFAULT_GOAL := help
.PHONY: help setup run test bench lint format serve lock pictures proto clean

help: ## Say what there is
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

setup: ## Make .venv with everything for running and developing
	@scripts/setup_venv.sh dev

run: ## Run everything in one process, with a simulated market (needs no server and no root)
	@scripts/setup_venv.sh run
	@exec $(PYTHON) manage.py up $(ARGS)

test: ## Run all tests on private PostgreSQL, Redis and NATS servers, installing what is missing
	@scripts/test.sh $(ARGS)

bench: ## Measure order checks over every door beside a floor, the drain of the journal, the stop and a hostile client
	@scripts/need.sh python3-venv postgresql redis-server nats-server wrk
	@scripts/setup_venv.sh dev
	@exec $(PYTHON) -m bench $(ARGS)

lint: ## Check format, style, types, templates and the floors of the packages
	@scripts/lint.sh

format: ## Put code and templates into the standard form
	@scripts/setup_venv.sh dev
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format .
	@scripts/templates.sh .venv/bin/djlint --quiet --reformat || true # it fails when it has changed something

serve: ## Run the production processes on DATABASE_URL and REDIS_URL (settings: .env or the environment)
	@exec scripts/serve.sh

lock: ## Lock the newest allowed versions, with hashes, into requirements*.txt
	@scripts/lock.sh

pictures: ## Make the pictures of the documentation anew, from a riskportal that is worked with in Chromium
	@scripts/need.sh python3-venv chromium-headless-shell pngquant
	@scripts/setup_venv.sh dev
	@exec $(PYTHON) -m devtools.pictures

proto: ## Make the Python modules of the .proto files
	@scripts/setup_venv.sh dev
	@scripts/proto.sh

clean: ## Remove what these commands made, except your data
	@scripts/clean.sh
