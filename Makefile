# The face for newcomers. Each target does the set-up that it needs; stable Rust
# (https://rustup.rs) is all that has to be there.

EPHOR := target/release/ephor
WASM := wasm32-unknown-unknown
POLICIES := $(sort $(patsubst %/Cargo.toml,%,$(wildcard policies/*/Cargo.toml)))
SAMPLE := tests/data/sample
# Policies in languages that bring their engine along, and where their tools go.
JAVASCRIPT := policies/negative-list/javascript
PYTHON := policies/machine-temperature/python
TOOLS := target/tools
# Fuzz targets, and those that `make fuzz` runs.
FUZZ := $(notdir $(basename $(wildcard tests/fuzz/fuzz_targets/*.rs)))
FUZZED = $(if $(filter all,$(TARGET)),$(FUZZ),$(TARGET))
SECONDS ?= 60
# The full data, where it is present: 702,470 events. The sample otherwise.
EPHOR_DATA ?= ../shared/data
# Paths below are relative to this folder, and so is the target folder.
export CARGO_TARGET_DIR := $(CURDIR)/target

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test suites bench simulation soak fuzz bench-update plots peers yardstick check languages schemathesis table setup binary policies guests components guests-components languages-components browser-tools

help: ## Shows this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: policies ## Serves the policies, streams real events, swaps one in mid-stream, counts, checks the ledger
	@columbus=$(SAMPLE)/columbus.ndjson.gz; retail=$(SAMPLE)/retail.ndjson.gz; \
	if [ ! -f "$(EPHOR_DATA)/columbus/to_cloudevents.py" ] || [ ! -f "$(EPHOR_DATA)/retail/to_cloudevents.py" ]; then \
	  echo "Streaming the sample in $(SAMPLE); the full data is not in $(EPHOR_DATA)."; \
	elif ! command -v python3 > /dev/null; then \
	  echo "Streaming the sample in $(SAMPLE): the full data is in $(EPHOR_DATA), but converting it takes python3."; \
	else \
	  $(MAKE) --no-print-directory target/data/columbus.ndjson target/data/retail.ndjson || exit; \
	  columbus=target/data/columbus.ndjson; retail=target/data/retail.ndjson; \
	fi; \
	exec $(EPHOR) demo --policies target/policies --events $$columbus $$retail

# One profile for all: the tests run the released binary, and wasmtime, which
# takes the most time, is built once for binary, tests and benchmarks.
test: setup ## Builds everything and runs all tests
	cargo build --release --workspace --lib --bins --tests --examples --locked
	@$(MAKE) --no-print-directory components guests-components languages-components schemathesis browser-tools
	cargo test --release --workspace --locked

# What the suites are and where they come from stands in tests/it/suites/.
suites: policies guests ## Runs the tests that need suites from outside, which are in the folder DIR
	@[ -d "$(DIR)" ] || { echo "make suites DIR=FOLDER: the folder that has the suites; tests/it/suites/ says which." >&2; exit 1; }
	EPHOR_SUITES="$(abspath $(DIR))" cargo test --release --workspace --test it --locked -- --ignored --nocapture suites::

# Our own crates are built once more for it, beside everything else; tests/fuzz/rustc says how.
# The tests of tests/it/fuzz.rs run the same targets without libFuzzer.
fuzz: setup ## Runs the fuzz target TARGET for so many SECONDS (all of them: TARGET=all); tests/it/fuzz.rs says more
	@case " all $(FUZZ) " in *" $(TARGET) "*) ;; *) echo "make fuzz TARGET=NAME SECONDS=600, where NAME is one of: all $(FUZZ)" >&2; exit 1;; esac
	@command -v c++ > /dev/null || { echo "No C++ compiler (c++), which libFuzzer is built with. On Debian and Ubuntu: apt-get install g++" >&2; exit 1; }
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/tests/fuzz/rustc cargo build --release --workspace --locked \
	  --features ephor-fuzz/libfuzzer $(FUZZED:%=--bin fuzz-%)
	@set -e; for target in $(FUZZED); do \
	  mkdir -p target/fuzz/corpus/$$target target/fuzz/artifacts/$$target; \
	  echo "$$target, for $(SECONDS) s"; \
	  target/release/fuzz-$$target target/fuzz/corpus/$$target tests/fuzz/seeds/$$target $$(ls -d tests/fuzz/regressions/$$target 2> /dev/null) \
	    -max_total_time=$(SECONDS) -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix=target/fuzz/artifacts/$$target/; \
	done

languages: binary languages-components ## Builds the policies in JavaScript and Python; gets their tools

# A test tries the server with it against the document of the HTTP API.
schemathesis: ## Gets what tries the HTTP API against its document
ifeq ($(EPHOR_WITHOUT_SCHEMATHESIS),1)
	@echo "LEFT OUT: trying the HTTP API against its document, because EPHOR_WITHOUT_SCHEMATHESIS is 1"
else
	@$(MAKE) --no-print-directory $(TOOLS)/schemathesis/built
endif

# Nothing else should run beside it. EPHOR_BENCH_ROUNDS, _SECONDS and _ONLY make it
# shorter; tests/benches/ladder/main.rs says how.
bench: policies guests peers yardstick ## Measures, and holds it against the goals; target/BENCH.md and target/bench.json have it
	cargo bench --workspace --bench ladder --locked

# The same runs that a test makes 200 of; a seed that fails is printed, and SEED repeats it.
SEEDS ?= 10000
SEED ?= 1
simulation: setup ## Makes SEEDS runs of the whole spine on a disk that fails; the first is SEED
	EPHOR_SEEDS="$(SEEDS)" EPHOR_SEED="$(SEED)" cargo test --release --workspace --lib --locked -- --nocapture simulation::

SECONDS ?= 60
soak: policies guests ## Serves under full load with a swap each second for SECONDS, and looks whether anything grows
	EPHOR_SOAK_SECONDS="$(SECONDS)" cargo bench --workspace --bench soak --locked

# What was written by hand into BENCH.md is in target/BENCH.md already.
bench-update: ## Takes what `make bench` measured over into BENCH.md
	@[ -f target/BENCH.md ] || { echo "There is no target/BENCH.md: make bench first." >&2; exit 1; }
	cp target/BENCH.md BENCH.md

plots: policies guests ## Plots cost against policies, batches, keys and the log's length, into target/plots
	EPHOR_BENCH_ONLY=plots cargo bench --workspace --bench ladder --locked

# Other engines, in a workspace of their own, so that `make test` builds none of them.
peers: setup
	CARGO_TARGET_DIR=$(CURDIR)/target/peers cargo build --release --locked --manifest-path tests/peers/Cargo.toml
	CARGO_TARGET_DIR=$(CURDIR)/target/peers cargo build --release --locked --manifest-path tests/peers/plugin/Cargo.toml --target $(WASM)

yardstick: setup
	cargo build --profile bench --workspace --example yardstick --locked

check: setup ## Formatting, lints, documentation, licences
	cargo fmt --all --check
	cargo fmt --manifest-path tests/peers/Cargo.toml --all --check
	cargo clippy --release --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --locked
	@if cargo deny --version > /dev/null 2>&1; then \
	  echo "cargo deny check licenses bans sources"; \
	  cargo deny --locked check licenses bans sources; \
	else \
	  echo "LEFT OUT: licences, bans and sources were NOT checked. For that: cargo install --locked cargo-deny"; \
	fi

# A test says when it has to be made again. Which compiler made it stands beside it.
table: binary ## Makes the module that files of rules become again, after a change to it or the SDK
	$(EPHOR) policy build sdk/table/guest --out target/table
	cp target/policy/$(WASM)/release/ephor_table_guest.wasm sdk/table/guest.wasm
	rustc -vV | awk -F ': ' '{ v[$$1] = $$2 } END { printf "{ \"release\": \"%s\", \"commit\": \"%s\", \"host\": \"%s\" }\n", v["release"], v["commit-hash"], v["host"] }' > sdk/table/guest.json

# Asked of rustc before rustup, so that a Rust without rustup that has the target
# will do.
setup:
	@command -v cargo > /dev/null || { echo "Rust is missing. Install it from https://rustup.rs, then run make again." >&2; exit 1; }
	@if [ ! -d "$$(rustc --print target-libdir --target $(WASM) 2> /dev/null)" ]; then \
	  command -v rustup > /dev/null || { echo "This Rust cannot compile for $(WASM), and there is no rustup to add it. Install Rust from https://rustup.rs, or the package of your system that has this target." >&2; exit 1; }; \
	  rustup target add $(WASM); \
	fi
	@command -v cc > /dev/null || { echo "No C compiler (cc), which Rust links with. On Debian and Ubuntu: apt-get install build-essential" >&2; exit 1; }

# Of the whole workspace, not `-p ephor`: libraries get the features that any of its
# members asks for, so that the tests find them built, and the other way round.
binary: setup
	cargo build --release --workspace --bin ephor --locked

policies: binary components

guests: binary guests-components

# With the binary that is there.
components:
	$(EPHOR) policy build $(POLICIES) --out target/policies
	$(EPHOR) list build policies/sanctioned-party/sanctions.csv --name sanctions --version 2024-05-03.twelve --key ent_num --value name --out target/policies/lists/sanctions.list
	$(EPHOR) list build policies/licence-register/register.csv --name licences --version 2025-12-31.synthetic --key merchant --value licences --out target/policies/lists/licences.list

guests-components:
	$(EPHOR) policy build tests/guests --out target/guests -- --examples

# Their tools come from the registries of their languages, at the versions and digests
# that stand beside the policies. The components are not the same bytes in every build,
# so what is there is kept while nothing of it changes.
languages-components:
ifeq ($(EPHOR_WITHOUT_LANGUAGES),1)
	@echo "LEFT OUT: the policies in JavaScript and Python, because EPHOR_WITHOUT_LANGUAGES is 1"
else
	@$(MAKE) --no-print-directory target/languages/built
endif

target/languages/built: $(TOOLS)/javascript/built $(TOOLS)/python/built $(wildcard $(JAVASCRIPT)/*.js $(PYTHON)/*.py tests/guests/javascript/*.js) sdk/javascript/ephor.js sdk/python/ephor.py $(wildcard wit/*.wit)
	PATH="$(CURDIR)/$(TOOLS)/javascript/node_modules/.bin:$(CURDIR)/$(TOOLS)/python/bin:$$PATH" \
	  $(EPHOR) policy build $(JAVASCRIPT) $(PYTHON) tests/guests/javascript --out target/languages
	@touch $@

$(TOOLS)/javascript/built: $(JAVASCRIPT)/package.json $(JAVASCRIPT)/package-lock.json
	@command -v npm > /dev/null || { echo "npm is missing, which gets what makes components of JavaScript. Install Node.js 20.19 or later (https://nodejs.org), or do without: EPHOR_WITHOUT_LANGUAGES=1" >&2; exit 1; }
	@node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' || { echo "This Node.js is too old to make components of JavaScript; 20.19 or later will do (https://nodejs.org). Or do without: EPHOR_WITHOUT_LANGUAGES=1" >&2; exit 1; }
	@mkdir -p $(@D)
	@cp $(JAVASCRIPT)/package.json $(JAVASCRIPT)/package-lock.json $(@D)/
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund
	@touch $@

$(TOOLS)/python/built: $(PYTHON)/requirements.txt
	@python3 -c 'import ensurepip, venv' 2> /dev/null || { echo "python3 with venv is missing, which gets what makes components of Python. On Debian and Ubuntu: apt-get install python3-venv. Or do without: EPHOR_WITHOUT_LANGUAGES=1" >&2; exit 1; }
	@mkdir -p $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(PYTHON)/requirements.txt
	@touch $@

$(TOOLS)/schemathesis/built: tests/schemathesis/requirements.txt
	@python3 -c 'import ensurepip, venv' 2> /dev/null || { echo "python3 with venv is missing, which gets what tries the HTTP API. On Debian and Ubuntu: apt-get install python3-venv. Or do without: EPHOR_WITHOUT_SCHEMATHESIS=1" >&2; exit 1; }
	@mkdir -p $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/schemathesis/requirements.txt
	@touch $@

# What the tests of the page audit it with.
browser-tools:
ifeq ($(EPHOR_WITHOUT_BROWSER),1)
	@echo "LEFT OUT: the tests of the page in a browser, because EPHOR_WITHOUT_BROWSER is 1"
else
	@$(MAKE) --no-print-directory $(TOOLS)/axe/built
endif

$(TOOLS)/axe/built: tests/axe/package.json tests/axe/package-lock.json
	@command -v npm > /dev/null || { echo "npm is missing, which gets what the page is audited with. Install Node.js 20.19 or later (https://nodejs.org), or do without: EPHOR_WITHOUT_BROWSER=1" >&2; exit 1; }
	@mkdir -p $(@D)
	@cp tests/axe/package.json tests/axe/package-lock.json $(@D)/
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund
	@touch $@

# Converted once; delete target/data to do it again.
target/data/%.ndjson:
	@mkdir -p $(@D)
	@echo "Converting $(EPHOR_DATA)/$* …"
	@python3 -B $(EPHOR_DATA)/$*/to_cloudevents.py --out $@.part
	@mv $@.part $@
