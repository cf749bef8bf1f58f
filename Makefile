# What is typed here. `make` lists it.
#
# All of it builds the whole workspace's selection of packages, and so one set of
# features: RocksDB is then compiled once, whatever was asked for first.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup build demo three-nodes test test-fast soak nemesis powercut revoke-report check deny fix interop loom
.PHONY: simulation sim sim-soak sim-hunt sim-smoke

export CARGO_TARGET_DIR ?= $(CURDIR)/target
# One C++ compiler process takes up to 1.2 GiB: cores, or memory, whichever ends first.
export CARGO_BUILD_JOBS ?= $(shell awk -v cores="$$(nproc)" '/^MemTotal:/ { \
	jobs = int($$2 / 1048576 / 1.2); if (jobs < 1) jobs = 1; print jobs < cores ? jobs : cores }' /proc/meminfo)

CARGO := deploy/cargo-build.sh
BINARIES := --bin chancery --bin demo

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## Check Rust; install a C++ compiler and libclang, or say how
	@deploy/setup.sh

build: setup ## Build the binaries
	@$(CARGO) build --workspace $(BINARIES)

demo: build ## Three nodes: mint, kill the leader under load, mint on, revoke, see it refused
	@"$$CARGO_TARGET_DIR/debug/demo"

three-nodes: build ## Three nodes on loopback to try things with, until Ctrl-C
	@deploy/three-nodes.sh "$$CARGO_TARGET_DIR/debug/chancery"

test: build interop ## Every test: models, real clusters under faults, interop (8 minutes once built)
	@$(CARGO) test --workspace
	@$(MAKE) --no-print-directory loom
	@$(MAKE) --no-print-directory sim-smoke

test-fast: setup ## The rooms' own tests and the arrows (2 minutes)
	@$(CARGO) test --workspace --lib --bins
	@$(CARGO) test --workspace --test arrows

soak: setup ## Three nodes for an hour under everything at once, then under abuse (CONTRIBUTING.md)
	@$(CARGO) build --workspace --bin chancery --bin soak
	@CHANCERY_SOAK_OUT="$${CHANCERY_SOAK_OUT:-$$CARGO_TARGET_DIR/soak}" "$$CARGO_TARGET_DIR/debug/soak"

nemesis: setup ## ROUNDS=100 rounds of faults on real processes, judged; FROM= goes on (CONTRIBUTING.md)
	@$(CARGO) build --workspace --bin chancery --bin nemesis
	@CHANCERY_NEMESIS_OUT="$${CHANCERY_NEMESIS_OUT:-$$CARGO_TARGET_DIR/nemesis}" \
		ROUNDS="$(or $(ROUNDS),100)" FROM="$(or $(FROM),0)" "$$CARGO_TARGET_DIR/debug/nemesis"

powercut: setup ## ROUNDS=100 cuts of the power of real processes; FROM= goes on
	@$(CARGO) build --workspace --bin chancery --bin powercut
	@CHANCERY_POWERCUT_OUT="$${CHANCERY_POWERCUT_OUT:-$$CARGO_TARGET_DIR/powercut}" \
		ROUNDS="$(or $(ROUNDS),100)" FROM="$(or $(FROM),0)" "$$CARGO_TARGET_DIR/debug/powercut"

revoke-report: setup ## Measure and plot how long a revoked token is still accepted: docs/revocation-report.md
	@$(CARGO) build --workspace --bin chancery --bin revoke-report
	@"$$CARGO_TARGET_DIR/debug/revoke-report" --docs docs

interop: ## Install grpcurl and grpcio beside the build, for the tests
	@tests/interop/tools.sh "$$CARGO_TARGET_DIR/interop"

loom: ## The order of publication, under every interleaving
	@CARGO_TARGET_DIR="$$CARGO_TARGET_DIR/loom" RUSTFLAGS="--cfg loom" \
		cargo test -p chancery-revocation --test publication_loom

# A build of its own, without RocksDB: docs/simulation.md.
SIMULATION := CARGO_TARGET_DIR="$$CARGO_TARGET_DIR/simulation" RUSTFLAGS="--cfg simulation --cfg tokio_unstable"
SIMULATOR := "$$CARGO_TARGET_DIR/simulation/simulation/chancery-simulation"
SEED ?= 1
HOURS ?= 1

simulation: setup
	@$(SIMULATION) cargo build --quiet --profile simulation -p chancery-simulation

sim: simulation ## Replay one simulated cluster: SEED=…, ARGS="--trace --mutation …"
	@$(SIMULATOR) run --seed $(SEED) $(ARGS)

sim-soak: simulation ## Simulate clusters under faults on all cores: HOURS=…
	@$(SIMULATOR) soak --hours $(HOURS) $(ARGS)

sim-hunt: simulation ## Let simulated clusters make each known mistake until it is noticed: ARGS=names
	@$(SIMULATOR) hunt $(ARGS)

sim-smoke: simulation
	@$(SIMULATOR) same --seconds 6 1 2 3
	@$(SIMULATOR) soak --seeds 8 --seconds 15 --hours 0.01

check: setup ## Format, lints, arrows, documentation; changes nothing
	@cargo fmt --all --check
	@$(CARGO) clippy --workspace --all-targets -- -D warnings
	@$(CARGO) test --workspace --test arrows
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

deny: ## Licences, sources, bans and advisories of what is in the tree (needs cargo-deny and the network)
	@cargo deny --version >/dev/null 2>&1 || { echo "cargo install --locked cargo-deny" >&2; exit 1; }
	@cargo deny check

fix: ## Format, and apply what the lints suggest
	@cargo fmt --all
	@$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	@cargo fmt --all
