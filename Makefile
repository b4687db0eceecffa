# make help lists what there is.
SHELL := bash
# Empty: the profile that params.yaml names, without touching it.
PROFILE ?=
# Where `make s3` serves; the nine ports behind it are the server's too.
S3_PORT ?= 8333
STACK := $(if $(filter a100%,$(PROFILE)),a100,cpu)
INSTALLED := .venv/.installed-$(STACK)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help env repro summary report doctor ui s3 test soak peers lint format lock lock-check clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

env: $(INSTALLED) ## build .venv from the locks, if it is missing or the locks changed

$(INSTALLED): requirements/$(STACK).lock requirements/torch-cpu.lock requirements/install.sh pyproject.toml
	@PYTHON="$(PYTHON)" requirements/install.sh $(STACK)

repro: env ## run the experiment (what changed of it) and print its table; PROFILE=a100 on a GPU
	@OUROBOROS_TABLE_FOLLOWS=1 $(if $(PROFILE),dvc exp run -S profile=$(PROFILE),dvc repro)
	@ouroboros summary

summary: env ## print the last run's table again
	@ouroboros summary

report: env ## write the last run as one HTML page, report.html
	@ouroboros report

doctor: env ## say what this machine can do and what it lacks
	@ouroboros doctor

ui: env ## MLflow's pages on the project's store, http://127.0.0.1:5000
	@mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port 5000

s3: env ## an S3 server on loopback to dvc push to, until Ctrl-C; data in .s3/ (docs/sharing.md)
	@python -m ouroboros.sharing.serve --port $(S3_PORT)

test: env lint ## every test, the sandbox's and one small run of the whole pipeline included
	python -m pytest

soak: env ## long runs: faults, load, fuzzing, 28,000 real programs (an hour; docs/verifier.md)
	python -m pytest -s -o python_files='soak_*.py' tests/soak
	python -m pytest --hypothesis-profile=soak tests/verification/test_fuzz.py

peers: env ## build .peers, the graders that benchmarks/executor.py measures against
	rm -rf .peers && python -m venv .peers
	.peers/bin/python -m pip install -q --no-deps -r benchmarks/peers.txt

lint: env ## ruff and mypy
	ruff check --no-cache .
	ruff format --no-cache --check .
	mypy

format: env ## let ruff rewrite what it can
	ruff check --fix .
	ruff format .

lock: env ## resolve requirements/*.in anew and rewrite the locks (needs uv)
	requirements/lock.sh

lock-check: env ## show that both sets of requirements still resolve, changing nothing (needs uv)
	requirements/lock.sh --check

clean: ## delete outputs, caches and the environment; params, code and dvc.lock stay
	rm -rf .venv .ouroboros .dvc/cache .dvc/tmp mlflow.db* mlartifacts
	rm -rf data/*/*.jsonl data/tables/*.csv models/critic models/phases plots/test plots/transfer plots/training/curve.csv
