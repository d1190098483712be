# What a maintainer runs. Only Go, Node with npm, Python 3 and (for the race detector) a C compiler are assumed; `tools`
# installs everything else into directories that git ignores.

RACE ?= -race
FUZZTIME ?= 10s
FOR ?= 10m
SEED ?= 0
CLIENTS := test/clients
NODE_MODULES := $(CLIENTS)/node_modules/.package-lock.json
VENV := test/.cache/venv/.installed
# Deno is a binary inside the npm package of the platform.
DENO = $(firstword $(wildcard $(CURDIR)/$(CLIENTS)/node_modules/@deno/*/deno $(CURDIR)/$(CLIENTS)/node_modules/@deno/*/deno.exe))

.PHONY: help build test lint bench faults fuzz generate tools race-compiler
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## bin/millpond
	go build -o bin/ ./cmd/...

test: tools lint race-compiler ## everything: formatting, vet, staticcheck, all tests with the race detector (RACE= without)
	MILLPOND_DENO=$(DENO) go test $(RACE) -timeout 12m $$(go list ./... | grep -v /test/faults)
	MILLPOND_DENO=$(DENO) go test $(RACE) -timeout 12m ./test/faults # alone: what it expects has bounds in time

lint: ## gofmt, go vet, staticcheck, go.mod
	@unformatted=$$(gofmt -s -l .); test -z "$$unformatted" || { echo "run gofmt -s -w on:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff

bench: tools ## the speed on this machine, into bench-results/ (several minutes; leave the machine alone meanwhile)
	MILLPOND_DENO=$(DENO) go run ./test/bench

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

tools: $(NODE_MODULES) $(VENV) ## the clients that the tests run: Deno, npm packages, a Python environment

$(NODE_MODULES): $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	cd $(CLIENTS) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(VENV): $(CLIENTS)/requirements.txt
	rm -rf $(dir $@)
	python3 -m venv $(dir $@)
	$(dir $@)bin/pip install --quiet --disable-pip-version-check -r $(CLIENTS)/requirements.txt
	@touch $@

race-compiler:
	@test -z "$(RACE)" || command -v "$$(go env CC)" >/dev/null || { \
		echo "The race detector needs a C compiler and $$(go env CC) is not there. Install gcc or clang, or run: make test RACE="; exit 1; }
