# SPDX-License-Identifier: Apache-2.0

VERSION_PKG := github.com/skep-io/skep/internal/version
GIT         := git -c safe.directory='*'
COMMIT      := $(shell $(GIT) rev-parse --short=12 HEAD 2>/dev/null)$(shell $(GIT) status --porcelain 2>/dev/null | grep -q . && echo .dirty)
# Only a released commit has a tag; otherwise internal/version knows what is being worked on.
VERSION     := $(patsubst v%,%,$(shell $(GIT) describe --tags --exact-match 2>/dev/null))
LDFLAGS     := -s -w -X $(VERSION_PKG).commit=$(COMMIT) $(if $(VERSION),-X $(VERSION_PKG).number=$(VERSION))
# The commit comes from above: the go command's own stamp refuses a checkout that belongs to another user.
GO_BUILD    := CGO_ENABLED=0 go build -trimpath -buildvcs=false
BUF         := go run github.com/bufbuild/buf/cmd/buf@v1.75.0
SUDO        := $(if $(filter-out 0,$(shell id -u)),$(shell command -v sudo))
RUNNER      := bin/skep-test

.DEFAULT_GOAL := help

##@ Use
.PHONY: run build
# ARGS are those of skep up: make run ARGS='--listen 127.0.0.1:8080'
run: build ## Build, start the agent and the page, and show what happens; Ctrl-C stops both (ARGS: of skep up)
	$(SUDO) bin/skep up $(ARGS)

build: ## Build bin/skepd and bin/skep; needs nothing but Go
	$(GO_BUILD) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/skepd ./cmd/skep

.PHONY: install
PREFIX ?= /usr/local
install: ## Copy bin/skepd and bin/skep to PREFIX/bin (default /usr/local); bin/skep install also makes the service
	install -D -t $(PREFIX)/bin bin/skepd bin/skep

.PHONY: dist
# Until there is a tag, the version is what internal/version says.
DIST_VERSION = $(if $(VERSION),$(VERSION),$(shell sed -n 's/^.*number = "\(.*\)"$$/\1/p' internal/version/version.go))
dist: ## Make the release in dist/: tarballs, debs and rpms for amd64 and arm64, SHA256SUMS
	go run ./packaging -o dist -version '$(DIST_VERSION)' -ldflags '$(LDFLAGS)'

##@ Test
.PHONY: test lint check-generated arm64 fuzz bench runner
test: build runner ## Install what the tests need (as root), run everything, and count it
	@$(RUNNER)

lint: runner ## gofmt, go vet, go mod tidy, buf lint, buf breaking
	@$(RUNNER) lint

check-generated: runner ## Check that C objects, abi, api and the page match their sources
	@$(RUNNER) generated

arm64: runner ## Build and vet the Go code for arm64, and compile the C for it
	@$(RUNNER) arm64

fuzz: runner ## Run each fuzz target for FUZZTIME (default 10s)
	@$(RUNNER) fuzz

bench: build ## Measure cost and loss against what skep promises; as root; ARGS="-write docs/performance.md" keeps the figures
	go run ./test/bench $(ARGS)

runner:
	@$(GO_BUILD) -o $(RUNNER) ./test/run

##@ Develop
.PHONY: generate proto-baseline clean help
generate: ## Make the generated files again: needs clang-19, llvm-19, libbpf-dev and Node.js 20.19
	go run ./bpf/gen
	$(BUF) generate
	npm --prefix web ci --no-audit --no-fund
	$(BUF) generate --template buf.gen.web.yaml
	npm --prefix web run build

# The public contract only grows. What was released may not be broken, so the baseline moves forward
# after an additive change, at the latest with a release; this refuses any other change.
proto-baseline: ## Make today's proto files the ones that must not be broken
	$(BUF) breaking --against proto/baseline.binpb
	$(BUF) build --exclude-source-info -o proto/baseline.binpb

clean: ## Remove what was built
	rm -rf bin dist

help: ## Show this
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
