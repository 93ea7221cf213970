# The targets of asyncmsgr. "make" or "make help" lists them.
# CI (.ci/run) calls the same targets.

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

GOFMT := $(shell go env GOROOT)/bin/gofmt

# The library, its command line msgr, and the comparison, which depends on all that it
# compares with: three modules, from the top, joined by go.work.
MSGR     := ./... ./bench/...
COMPARE  := ./bench/compare/...
PKGS     := $(MSGR) $(COMPARE)
# What needs more than the library does, and is outside of the workspace: modules that who
# imports the library does not inherit.
NESTED   := async/adapters/etcdraft async/adapters/grpc async/adapters/memberlist async/adapters/proof \
            async/adapters/raft async/adapters/raftsim async/resolve/etcd async/resolve/gossip \
            async/compress/codecs async/export/dashboard async/export/otel async/export/prom \
            async/rpc/protocodec async/stream/conformance bench/cluster bench/playground/browser
# Those of them that others import: a release has a tag for each.
IMPORTED := async/adapters/etcdraft async/adapters/memberlist async/adapters/raft async/compress/codecs \
            async/export/otel async/export/prom async/resolve/etcd async/resolve/gossip async/rpc/protocodec
FUZZTIME ?= 10s
COUNT    ?= 1
# More flags for go test, for example: make test ARGS='-v -run Ping'
ARGS     ?=

# A -mod flag is refused in workspace mode, and stamping needs a git that
# trusts the folder: neither may decide whether the tests run.
export GOFLAGS := $(filter-out -mod=% -buildvcs=%,$(shell go env GOFLAGS)) -buildvcs=false
export GOWORK  := $(CURDIR)/go.work

.PHONY: help fmt lint check test cross test32 race interop interop-all sim sim-long explore mutants model fuzz bench bench-full gobench \
        demo cluster playground playground-test pages slowlink adapters nested raft-slowlink cover tidy release ci

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

fmt: ## format all Go files
	$(GOFMT) -w .

check: ## gofmt and go vet, changing nothing
	@out=$$($(GOFMT) -l .); test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	go vet $(PKGS)

lint: check ## make check, then tidiness of the modules and staticcheck (downloads it once)
	GOWORK=off go mod tidy -diff
	cd bench && GOWORK=off go mod tidy -diff
	cd bench/compare && GOWORK=off go mod tidy -diff
	go vet -tags asyncmsgr_gosched ./eventloop/netpollstack
	go run $(STATICCHECK) $(PKGS)

test: check ## make check, then all tests of all modules
	go test -count=$(COUNT) $(ARGS) $(PKGS)

# What the library and msgr are vetted for. The network (netpollstack) is on linux/amd64, arm64 and
# loong64; elsewhere it is an error that says so, and everything else works.
SYSTEMS := linux/amd64 linux/arm64 linux/386 linux/arm linux/riscv64 linux/s390x \
           darwin/arm64 windows/amd64 freebsd/amd64 openbsd/amd64 js/wasm

# What the comparison is vetted for: on other systems it is the same files as on one of
# these, and for each one NATS, grpc and gonum/plot would have to be compiled again.
COMPARE_SYSTEMS := linux/amd64 linux/386 darwin/arm64 windows/amd64

cross: ## go vet, tests included: the library and msgr for ten systems and js/wasm, the comparison for four
	@for s in $(SYSTEMS); do \
		case " $(COMPARE_SYSTEMS) " in *" $$s "*) pkgs="$(PKGS)";; *) pkgs="$(MSGR)";; esac; \
		echo "go vet for $$s"; \
		GOOS=$${s%/*} GOARCH=$${s#*/} CGO_ENABLED=0 go vet $$pkgs || exit 1; \
	done

# The packages that need no network.
PURE := ./async/denc ./async/entity ./async/msg ./connection/... ./dispatch ./eventloop ./eventloop/simnet \
        ./eventloop/netpollstack ./async/asynctest

test32: ## tests where an int has 32 bits: GOARCH=386, or arm under qemu-arm where the kernel runs no 386 programs
	.ci/test32 -short -count=$(COUNT) $(ARGS) $(PURE)

# -short: long searches on one goroutine have nothing for the race detector.
race: ## the tests under the race detector, without the longest searches (needs a C compiler)
	CGO_ENABLED=1 go test -race -short -timeout 20m -count=$(COUNT) $(ARGS) $(PKGS)

nested: ## tidiness, go vet and the tests of the modules outside of the workspace: ARGS='-race -short'
	@for m in $(NESTED); do echo "== $$m"; (cd $$m && export GOWORK=off && go mod tidy -diff && go vet ./... && \
		go test -count=$(COUNT) $(ARGS) ./...) || exit 1; done

