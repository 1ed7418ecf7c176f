# What a person types. Everything that takes more than a line is in scripts/.

VERSION ?= 0.1.0

DESTDIR ?=
PREFIX  ?= /usr
ETC     ?= /etc
PYTHONDIR ?= $(PREFIX)/lib/python3/dist-packages
PARTS   ?= daemon server sugar
BIN     ?= bin

PROGRAMS = xo-backupd xo-backup xs-backupd
GO      ?= go
LDFLAGS  = -s -w -X main.version=$(VERSION)
# GO386: an XO-1 has no SSE2; GOARM: what an XO-1.75 has. Other machines ask for neither.
BUILD    = CGO_ENABLED=0 GO386=softfloat GOARM=7 $(GO) build -trimpath -ldflags "$(LDFLAGS)"

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build setup test test-all bench screenshots lint install cross demo rpm deb clean help

build: ## the three programs, static, in bin/
	$(BUILD) -o $(BIN)/ $(PROGRAMS:%=./cmd/%)

setup: ## the Debian packages and Go modules that the tests, the demo and the benchmark need
	scripts/setup.sh
	$(GO) mod download

# go test goes last, so that its closing lines are the last that one sees. -count=1: many tests run the programs, and
# go's cache does not know that they depend on them.
test: setup ## all tests but the longest and most of Sugar's shell's, with the race detector, within ten minutes
	$(GO) vet ./...
	$(GO) test -race -short -count=1 -timeout 10m ./...

test-all: setup ## the packages on a Debian of their own, the tests in another order each time, each fuzz target for a while
	$(GO) vet ./...
	XO_CLEAN_ROOT=1 $(GO) test -count=1 -timeout 20m -run Debian ./packaging/deb
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

install: build ## PARTS into $(DESTDIR)$(PREFIX) and $(DESTDIR)$(ETC)
	DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" ETC="$(ETC)" PYTHONDIR="$(PYTHONDIR)" BIN="$(BIN)" scripts/install.sh $(PARTS)

cross: ## every machine that Sugar runs on, in dist/, and the proof that they are static
	VERSION="$(VERSION)" GO="$(GO)" scripts/cross.sh

rpm: ## source and binary packages, built offline, in dist/
	VERSION="$(VERSION)" GO="$(GO)" scripts/rpm.sh dist

deb: ## Debian packages in dist/, for the machine that GOARCH names
	VERSION="$(VERSION)" GO="$(GO)" scripts/deb.sh dist

clean: ## what was built
	rm -rf bin dist vendor

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | expand -t 12
