#!/usr/bin/env bash
# Installs what "make build" built, for packagers too: DESTDIR, PREFIX and ETC are the Makefile's.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$PREFIX/bin
share=$PREFIX/share
lib=$PREFIX/lib

place() { # MODE FROM... FOLDER
	local mode=$1 to=$DESTDIR${!#}
	shift
	install -d -m 755 "$to"
	install -m "$mode" -t "$to" "${@:1:$#-1}"
}

# Files that name a program name it where it is installed.
place_naming() { # FROM FOLDER
	place 644 "$1" "$2"
	sed -i "s|/usr/bin/|$bin/|g" "$DESTDIR$2/${1##*/}"
}

place 755 bin/xo-backupd bin/xo-backup bin/xs-backupd "$bin"

place_naming packaging/dbus/org.laptop.Backup.service "$share/dbus-1/services"
place 644 dbus/org.laptop.Backup.xml dbus/org.laptop.Backup.Job.xml "$share/dbus-1/interfaces"
place_naming packaging/systemd/xo-backupd.service "$lib/systemd/user"
place 644 packaging/systemd/xo-backupd-schedule.{timer,service} "$lib/systemd/user"
# Enabled for everybody: nobody has to know of it.
install -d -m 755 "$DESTDIR$lib/systemd/user/timers.target.wants"
ln -sf ../xo-backupd-schedule.timer "$DESTDIR$lib/systemd/user/timers.target.wants/"
place 755 packaging/xinitrc/60-xo-backupd.sh "$ETC/X11/xinit/xinitrc.d"
place_naming packaging/systemd/xs-backupd.service "$lib/systemd/system"
place 644 packaging/sysusers/xs-backupd.conf "$lib/sysusers.d"

for section in 1 5 8; do
	place 644 packaging/man/*."$section" "$share/man/man$section"
done

# Never over what somebody has changed: packages have their own way with these.
for program in xo-backupd xs-backupd; do
	[ -e "$DESTDIR$ETC/$program/config.toml" ] || place 644 "packaging/$program/config.toml" "$ETC/$program"
done
