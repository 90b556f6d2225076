# Every habit by name. `make` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run train test test-gpu test-arm test-sanitized tools image pack cluster cluster-test node promtool chromium generate lint fmt quality quality-gpu bench bench-gpu clean

# Python with the packages of some tests and of the benchmark's peers, kept out of the checkout so that
# `make clean` and a new clone do not cost another download.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/segmenter
PYTHON ?= python3

# Cargo builds a dependency with the features that all packages of one command ask for. What the operator
# asks for would have the networks' dependencies built anew, and so would what differentiates them, so the three never
# share a command; `cargo run` shares with the first. What runs on GPUs is in none of them, and built elsewhere.
FUNCTION := --workspace --exclude segmenter-operator --exclude segmenter-cluster --exclude segmenter-training \
    --exclude segmenter-gpu
GPU := --package segmenter-gpu --package segmenter-models --package segmenter --package segmenter-bench \
    --features segmenter/gpu,segmenter-models/gpu,segmenter-bench/gpu
OPERATOR := --package segmenter-operator --package segmenter-cluster
TRAINING := --package segmenter-training
TARGET := $(or $(CARGO_TARGET_DIR),target)
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
BUILT = $(TARGET)/release
STATIC := -C target-feature=+crt-static
IMAGES := $(TARGET)/images
KERNELS := --release --locked --package segmenter-kernels --lib --tests

help: ## List what there is to make
	@sed -nE 's/^([a-z-]+): .*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: ## Serve the default model, or the one that is built in; FLAGS="--model-dir DIR" and the like are passed on
	cargo run --release --locked -- serve $(FLAGS)

# Can be left at any time: the same command goes on.
train: ## Train the detector of notes and boards, for hours; FLAGS="--steps 2000" and the like are passed on
	cargo run --release --locked $(TRAINING) -- train --out $(TARGET)/training $(FLAGS)

# The tests of the function start the binary that the first build leaves in the target directory.
# Without `lint`: a new compiler may know new warnings, and the tests should still tell what works.
# What is tested is linked as what ships is, with the target named so that procedural macros are not, and a cluster
# runs the same binaries: a node needs root and namespaces, but no other build. The tests themselves say what they lack.
# What failed, and why, is said once more at the end.
test: export RUSTFLAGS = $(STATIC)
test: export CARGO_BUILD_TARGET = $(HOST)
test: BUILT = $(TARGET)/$(HOST)/release
test: $(CACHE)/tests/ready promtool chromium node ## Build everything and run every test, counting those that had to be skipped
	cargo build --release --locked $(FUNCTION) --all-targets
	cargo build --release --locked $(OPERATOR) --all-targets
	cargo build --release --locked $(TRAINING) --all-targets
	cargo check --release --locked $(GPU) --target-dir $(TARGET)/gpu
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	export SEGMENTER_PYTHON=$${SEGMENTER_PYTHON-$(CACHE)/tests/bin/python}; \
	export PATH="$$PATH:$(CACHE)/prometheus/usr/bin"; \
	without() { echo "no Kubernetes control plane, going on without" >&2; }; \
	given=$${KUBEBUILDER_ASSETS-}; \
	assets=$${KUBEBUILDER_ASSETS-$$(tests/cluster/tools/build || without)}; \
	export KUBEBUILDER_ASSETS="$$assets"; \
	passed=true; \
	run() { cargo test --release --locked --no-fail-fast "$$@" -- --show-output 2>&1 | tee -a "$$log"; }; \
	run $(FUNCTION) || passed=false; \
	run $(OPERATOR) || passed=false; \
	run $(TRAINING) || passed=false; \
	if [ "$$(id -u)" = 0 ] && unshare --net --mount --pid --mount-proc --fork true \
	    && KUBEBUILDER_ASSETS=$${given:-$$(tests/cluster/tools/build cluster)} \
	    && $(MAKE) --no-print-directory pack BUILT=$(BUILT) BINARIES=$(BUILT); \
	then export SEGMENTER_CLUSTER_IMAGES=$(abspath $(IMAGES)); fi; \
	run $(OPERATOR) --test story || passed=false; \
	echo; \
	awk '/^failures:$$/ { inside = !inside; next } /^---- / { left = 60 } inside && left-- > 0' "$$log"; \
	grep -E '^test .* FAILED$$' "$$log" || true; \
	skipped=$$(grep -o 'skipped: .*' "$$log" | sort -u || true); \
	echo "$$(grep -c . <<< "$$skipped" || true) skipped"; \
	echo "$$skipped"; \
	$$passed

