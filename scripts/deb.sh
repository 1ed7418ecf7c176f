#!/usr/bin/env bash
# Makes the Debian packages in a folder, for the machine that go builds for: GOARCH=386 scripts/deb.sh dist. Made twice
# of the same sources they are the same, byte for byte.
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."
go=${GO:-go}
version=${VERSION:?}
authors='The xo-backupd authors <sugar-devel@lists.sugarlabs.org>'
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d "$out/deb.XXXXXX")
trap 'rm -rf "$work"' EXIT

# When it was changed last: a tarball has no git.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}

goarch=$("$go" env GOARCH)
case $goarch in
386) machine=i386 ;;
arm) machine=armhf ;;
*) machine=$goarch ;;
esac

package() { # NAME ARCHITECTURE PART
	local root=$work/$1
	DESTDIR=$root PREFIX=/usr ETC=/etc PYTHONDIR=/usr/lib/python3/dist-packages BIN=$work/bin scripts/install.sh "$3"
	install -D -m 644 packaging/deb/copyright "$root/usr/share/doc/$1/copyright"
	install -m 644 CHANGELOG.md "$root/usr/share/doc/$1/NEWS"
	changelog "$1" >"$root/usr/share/doc/$1/changelog"
	find "$root/usr/share" -type f \( -path '*/man/*' -o -name NEWS -o -name changelog \) -exec gzip -9n {} +
	describe "$@"
	dpkg-deb --root-owner-group --threads-max=1 --build "$root" "$out/${1}_${version}_$2.deb" >/dev/null
	ls -l "$out/${1}_${version}_$2.deb"
}

changelog() { # NAME
	printf '%s (%s) stable; urgency=medium\n\n  * See NEWS.gz.\n\n -- %s  %s\n' \
		"$1" "$version" "$authors" "$(LC_ALL=C date -R -u -d "@$SOURCE_DATE_EPOCH")"
}

# What dpkg wants to know: DEBIAN/ in the package's root.
describe() { # NAME ARCHITECTURE
	local root=$work/$1 script
	mkdir "$root/DEBIAN"
	for script in preinst postinst prerm postrm; do
		[ ! -e "packaging/deb/$1/$script" ] || install -m 755 "packaging/deb/$1/$script" "$root/DEBIAN"
	done
	(
		cd "$root"
		[ ! -d etc ] || find etc -type f -printf '/%p\n' | sort >DEBIAN/conffiles
		find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums
	)
	{
		sed "s/@VERSION@/$version/" "packaging/deb/$1/control"
		echo "Version: $version"
		echo "Architecture: $2"
		echo "Installed-Size: $(find "$root" -type f -printf '%s\n' | awk '{ kB += int(($1 + 1023) / 1024) } END { print kB }')"
		echo "Maintainer: $authors"
		echo "Homepage: https://github.com/sugarlabs/xo-backupd"
		echo "Priority: optional"
	} >"$root/DEBIAN/control"
}

# What git knows of this folder is no part of the programs.
GOFLAGS="${GOFLAGS:-} -buildvcs=false" make --no-print-directory build BIN="$work/bin" VERSION="$version" GO="$go"

package xo-backupd "$machine" daemon
package xs-backupd "$machine" server
package xo-backupd-sugar all sugar
