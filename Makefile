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

# Where `make install` takes them from.
BINARIES ?= $(TARGET)/release

ARCH    := $(shell uname -m)
MUSL    := $(ARCH)-unknown-linux-musl
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
STATIC  := $(TARGET)/$(MUSL)/release

# Network namespaces need root.
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)

CARGO_DENY := 0.20.2
CARGO_FUZZ := 0.13.2

# Where Kubernetes' programs are built, once.
KUBE_BIN ?= $(or $(TWILL_KUBE_BIN),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/twill-kubernetes)

# How long each target of the fuzzer runs.
FUZZ_SECONDS ?= 60

.PHONY: help demo build test check fmt clippy doc deny bench fuzz release static dist deb image install test-deb test-go test-kube test-cluster conformance kubernetes test-image clean

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 18

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
	@if command -v go >/dev/null; then $(MAKE) --no-print-directory test-go; \
	else echo "make test: LEFT OUT for want of Go: libcni's tool, flannel's CNI plugin, Kubernetes. Install Go 1.24 or newer, then make test-go test-kube"; fi
	cargo test --locked --manifest-path fuzz/Cargo.toml --target-dir $(TARGET) --no-default-features
	deploy/test $(dir $(DEBUG))
	deploy/debian/test $(dir $(DEBUG))

test-go: ## Run the tests that need Go alone: libcni's tool, flannel's CNI plugin (as root)
	@scripts/install-deps build lab test cni-go
	cargo build --locked --package twill --package cni
	TWILL_BIN=$(DEBUG) TWILL_CNI_BIN=$(DEBUG)-cni cargo test --locked --package netns-tests --test cni -- --ignored

# Its tests wait for minutes, each for itself.
test-kube: ## Test --store kube, manifests and chart with a real Kubernetes API server (needs Go; as root)
	@scripts/install-deps build lab test
	netns-tests/kubernetes/build $(KUBE_BIN) kube helm
	cargo build --locked --package twill
	deploy/kubernetes/test $(DEBUG) $(KUBE_BIN)
	TWILL_BIN=$(DEBUG) TWILL_KUBE_BIN=$(KUBE_BIN) \
		cargo test --locked --package netns-tests --features kubernetes --test kube -- --test-threads 8

# All that a cluster is made of: once built, kept.
CLUSTER := kube helm pause coredns agnhost e2e images

kubernetes: ## Build Kubernetes' programs, for the tests with it (needs Go)
	@scripts/install-deps cluster
	netns-tests/kubernetes/build $(KUBE_BIN) $(CLUSTER)

# The image has the programs as `make test-image` builds them.
define cluster-test
	@scripts/install-deps build lab test cni-go dist image cluster
	@[ -d "$$(rustc --print sysroot)/lib/rustlib/$(MUSL)" ] || rustup target add $(MUSL)
	netns-tests/kubernetes/build $(KUBE_BIN) $(CLUSTER)
	cargo build --locked --package twill --package cni --target $(MUSL)
	mkdir -p $(TARGET)/image
	for program in twill twill-cni; do strip -o $(TARGET)/image/$$program $(TARGET)/$(MUSL)/debug/$$program; done
	deploy/container/build $(TARGET)/image $(VERSION) $(TARGET)/image
	TWILL_IMAGE=$(TARGET)/image/twill-$(VERSION)-$(ARCH).oci.tar TWILL_KUBE_BIN=$(KUBE_BIN) \
		cargo test --locked --package netns-tests --features kubernetes --test cluster
endef

test-cluster: ## Test a real Kubernetes cluster whose network is Twill (needs Go; as root)
	$(cluster-test)

conformance: ## Run Kubernetes' own network tests over every backend in both families (needs Go; as root)
	$(cluster-test) -- --ignored --nocapture

test-deb: ## Test the installation and the Debian package alone (as root)
	@scripts/install-deps build lab test
	cargo build --locked --package twill --package cni
	deploy/test $(dir $(DEBUG))
	$(SUDO) deploy/debian/test $(dir $(DEBUG))

test-image: ## Test the container image with containerd (as root)
	@scripts/install-deps build lab test dist image
	@[ -d "$$(rustc --print sysroot)/lib/rustlib/$(MUSL)" ] || rustup target add $(MUSL)
	cargo build --locked --package twill --package cni --target $(MUSL)
	$(SUDO) deploy/container/test $(TARGET)/$(MUSL)/debug

check: fmt clippy doc deny ## Check format, lints, documentation and licences

fmt:
	@cargo fmt --version >/dev/null || { echo "make check: rustfmt is missing: rustup component add rustfmt" >&2; exit 1; }
	cargo fmt --all --check

# Apart, so that it need not wait for builds, nor they for it.
clippy doc: export CARGO_TARGET_DIR := $(TARGET)/check

clippy:
	@cargo clippy --version >/dev/null || { echo "make check: clippy is missing: rustup component add clippy" >&2; exit 1; }
	@scripts/install-deps build
	cargo clippy --locked --workspace --all-targets --features netns-tests/kubernetes -- -D warnings

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

# What is shipped must not depend on what happens to be on the other machine.
static:
	@scripts/install-deps build dist
	@[ -d "$$(rustc --print sysroot)/lib/rustlib/$(MUSL)" ] || rustup target add $(MUSL)
	cargo build --locked --release --package twill --package cni --target $(MUSL)
	@for program in twill twill-cni; do \
		! readelf -d $(STATIC)/$$program | grep NEEDED || { echo "make: $$program is not static" >&2; exit 1; }; \
	done

dist: static ## Build the archive of static binaries and all that belongs to them, in dist/
	deploy/archive $(STATIC) $(VERSION) dist
	@ls -l dist

deb: release ## Build the Debian package, in dist/
	@scripts/install-deps deb
	deploy/debian/build $(dir $(RELEASE)) $(VERSION) dist
	@ls -l dist

image: static ## Build the container image as an OCI archive, in dist/
	@scripts/install-deps image
	deploy/container/build $(STATIC) $(VERSION) dist
	@ls -l dist

install: ## Install the release binaries, unit, man pages and completions (PREFIX, DESTDIR)
	@[ -x $(BINARIES)/twill ] || { echo "make install: no $(BINARIES)/twill: run make release first" >&2; exit 1; }
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(BINARIES)/twill $(BINARIES)/twill-cni
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	$(BINARIES)/twill man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
	$(BINARIES)/twill completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/twill
	$(BINARIES)/twill completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_twill
	$(BINARIES)/twill completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/twill.fish
	install -D -m 644 deploy/systemd/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/twill.conf
	install -D -m 644 deploy/systemd/twill.service -t $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed -i 's,/usr/local/bin,$(PREFIX)/bin,' $(DESTDIR)$(PREFIX)/lib/systemd/system/twill.service
	install -D -m 644 deploy/10-twill.conflist deploy/systemd/legacy-iptables.conf -t $(DESTDIR)$(PREFIX)/share/doc/twill

clean: ## Remove what was built
	cargo clean
	rm -rf dist
