# A thin front over Meson: everything is built by `meson` and `ninja` into build/.
#
#   make                      builds the program, build/twobit
#   make test                 installs what is missing, builds, runs all tests, once more under sanitizers
#   make demo [MODEL=FILE]    installs what is missing, builds, fetches a model, quantizes and measures it
#   make install PREFIX=DIR   program, library, headers, pkg-config file, manual page (default /usr/local)
#   make deps                 installs what is missing (Debian packages); applications that tests drive: tools/install-apps
#   make test-saas            the official tasks of SaaS-Bench, where they are: all verifiers where nothing was done
#   make check                everything a change must pass: format, include rules, warnings, tests, fuzz corpora
#   make fuzz [FUZZ_SECONDS=N]  runs each fuzz target for N seconds (default 60; needs clang)
#   make clean                removes what was built; models and results in the cache stay
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
DEMO_SENTENCE ?= The old lighthouse keeper opened the door and
DEMO_FLAGS ?=
OWN_MODEL = share/models/stories

.PHONY: all test test-saas demo install deps check fuzz clean
.NOTPARALLEL: # ninja divides the work

all: build/build.ninja
	ninja -C build

build/build.ninja:
	tools/install-deps --check
	meson setup build

deps:
	tools/install-deps

test: deps
	tools/run-tests

test-saas: deps all
	PATH="$(CURDIR)/build:$$PATH" tests/cli/saas-official --all

# The path of the model is the only thing fetch-model writes to its standard output.
demo: deps all
	@model='$(MODEL)'; [ -n "$$model" ] || model=$$(tools/fetch-model smollm2) || { \
	    echo 'make demo: goes on with the small model that comes with twobit' >&2; model=$(OWN_MODEL); }; \
	build/twobit compare "$$model" --speed --generate '$(DEMO_SENTENCE)' $(DEMO_FLAGS)

install: all
	meson configure build -Dprefix='$(abspath $(PREFIX))' -Dlibdir=lib
	ninja -C build
	meson install -C build --no-rebuild $(if $(DESTDIR),--destdir '$(abspath $(DESTDIR))')
	@if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

check:
	tools/install-deps check
	tools/check

fuzz:
	tools/install-deps check
	tools/fuzz $(FUZZ_SECONDS)

clean:
	rm -rf build build-*