# Where there is no GPU: Debian's mesa-vulkan-drivers, which computes as one does on the processor, slowly.
test-gpu: ## Run the tests of kernels and networks on this machine's first GPU, or on what computes as one
	cargo test --release --locked $(GPU) --target-dir $(TARGET)/gpu --lib --test kernels --test fidelity -- --show-output

# Vector instructions that this machine lacks, in an emulator.
test-arm: ARM := aarch64-unknown-linux-gnu
test-arm: ## Run the tests of the kernels as a 64-bit ARM does
	@complete=true; \
	need() { echo "missing: $$*" >&2; complete=false; }; \
	[[ -d $$(rustc --print target-libdir --target $(ARM)) ]] || need "Rust for it: rustup target add $(ARM)"; \
	command -v aarch64-linux-gnu-gcc > /dev/null || need "a linker: Debian's gcc-aarch64-linux-gnu"; \
	command -v qemu-aarch64 > /dev/null || need "an emulator: Debian's qemu-user"; \
	$$complete
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
	    cargo test $(KERNELS) --target $(ARM) --target-dir $(TARGET)/arm

# Which only a nightly compiler can build in.
test-sanitized: ## Run the tests of the kernels with an eye on every address they touch
	@rustc +nightly --version > /dev/null || { echo "missing: rustup toolchain install nightly" >&2; false; }
	RUSTFLAGS="-Zsanitizer=address --cfg sanitized" cargo +nightly test $(KERNELS) --target $(HOST) --target-dir $(TARGET)/sanitized

# For the tests of the operator; `make test` does it, too. Kept out of the checkout, like Python's packages.
tools: ## Build the Kubernetes control plane that tests start, and say where it is
	@tests/cluster/tools/build

# The same that the Dockerfile builds and lays out.
image: BINARIES = $(TARGET)/$(HOST)/dist
image: ## Pack the images as OCI archives, without Docker; MODEL_DIR=DIR has the default model
	RUSTFLAGS="$(STATIC)" cargo build --locked --profile dist --package segmenter --target $(HOST)
	RUSTFLAGS="$(STATIC)" cargo build --locked --profile dist --package segmenter-operator --target $(HOST)
	cargo build --release --locked $(OPERATOR) --all-targets
	@$(MAKE) --no-print-directory pack BINARIES=$(BINARIES)

# MODEL_DIR is where the default model is, or is downloaded to; BINARIES what the images are to run.
pack: CERTIFICATES = /etc/ssl/certs/ca-certificates.crt
pack: MODEL_DIR ?= $(or $(wildcard ../shared/weights),$(CACHE))
pack: VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
pack:
	rm -rf $(IMAGES) && mkdir -p $(IMAGES)/models
	cp "$$($(BINARIES)/segmenter pull --model-dir "$(MODEL_DIR)")" $(IMAGES)/models
	for stage in function function-lambda; do \
	    name=$${stage/function/segmenter}; \
	    $(BUILT)/image --stage $$stage --name $$name:$(VERSION) --to $(IMAGES)/$$name.tar \
	        --built build:/out/segmenter=$(BINARIES)/segmenter \
	        --built build:$(CERTIFICATES)=$(CERTIFICATES) \
	        --built model:/models=$(IMAGES)/models; \
	done
	$(BUILT)/image --stage operator --name segmenter-operator:$(VERSION) --to $(IMAGES)/segmenter-operator.tar \
	    --built build-operator:/out/segmenter-operator=$(BINARIES)/segmenter-operator

