#!/usr/bin/env bash
# Runs each fuzz target of the module for a while: scripts/fuzz.sh [TIME EACH]
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
for package in $($go list ./...); do
	dir=.${package#github.com/sugarlabs/xo-backupd}
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | cut -d' ' -f2); do
		$go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-30s}" "$package"
	done
done
