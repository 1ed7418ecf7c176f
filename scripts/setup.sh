#!/usr/bin/env bash
# Installs what the tests, the demo and the benchmark run against, on Debian 12. Does nothing where nothing is missing.
set -euo pipefail

packages=(
	python3-carquinyol             # Sugar's datastore
	python3-jarabe sugar-session   # Sugar's own registration, and its gsettings schema
	python3-dbusmock               # UPower and NetworkManager, as a laptop has them
	python3-dbus python3-gi dbus dbus-x11 libglib2.0-bin
	sugar-themes sugar-icon-theme telepathy-mission-control-5 metacity   # Sugar's shell, on a screen that nobody sees
	xvfb xauth xdotool x11-apps imagemagick at-spi2-core python3-pyatspi fonts-dejavu-core
	gettext locales                # Sugar's extensions in other languages
	rsync openssh-client openssh-server   # the stock programs that we must get along with, and that we measure ourselves against
	e2fsprogs xfsprogs             # power cuts, and a disk for the benchmark
	strace procps file
	systemd                        # busctl only
	rpm gettext                    # the packages
	man-db appstream mmdebstrap    # what reads them, and a Debian to install them on
	qemu-user                      # the XO's processors
	gcc libc6-dev                  # the race detector's only
)

missing=()
for package in "${packages[@]}"; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || true
	[ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "missing: ${missing[*]}; as root: apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi

# No package may start a service here: the tests start what they need themselves, on ports of their own, and
# nobody who types "make test" asked for an ssh server.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "${missing[@]}"

case " ${missing[*]} " in
*" openssh-server "*) systemctl disable --quiet ssh.service ssh.socket 2>/dev/null || true ;;
esac
