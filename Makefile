# Every target installs what it needs (scripts/install-deps) and works in a fresh clone.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PREFIX  ?= /usr/local
DESTDIR ?=

# Debug and release binaries, wherever cargo is told to put them.
TARGET  := $(abspath $(or $(CARGO_TARGET_DIR),target))
DEBUG   := $(TARGET)/debug/twill
RELEASE := $(TARGET)/release/twill

ARCH    := $(shell uname -m)
MUSL    := $(ARCH)-unknown-linux-musl
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
DIST    := dist/twill-$(VERSION)-$(ARCH)-linux

# Network namespaces need root.
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)

CARGO_DENY := 0.20.2
CARGO_FUZZ := 0.13.2

# How long each target of the fuzzer runs.
FUZZ_SECONDS ?= 60

.PHONY: help demo build test check fmt clippy doc deny bench fuzz release dist install clean

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: ## See three nodes' pods reach each other (as root)
	@scripts/install-deps build lab
	cargo build --locked --package twill
	$(SUDO) $(DEBUG) lab --nodes 3 --backend vxlan

build: ## Compile the debug binary
	@scripts/install-deps build
	cargo build --locked --package twill

test: ## Run every test (as root)
	@scripts/install-deps build lab test
	@[ "$$(id -u)" = 0 ] || { echo "make test: the tests make network namespaces: run it as root" >&2; exit 1; }
	cargo build --locked --package twill --package cni
	TWILL_BIN=$(DEBUG) TWILL_CNI_BIN=$(DEBUG)-cni cargo test --locked --workspace
	cargo test --locked --manifest-path fuzz/Cargo.toml --no-default-features

check: fmt clippy doc deny ## Check format, lints, documentation and licences

fmt:
	@cargo fmt --version >/dev/null || { echo "make check: rustfmt is missing: rustup component add rustfmt" >&2; exit 1; }
	cargo fmt --all --check

clippy:
	@cargo clippy --version >/dev/null || { echo "make check: clippy is missing: rustup component add clippy" >&2; exit 1; }
	@scripts/install-deps build
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc:
	@scripts/install-deps build
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

# Licences, bans and sources need no database from the network.
deny:
	@cargo deny --version >/dev/null 2>&1 || { scripts/install-deps build; cargo install --locked --version $(CARGO_DENY) cargo-deny; }
	cargo deny --locked --all-features check licenses bans sources

bench: release ## Run the benchmarks (as root)
	@scripts/install-deps lab test
	TWILL_BIN=$(RELEASE) TWILL_CNI_BIN=$(RELEASE)-cni cargo bench --locked --package netns-tests

# The only thing here that needs a nightly toolchain: the fuzzer's instrumentation is not stable.
fuzz: ## Fuzz every reader of what comes from outside (FUZZ_SECONDS for each)
	@scripts/install-deps build fuzz
	@rustup toolchain list | grep -q ^nightly || rustup toolchain install nightly --profile minimal
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked --version $(CARGO_FUZZ) cargo-fuzz
	for target in $$(cargo +nightly fuzz list); do \
		mkdir -p fuzz/found/$$target; \
		cargo +nightly fuzz run $$target fuzz/found/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS); \
	done

release: ## Compile the release binary
	@scripts/install-deps build
	cargo build --locked --release --package twill --package cni

dist: ## Build the static binary and its checksum in dist/
	@scripts/install-deps build dist
	@[ -d "$$(rustc --print sysroot)/lib/rustlib/$(MUSL)" ] || rustup target add $(MUSL)
	cargo build --locked --release --package twill --target $(MUSL)
	@mkdir -p dist && echo '*' > dist/.gitignore
	install -m 755 $(TARGET)/$(MUSL)/release/twill $(DIST)
	@! readelf -d $(DIST) | grep NEEDED || { echo "make dist: $(DIST) is not static" >&2; exit 1; }
	cd dist && sha256sum $(notdir $(DIST)) > $(notdir $(DIST)).sha256
	@ls -l dist

install: ## Install the release binary, its unit, man pages and completions (PREFIX, DESTDIR)
	@[ -x $(RELEASE) ] || { echo "make install: no $(RELEASE): run make release first" >&2; exit 1; }
	install -D -m 755 $(RELEASE) $(DESTDIR)$(PREFIX)/bin/twill
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	$(RELEASE) man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
	$(RELEASE) completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/twill
	$(RELEASE) completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_twill
	$(RELEASE) completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/twill.fish
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/local/bin,$(PREFIX)/bin,' deploy/systemd/twill.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/twill.service

clean: ## Remove what was built
	cargo clean
	rm -rf dist