# Another Ceph than the one that is installed: the absolute path of a folder that .ci/ceph-rig has made.
ASYNCMSGR_CEPH ?=
interop: export ASYNCMSGR_CEPH := $(ASYNCMSGR_CEPH)
interop: export PATH := $(if $(ASYNCMSGR_CEPH),$(ASYNCMSGR_CEPH)/bin:)$(PATH)
interop: ## the tests against real Ceph daemons; fails where they are not installed
	ASYNCMSGR_INTEROP=require go test -count=$(COUNT) -v $(ARGS) ./async/interop/... ./bench/examples/object
	ASYNCMSGR_INTEROP=require go test -count=$(COUNT) -v $(ARGS) -run 'Ceph|RealMon' ./bench/cmd/msgr
	ASYNCMSGR_INTEROP=require go test -count=$(COUNT) -v $(ARGS) -run Mon ./bench/threadpipe
	ASYNCMSGR_INTEROP=require go test -count=$(COUNT) -v $(ARGS) -run Ceph ./async/admin

# Where interop-all keeps the releases that it fetches, 450 MB each.
CEPHS ?= $(CURDIR)/bin/ceph
interop-all: ## make interop with Ceph 16.2, if it is installed, and 18.2 and 20.2, which are fetched from Debian
	@mkdir -p $(CEPHS)
	@test -x $(CEPHS)/18.2/bin/ceph || { rm -rf $(CEPHS)/18.2; .ci/ceph-rig trixie $(CEPHS)/18.2 18.2; }
	@test -x $(CEPHS)/20.2/bin/ceph || { rm -rf $(CEPHS)/20.2; .ci/ceph-rig sid $(CEPHS)/20.2 20.2; }
	for d in "" $(CEPHS)/18.2 $(CEPHS)/20.2; do make interop ASYNCMSGR_CEPH=$$d || exit 1; done

SWARM ?= 20000
# Which of the planted bugs, by their names: a regular expression.
MUTANTS ?= .

sim: ## the campaign on the simulated network: SWARM seeds (20000), coverage, mutants
	go test -count=1 -timeout 300s ./async/asynctest -run 'TestSwarm' -swarm $(SWARM) -v $(ARGS)
	go test -count=1 -timeout 15m ./async/asynctest/mutants -run 'TestMutants$$' -mutants '$(MUTANTS)' -v $(ARGS)

sim-long: ## for hours: the long searches, then SWARM random seeds: make sim-long SWARM=1000000
	ASYNCMSGR_LONG=1 go test -count=1 -timeout 24h ./async/asynctest ./connection/session ./eventloop/simnet -v $(ARGS)
	go test -count=1 -timeout 24h ./async/asynctest -run 'TestSwarm' -swarm $(SWARM) -swarm-first 0 -v $(ARGS)

N    ?= 200
SEED ?= 1
KEEP ?= bin/mutants.jsonl

# Hours: each is compiled and hunted by the tests of its package, then by those above it. What
# KEEP has already is not tried again; for other ones, another SEED.
mutants: ## N small mistakes by SEED in six packages, killed and survived by package: make mutants N=200
	mkdir -p $(dir $(KEEP))
	go test -count=1 -timeout 24h ./async/asynctest/mutants -run 'TestSeeded$$' -seeded $(N) -seed $(SEED) \
		-results $(abspath $(KEEP)) $(ARGS)

# Two scenes at a time, some two and a half minutes of two cores in all.
explore: ## every order of events of two peers, with up to three faults: a table of what was exhausted
	go test -count=1 -timeout 2h ./connection/session -run 'TestExplore$$' -explore -parallel 2 -v $(ARGS)

model: ## the model of the session in Promela, all orders within bounds (needs spin and gcc): ARGS=live for those named so
	docs/model/run $(ARGS)

fuzz: ## each fuzz target for FUZZTIME (10s): make fuzz FUZZTIME=1m
	.ci/fuzz $(FUZZTIME)

# The binary is built first: the contestants are this binary again, many times.
bench: RESULTS ?= bench/results/latest
bench: ## the comparison with others, in four minutes: bench/results/latest/report.html
	go build -o bin/msgrbench ./bench/compare/cmd/msgrbench
	bin/msgrbench --quick --out $(RESULTS) $(ARGS)

PART ?= small
bench-full: RESULTS ?= bench/results/latest/$(PART)
bench-full: ## every contestant, a part of all scenarios within an hour: PART=small, large, many, open, rest
	go build -o bin/msgrbench ./bench/compare/cmd/msgrbench
	bin/msgrbench --part $(PART) --out $(RESULTS) $(ARGS)

gobench: ## the Go benchmarks of all modules
	go test -run '^$$' -bench . -benchmem $(ARGS) $(PKGS)

# For the first time on a machine: outside of the workspace, where go would read a hundred
# go.mod files of what the comparison needs, and without cgo, which compiles more.
demo: ## a small object store on loopback, its connections cut for 12 s, every promise checked: ARGS=--secure
	cd bench && GOWORK=off CGO_ENABLED=0 go run ./cmd/msgr demo $(ARGS)

