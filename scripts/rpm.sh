#!/usr/bin/env bash
# Makes source and binary packages in a folder (scripts/rpm.sh dist). rpmbuild itself never reaches for the network:
# the source tarball holds the vendored modules. RPM_MACROS can name a file with further macros for it.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
version=${VERSION:?}
mkdir -p "$1"
out=$(cd "$1" && pwd)
name=xo-backupd-$version

top=$out/rpmbuild
rm -rf "$top"
mkdir -p "$top"/{SOURCES,SPECS}

# What git knows, as it lies here; a tarball has no git, and holds nothing else.
if git rev-parse --git-dir >/dev/null 2>&1; then
	files=(git ls-files -z --cached --others --exclude-standard --deduplicate)
else
	files=(find . -type f -not -path './bin/*' -not -path './dist/*' -not -path './vendor/*' -print0)
fi
tree=$top/$name
mkdir "$tree"
"${files[@]}" | while IFS= read -r -d '' file; do
	[ ! -f "$file" ] || printf '%s\0' "$file" # not what is deleted but not yet committed
done | tar --null -T - -c | tar -x -C "$tree"
(cd "$tree" && "$go" mod vendor)
tar -c -z --sort=name --owner=0 --group=0 --numeric-owner -f "$top/SOURCES/$name.tar.gz" -C "$top" "$name"
rm -rf "$tree"

sed "s/^Version:.*/Version:        $version/" packaging/rpm/xo-backupd.spec >"$top/SPECS/xo-backupd.spec"

# --nodeps: Debian's rpm has no database of what is installed, and would miss everything.
GO="$go" GOFLAGS="-mod=vendor -buildvcs=false" GOPROXY=off GOTOOLCHAIN=local \
	rpmbuild -ba --nodeps ${RPM_MACROS:+"--load=$RPM_MACROS"} --define "_topdir $top" "$top/SPECS/xo-backupd.spec" >"$top/log" 2>&1 || {
	tail -n 50 "$top/log" >&2
	exit 1
}
mv "$top"/SRPMS/*.rpm "$top"/RPMS/*/*.rpm "$out"
rm -rf "$top"
ls -l "$out"/*.rpm
