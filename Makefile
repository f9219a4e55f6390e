# `make` trains, exports and verifies the models of export/; `make test` does that and tests.
# Everything is installed into this folder, but for the runtimes' environments, which are in the cache
# folder that `portproof setup` uses. MODEL=name narrows to one model.

PYTHON ?= python3
MODELS := quadratic my_module quadratic_keras
CHOSEN := $(or $(MODEL),$(MODELS))

PACKAGE := src/portproof
RUNNERS := $(PACKAGE)/runtimes
INSTALLED := .venv/installed .venv/runtimes
TRAINED := $(CHOSEN:%=training/%/history.safetensors)

# What decides which environments the runtimes need.
SETUP_CODE := $(wildcard $(RUNNERS)/*.py $(RUNNERS)/environments/*.py $(RUNNERS)/environments/locks/* \
	$(RUNNERS)/environments/locks/*/* $(RUNNERS)/c/*.[ch] $(RUNNERS)/js/unpack_chromium.mjs)

# A real registry, for the tests of publishing to one: Debian's, unpacked, where there is apt.
REGISTRY := $(if $(shell command -v apt-get),.venv/registry/usr/bin/docker-registry)

# Another browser than Chromium, for the tests of devices; and a server of ssh, for those of hosts.
FIREFOX := $(if $(shell command -v apt-get),.venv/firefox/usr/lib/firefox-esr/firefox-esr)
SSHD := $(if $(shell command -v apt-get),.venv/openssh/usr/sbin/sshd)

# Two processes, each with whole files: a file's tests share what they export, and most of them wait
# for one runner or browser, which leaves a core idle.
PYTEST := pytest --numprocesses 2 --dist loadfile

# What is installed comes first on PATH.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: all setup train export plots verify publish test test-slow test-all fuzz faults foreign hostile zoo conformance bench \
	versions lint lock docs links pictures clean
.DEFAULT_GOAL := all

all: verify

setup: $(INSTALLED)
train: $(TRAINED)

# portproof.toml says what the models are, and portproof what of them has changed.
export: $(TRAINED)
	@portproof export $(MODEL)

verify: export
	@portproof verify $(MODEL)

# The plots are drawn with the export, of which they are part.
plots: export
	@for model in $(CHOSEN); do ls artifacts/$$model/plots/*.png 2>/dev/null || true; done

# One process for all models: TensorFlow's start is paid once. (GNU make 3.81, as on a Mac, takes
# `&:` for one more target and makes each file by itself, which is slower and as right.)
$(TRAINED) &: $(INSTALLED) $(wildcard export/*.py)
	python -m export.train $(CHOSEN)

# What is proven, to a folder or a URL: make publish TO=s3://bucket/models [KEY=key.pem]
publish: verify
	@test -n "$(TO)" || { echo "Name a destination: make publish TO=s3://bucket/models"; exit 2; }
	@for model in $(CHOSEN); do \
		portproof publish artifacts/$$model "$(TO)" $(if $(KEY),--sign-key $(KEY)) || exit; done

# Every format and every runtime at least once, in minutes. `make test-all` runs the slow ones too.
test: verify $(REGISTRY) $(FIREFOX) $(SSHD)
	$(PYTEST) -m "not slow"

test-slow: verify $(REGISTRY) $(FIREFOX) $(SSHD)
	$(PYTEST) -m slow

test-all: test test-slow

# Bundles, messages and inputs that hypothesis makes up, thousands of them: half an hour.
fuzz: $(INSTALLED)
	pytest tests/integration/test_fuzzing.py --hypothesis-profile=fuzz

# What is caught, and what is flagged for nothing: a quarter of an hour. `make test-all` runs a part.
faults: $(INSTALLED)
	python -m verify.faults --write

# Files that the raw converters made, of whole and of damaged models: ten minutes.
foreign: $(INSTALLED)
	python -m verify.foreign --write

# Models that nobody here wrote, in every format and runtime: two hours. `make test-all` runs a part.
zoo: $(INSTALLED)
	python -m verify.zoo --write
	python -m verify.zoo --trained --write

# Hostile and broken inputs, five minutes.
hostile: $(INSTALLED)
	python -m verify.hostile --write

# Keras's own layer tests as models, in every runtime on the CPU: three quarters of an hour.
# scipy is what some of those tests import.
conformance: $(INSTALLED)
	uv pip install --quiet --python .venv scipy
	python -m verify.conformance --write

# How long it takes, beside plain scripts that do the same by hand: half an hour. It writes BENCHMARKS.md.
# scipy is what Keras's spectrogram makes its windows of.
bench: verify
	uv pip install --quiet --python .venv scipy
	python -m benchmarks --write

# Many versions of the runtimes, each in an environment of its own: ten minutes, and 15 GB of cache.
versions: $(INSTALLED)
	python -m verify.versions --write

# The documents as a site, in build/site: a link or an anchor that leads nowhere is an error.
docs: .venv/installed
	sphinx-build -W --keep-going -q -c docs -b html . build/site
	@echo "open build/site/README.html"

# The addresses elsewhere too, which takes a network.
links: .venv/installed
	sphinx-build -q -c docs -b linkcheck . build/links

# The pictures in the documents, of what `make` made.
pictures: verify
	python -m tests.helpers.pictures
	python -m tests.helpers.notebooks

lint: .venv/installed
	ruff check
	ruff format --check
	mypy
	lint-imports
	git ls-files -z | xargs -0 codespell
	zizmor --offline --quiet .github examples/github
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml examples/github/*.yml
	check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

# uv, at the version of the lock, unless there is one already.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "This needs Python 3.11 to 3.13: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: requirements.lock pyproject.toml | .venv/bin/python
	@command -v uv >/dev/null || { \
		sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.txt; \
		.venv/bin/python -m pip install --quiet --require-hashes -r .venv/uv.txt; }
	@echo "installing what requirements.lock names into .venv: about a minute"
	@uv pip sync --quiet --python .venv --compile-bytecode requirements.lock
	uv pip install --python .venv --quiet --no-deps --no-build-isolation -e .
	@touch $@

# What a machine lacks for a runtime is said; the runtime is absent then.
.venv/runtimes: .venv/installed $(SETUP_CODE)
	portproof setup
	@touch $@

# Packages of Debian's, unpacked into a folder with what they need and is not here.
unpacked = mkdir -p $(1) && cd $(1) && { apt-get -q update || true; } && \
	apt-get -q download $$(apt-get install -qq -s --reinstall --no-install-recommends $(2) | \
		sed -n 's/^Inst \([^ ]*\) .*/\1/p') && \
	for package in *.deb; do dpkg-deb -x "$$package" . && rm "$$package"; done

.venv/registry/usr/bin/docker-registry: | .venv/installed
	$(call unpacked,.venv/registry,docker-registry)

.venv/firefox/usr/lib/firefox-esr/firefox-esr: | .venv/installed
	$(call unpacked,.venv/firefox,firefox-esr)

.venv/openssh/usr/sbin/sshd: | .venv/installed
	$(call unpacked,.venv/openssh,openssh-server)

# The development environment, and each runtime's own.
lock: .venv/installed
	uv pip compile --quiet --no-header --universal --generate-hashes --upgrade --group dev \
		--extra dask --extra onnx --extra plots --extra publish --extra s3 --extra serve --extra tensorflow pyproject.toml -o requirements.lock
	python -m tests.helpers.locks

clean:
	rm -rf training $(filter-out artifacts/README.md,$(wildcard artifacts/*))