# The simulator for browsers, and what loads it, go beside the page, which msgr has in it.
PLAYGROUND := bench/playground/web

playground: ## the playground in bin/msgr: then bin/msgr sim -http :0, and open the link
	GOOS=js GOARCH=wasm CGO_ENABLED=0 go build -trimpath \
		-ldflags="-s -w -X main.version=$$(git describe --always --dirty 2>/dev/null || echo unknown)" \
		-o $(PLAYGROUND)/playground.wasm ./bench/playground/wasm
	install -m 644 "$$(go env GOROOT)/lib/wasm/wasm_exec.js" $(PLAYGROUND)/wasm_exec.js
	go build -o bin/msgr ./bench/cmd/msgr

SITE ?= site
pages: playground ## the playground as a folder of plain files, for any static hosting: SITE=site
	mkdir -p "$(SITE)"
	for f in async/live/look/* $(PLAYGROUND)/*; do case "$$f" in *.go) ;; *) install -m 644 "$$f" "$(SITE)/" || exit 1;; esac; done
	: > "$(SITE)/.nojekyll"
	@echo "$(SITE): $$(du -sk "$(SITE)" | cut -f1) KiB; playground.wasm $$(wc -c < "$(SITE)/playground.wasm") bytes," \
		"$$(gzip -9 -c "$(SITE)/playground.wasm" | wc -c) with gzip"

PICTURES ?= bin/pictures
playground-test: ## the page in headless Chromium (needs it), its pictures in PICTURES (bin/pictures): ARGS='-v -run Tour'
	cd bench/playground/browser && GOWORK=off ASYNCMSGR_CHROMIUM=require go test -count=$(COUNT) -timeout 10m . \
		-screenshots "$(abspath $(PICTURES))" $(ARGS)

# msgrnode is a module of its own, outside of the workspace: it has etcd's client.
cluster: ## the object store on five machines, which are network namespaces, and what breaks them (root): ARGS="--seed 1"
	go build -o bin/msgr ./bench/cmd/msgr
	cd bench/cluster && GOWORK=off go build -o ../../bin/msgrnode ./cmd/msgrnode
	go build -o bin/clustertest ./bench/node/clustertest
	bin/clustertest $(ARGS)

hostile: ## ten thousand hostile connections of each kind, what they cost, and honest handshakes meanwhile: KINDS=...
	go build -o bin/msgr ./bench/cmd/msgr
	bin/msgr hostile $(KINDS) $(ARGS)

# Outside of the workspace: modules of their own, with what they adapt to.
adapters: ## the tests of hashicorp/raft, memberlist, etcd-raft and grpc with our transports in the place of theirs: ARGS='-suite raft'
	cd async/adapters/proof && GOWORK=off go run . $(ARGS)

raft-slowlink: ## what raft's heartbeats wait while a snapshot is installed over 100 Mbit/s, by its transport and ours (root): ARGS=-router
	cd async/adapters/raft && GOWORK=off go run ./slowlink $(ARGS)

slowlink: ## what is urgent beside bulk on a link of 100 Mb/s, in network namespaces: as root, with iproute2; half an hour
	go test ./bench/perf -run '^$$' -bench SlowLink -benchtime 1x -timeout 2h -args -slowlink $(ARGS)

cover: ## coverage of the library by its own tests: coverage.html, and the total
	go test -coverpkg=./... -coverprofile=cover.out $(ARGS) ./...
	go tool cover -html=cover.out -o coverage.html
	go tool cover -func=cover.out | tail -1

tidy: ## tidy all modules
	GOWORK=off go mod tidy
	cd bench && GOWORK=off go mod tidy
	cd bench/compare && GOWORK=off go mod tidy
	for m in $(NESTED); do (cd $$m && GOWORK=off go mod tidy) || exit 1; done

release: ## VERSION=v0.2.0: a commit in which the modules require that of each other, and a tag for each, to be pushed
	@echo "$(VERSION)" | grep -qxE 'v[0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?' || { echo "which one? make release VERSION=v0.2.0"; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "there are changes that are not committed"; exit 1; }
	sed -i -E 's|(github.com/asyncmsgr/asyncmsgr[^ ]*) v[^ ]+|\1 $(VERSION)|' $(IMPORTED:=/go.mod)
	for m in $(IMPORTED); do (cd $$m && GOWORK=off go mod tidy -diff && GOWORK=off go vet ./...) || exit 1; done
	git commit -q -m "Release $(VERSION)" $(IMPORTED:=/go.mod)
	git tag "$(VERSION)"
	for m in $(IMPORTED); do git tag "$$m/$(VERSION)" || exit 1; done
	@echo "git push origin HEAD $$(git tag --points-at HEAD | tr '\n' ' ')"

ci: ## what CI runs, on Debian 12, as root; installs ceph packages
	.ci/run
