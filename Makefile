# make demo    set everything up and run the main job      make up     start the platform
# make test    set everything up and run the tests         make lint   style, types, import rules
# make demo-research   set everything up and answer questions from twenty documents, with citations
# make demo-objects   a durable object: made, called, hibernates, wakes, updated by a canary, fails, goes back
# make test-cluster   set everything up and run the tests on a real Kubernetes of one node (root; not part of the others or of
#              .ci/run: building Kubernetes takes ten to thirty minutes the first time)
# make test-images    build the images and run them in containers (root; not part of the others either)
# make fresh   the demo and the tests in a clean clone on a bare Debian 12 (as root); COMMAND=... runs something else
# make bench   measure, print ratios, write bench-results.json
# make bench-retrieval   find files and functions on the localisation set, beside whole-file BM25
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup setup-dev services demo demo-research demo-objects up test test-services test-cluster test-images fresh lint bench \
	bench-retrieval lock clean

help:
	@sed -n 's/^# //p' Makefile

setup:
	@PYTHON=$(PYTHON) deploy/dev/setup.sh runtime

setup-dev:
	@PYTHON=$(PYTHON) deploy/dev/setup.sh dev

services: setup-dev
	@deploy/dev/services.sh

demo: setup
	@$(BIN)/python -m deploy.demo

demo-research: setup
	@$(BIN)/python -m deploy.demo.research

demo-objects: setup
	@$(BIN)/python -m deploy.demo.objects

up: setup
	@$(BIN)/penstock up

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: services lint
	$(BIN)/python -m pytest -m "not services and not cluster and not images" -n 2 --dist loadgroup

test-services: services
	$(BIN)/python -m pytest -m services -n 2 --dist loadfile

test-cluster: setup-dev
	@$(BIN)/python deploy/dev/kubernetes_cluster.py install || [ "$$CI" != true ]
	$(BIN)/python -m pytest -m cluster

test-images: setup-dev
	$(BIN)/python -m pytest -m images tests/images

fresh:
	@deploy/dev/fresh.sh "$(COMMAND)"

bench: services
	$(BIN)/python -m tests.bench

bench-retrieval: setup-dev
	$(BIN)/python -m tests.bench.retrieval

lock:
	$(BIN)/uv pip compile --quiet --python 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
		--no-annotate pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --python 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
		--no-annotate pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .hypothesis
