# What a maintainer runs. Only Go, Node with npm, Python 3 and (for the race detector) a C compiler are assumed; `tools`
# installs everything else into directories that git ignores, and, as root on Debian, the packages of a container engine
# (not with ENGINE=). Directories that are links to those of another checkout are unlinked, never emptied.

RACE ?= -race
ENGINE ?= engine
FUZZTIME ?= 10s
FOR ?= 10m
SEED ?= 0
PACKAGES := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1))) # whose tests run at once: they wait for most of their time
CLIENTS := test/clients
NODE_MODULES := $(CLIENTS)/node_modules/.package-lock.json
VENV := test/.cache/venv/.installed
# Deno is a binary inside the npm package of the platform.
DENO = $(firstword $(wildcard $(CURDIR)/$(CLIENTS)/node_modules/@deno/*/deno $(CURDIR)/$(CLIENTS)/node_modules/@deno/*/deno.exe))

.PHONY: help build man test lint bench faults fuzz generate tools engine race-compiler
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## bin/millpond
	go build -o bin/ ./cmd/...

man: ## the man pages of millpond, into bin/man
	go run ./cmd/millpond man bin/man

test: tools lint race-compiler ## everything: formatting, vet, staticcheck, all tests with the race detector (RACE= without)
	MILLPOND_DENO=$(DENO) go test -vet=off $(RACE) -timeout 20m -p $(PACKAGES) ./test $$(go list ./... | grep -v -e /test$$ -e /test/faults) # the longest first
	MILLPOND_DENO=$(DENO) go test -vet=off $(RACE) -timeout 15m ./test/faults # alone: what it expects has bounds in time
	go test -vet=off ./test/sim -run TestSim -seeds 1000

lint: ## gofmt, go vet, staticcheck, go.mod
	@unformatted=$$(gofmt -s -l .); test -z "$$unformatted" || { echo "run gofmt -s -w on:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff

bench: tools ## the speed on this machine, into bench-results/ (several minutes; leave the machine alone meanwhile); ONLY=cluster, ONLY=queue …
	MILLPOND_DENO=$(DENO) go run ./test/bench -only "$(ONLY)"

faults: tools ## hit clusters of real processes at random, for FOR (10m), chosen by SEED; needs root on Linux
	MILLPOND_DENO=$(DENO) CI=true go test ./test/faults -run '^TestRandom$$' -count 1 -timeout 0 -v -for $(FOR) -seed $(SEED)

fuzz: ## each fuzz target for FUZZTIME (10s)
	@go list ./... | while read -r package; do \
		for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package" || exit 1; \
		done; \
	done

generate: ## the protobuf code (needs protoc: Debian's protobuf-compiler)
	go generate ./...

tools: $(NODE_MODULES) $(VENV) $(ENGINE) ## what the tests run: Deno, npm packages, a Python environment, a container engine

$(NODE_MODULES): $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	@test ! -L $(CLIENTS)/node_modules || rm $(CLIENTS)/node_modules
	cd $(CLIENTS) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(VENV): $(CLIENTS)/requirements.txt
	rm -rf $(@D)
	python3 -m venv $(dir $@)
	$(dir $@)bin/pip install --quiet --disable-pip-version-check -r $(CLIENTS)/requirements.txt
	@touch $@

engine:
	@test/install-engine.sh

race-compiler:
	@test -z "$(RACE)" || command -v "$$(go env CC)" >/dev/null || { \
		echo "The race detector needs a C compiler and $$(go env CC) is not there. Install gcc or clang, or run: make test RACE="; exit 1; }