# Both need root, and a kernel that lets it make namespaces.
cluster: node promtool ## Run a whole Kubernetes until Ctrl-C: a node, an ingress, Prometheus, the images if they are packed
	cargo build --release --locked $(OPERATOR) --all-targets
	KUBEBUILDER_ASSETS=$$(tests/cluster/tools/build cluster) PATH="$$PATH:$(CACHE)/prometheus/usr/bin" \
	    $(BUILT)/cluster $(wildcard $(IMAGES)/*.tar)

# SEGMENTER_TEST_KUBECONFIG=FILE takes a cluster that runs already, to which the images are somebody else's to bring.
cluster-test: $(if $(SEGMENTER_TEST_KUBECONFIG),,image node promtool) ## Install, call, scale and roll out on such a cluster
	KUBEBUILDER_ASSETS=$$(tests/cluster/tools/build $(if $(SEGMENTER_TEST_KUBECONFIG),,cluster)) PATH="$$PATH:$(CACHE)/prometheus/usr/bin" \
	    SEGMENTER_CLUSTER_IMAGES=$(abspath $(IMAGES)) \
	    cargo test --release --locked $(OPERATOR) --test story

# What runs containers on a node. Only root may install it, and only root may run it.
node:
	@[ "$$(id -u)" != 0 ] \
	    || { command -v runc && command -v ip && command -v nft && [ -x /usr/lib/cni/bridge ]; } > /dev/null || { \
	    packages="runc containernetworking-plugins iproute2 iptables nftables"; \
	    install() { apt-get install --yes --quiet --no-install-recommends $$packages; }; \
	    { install || { apt-get update --quiet && install; }; } > /dev/null 2>&1; \
	} || echo "cannot install what runs containers, going on without" >&2

# The tests fail where any of it is not current.
generate: ## Make what is made from other things: the CRD, its chart's copy, install.yaml
	cargo build --release --locked $(OPERATOR) --all-targets
	$(BUILT)/segmenter-operator crd > crds/segmenterservices.yaml
	cp crds/segmenterservices.yaml charts/segmenter-crds/files/
	HELM=$$(tests/cluster/tools/build)/helm charts/render > charts/install.yaml

# Prometheus' own test of alerts, out of Debian's package, which is unpacked and not installed: that would
# start a server.
promtool:
	@export PATH="$$PATH:$(CACHE)/prometheus/usr/bin"; \
	command -v promtool > /dev/null || { \
	    folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	    (cd "$$folder" && apt-get download --quiet prometheus \
	        && dpkg-deb --extract prometheus_*.deb "$(CACHE)/prometheus") > /dev/null 2>&1; \
	} || echo "no promtool, going on without" >&2

# The browser that the page is tested in. It needs too many other packages to be unpacked without being installed,
# which only root may.
chromium:
	@command -v chromedriver > /dev/null || { \
	    packages="chromium chromium-driver"; \
	    install() { apt-get install --yes --quiet --no-install-recommends $$packages; }; \
	    [ "$$(id -u)" = 0 ] && { install || { apt-get update --quiet && install; }; } > /dev/null 2>&1; \
	} || echo "no chromedriver, going on without" >&2

lint: ## Check formatting and what clippy and rustdoc know, warnings being errors
	cargo fmt --all --check
	cargo clippy --release --locked $(FUNCTION) --all-targets -- -D warnings
	cargo clippy --release --locked $(OPERATOR) --all-targets -- -D warnings
	cargo clippy --release --locked $(OPERATOR) --test story -- -D warnings
	cargo clippy --release --locked $(TRAINING) --all-targets -- -D warnings
	cargo clippy --release --locked $(GPU) --target-dir $(TARGET)/gpu --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps

fmt: ## Format the code
	cargo fmt --all

quality: ## Measure the default model's answers; fails where they are not good enough
	cargo build --release --locked $(FUNCTION)
	$(BUILT)/quality

quality-gpu: ## The same on this machine's first GPU, in 32 and in 16 bits
	cargo build --release --locked $(GPU) --package segmenter-tests --target-dir $(TARGET)/gpu
	$(TARGET)/gpu/release/quality gpu

# A flag that is given twice counts as it was given last.
bench: $(CACHE)/peers/ready ## Measure segmenter beside its peers; FLAGS="--only deeplab --rounds 5" and the like are passed on
	cargo build --release --locked $(FUNCTION)
	SEGMENTER_PEERS_PYTHON=$${SEGMENTER_PEERS_PYTHON-$(CACHE)/peers/bin/python} \
	    $(BUILT)/segmenter-bench --json $(BUILT)/bench.json --svg $(BUILT)/bench.svg $(FLAGS)

bench-gpu: $(CACHE)/peers/ready ## Measure segmenter beside its peers on this machine's first GPU; FLAGS as for bench
	cargo build --release --locked $(GPU) --target-dir $(TARGET)/gpu
	SEGMENTER_PEERS_PYTHON=$${SEGMENTER_PEERS_PYTHON-$(CACHE)/peers/bin/python} \
	    $(TARGET)/gpu/release/segmenter-bench --device gpu --json $(TARGET)/gpu/release/bench.json \
	    --svg $(TARGET)/gpu/release/bench.svg $(FLAGS)

clean: ## Delete what was built
	cargo clean

# An environment that cannot be made, for want of a network or of Python, costs the tests that need it,
# which say that they were skipped.
$(CACHE)/tests/ready: tests/python/requirements.txt
$(CACHE)/peers/ready: bench/peers/requirements.txt
$(CACHE)/%/ready:
	@if $(PYTHON) -m venv $(@D) && $(@D)/bin/pip install --quiet --requirement $<; \
	then touch $@; else echo "no Python with $<, going on without" >&2; fi
