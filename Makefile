# What a person types. Everything that takes more than a line is in scripts/.

VERSION ?= 0.1.0

DESTDIR ?=
PREFIX  ?= /usr
ETC     ?= /etc

PROGRAMS = xo-backupd xo-backup xs-backupd
GO      ?= go
LDFLAGS  = -s -w -X main.version=$(VERSION)
BUILD    = CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)"

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build setup test test-all bench screenshots lint install cross demo rpm clean help

build: ## the three programs, static, in bin/
	$(BUILD) -o bin/ $(PROGRAMS:%=./cmd/%)

setup: ## the Debian packages and Go modules that the tests, the demo and the benchmark need
	scripts/setup.sh
	$(GO) mod download

# go test goes last, so that its closing lines are the last that one sees. -count=1: many tests run the programs, and
# go's cache does not know that they depend on them.
test: setup ## all tests, with the race detector, within ten minutes
	$(GO) vet ./...
	$(GO) test -race -count=1 -timeout 10m ./...

test-all: setup ## the tests again and again, in another order each time, then each fuzz target for a while
	$(GO) vet ./...
	$(GO) test -race -count=3 -shuffle=on -timeout 40m ./...
	GO="$(GO)" scripts/fuzz.sh 30s

bench: setup build ## the table of figures, beside rsync(1), OpenSSH and Sugar's datastore
	$(GO) build -o dist/bench ./test/bench
	@dist/bench --bin bin

demo: setup build ## a Journal backed up, lost and brought back, before your eyes
	@$(GO) build -o dist/demo ./test/demo
	@dist/demo --bin bin

screenshots: setup ## pictures of what a child sees in Sugar, in docs/screenshots
	@mkdir -p docs/screenshots
	SHOTS=$(CURDIR)/docs/screenshots $(GO) test -count=1 ./test/sugar
	mogrify -colors 64 +dither docs/screenshots/*.png

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './vendor/*' -not -path './dist/*')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w is due on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

install: build ## into $(DESTDIR)$(PREFIX) and $(DESTDIR)$(ETC)
	DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" ETC="$(ETC)" scripts/install.sh

cross: ## every machine that Sugar runs on, in dist/, and the proof that they are static
	VERSION="$(VERSION)" GO="$(GO)" scripts/cross.sh

rpm: ## source and binary packages, built offline, in dist/
	VERSION="$(VERSION)" GO="$(GO)" scripts/rpm.sh dist

clean: ## what was built
	rm -rf bin dist vendor

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | expand -t 12
