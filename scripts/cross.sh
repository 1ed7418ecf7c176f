#!/usr/bin/env bash
# Builds every program for every machine, statically, into dist/OS-ARCH/.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}

build() { # NAME VARIABLE=VALUE...
	local out=dist/$1
	shift
	mkdir -p "$out"
	env CGO_ENABLED=0 GOOS=linux "$@" "$go" build -trimpath -ldflags "-s -w -X main.version=${VERSION:-dev}" -o "$out/" \
		./cmd/xo-backupd ./cmd/xo-backup ./cmd/xs-backupd
	for program in "$out"/xo-backupd "$out"/xo-backup "$out"/xs-backupd; do
		kind=$(file -b "$program")
		case $kind in
		*"statically linked"*) ;;
		*)
			echo "$program is not static: $kind" >&2
			exit 1
			;;
		esac
		for setting in CGO_ENABLED=0 "$@"; do
			"$go" version -m "$program" | grep -q "build	$setting\$" || {
				echo "$program was not built with $setting" >&2
				exit 1
			}
		done
		printf '%-32s %6d kB  %s\n' "$program" $(($(stat -c %s "$program") / 1024)) "${kind%%, *BuildID*}"
	done
}

build linux-386 GOARCH=386 GO386=softfloat # XO-1: a Geode LX, no SSE2
build linux-armv7 GOARCH=arm GOARM=7       # XO-1.75, XO-4
build linux-arm64 GOARCH=arm64
build linux-amd64 GOARCH=amd64
