#!/usr/bin/env bash
# Installs parts of what "make build" built, for packagers too: scripts/install.sh daemon server sugar. DESTDIR, PREFIX,
# ETC, PYTHONDIR (Python's folder for packages) and BIN (where the programs were built) are the Makefile's.
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob
umask 022

bin=$PREFIX/bin
share=$PREFIX/share
lib=$PREFIX/lib

daemon() {
	place 755 "$BIN/xo-backupd" "$BIN/xo-backup" "$bin"
	place_naming packaging/dbus/org.laptop.Backup.service "$share/dbus-1/services"
	place 644 dbus/org.laptop.Backup.xml dbus/org.laptop.Backup.Job.xml "$share/dbus-1/interfaces"
	place_naming packaging/systemd/xo-backupd.service "$lib/systemd/user"
	place_schedule
	place 644 packaging/metainfo/org.laptop.Backup.metainfo.xml "$share/metainfo"
	place_pages xo-backup.1 xo-backupd.8 xo-backupd.toml.5
	place_completion xo-backup verbs
	place_completion xo-backupd flags
	place_config xo-backupd
}

server() {
	place 755 "$BIN/xs-backupd" "$bin"
	place_naming packaging/systemd/xs-backupd.service "$lib/systemd/system"
	place 644 packaging/sysusers/xs-backupd.conf "$lib/sysusers.d"
	place_pages xs-backupd.8 xs-backupd.toml.5
	place_completion xs-backupd verbs
	place_config xs-backupd
}

sugar() {
	place_sources sugar/xobackup "$PYTHONDIR/xobackup"
	place_sources sugar/extensions "$share/sugar/extensions"
	for start in sugar/*.pth; do # what Python runs when it starts
		place 644 "$start" "$PYTHONDIR"
	done
	for language in sugar/po/*.po; do
		place_translation "$language" "$PYTHONDIR/xobackup/locale"
	done
}

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

# What asks once an hour. Enabled for everybody: nobody has to know of it.
place_schedule() {
	place 644 packaging/systemd/xo-backupd-schedule.{timer,service} "$lib/systemd/user"
	install -d -m 755 "$DESTDIR$lib/systemd/user/timers.target.wants"
	ln -sf ../xo-backupd-schedule.timer "$DESTDIR$lib/systemd/user/timers.target.wants/"
	place 755 packaging/xinitrc/60-xo-backupd.sh "$ETC/X11/xinit/xinitrc.d"
}

place_pages() { # NAME.SECTION...
	for page; do
		place 644 "packaging/man/$page" "$share/man/man${page##*.}"
	done
}

# bash looks for a program's completion in a file with the program's name.
place_completion() { # PROGRAM KIND
	place 644 "packaging/completion/$2.bash" "$share/bash-completion/completions"
	mv "$DESTDIR$share/bash-completion/completions/$2.bash" "$DESTDIR$share/bash-completion/completions/$1"
}

# Never over what somebody has changed: packages have their own way with these.
place_config() { # PROGRAM
	[ -e "$DESTDIR$ETC/$1/config.toml" ] || place 644 "packaging/$1/config.toml" "$ETC/$1"
}

# Whatever sources and pictures are below a folder, and not what Python has compiled there.
place_sources() { # FROM FOLDER
	install -d -m 755 "$DESTDIR$2"
	find sugar -type f -path "$1/*" \( -name '*.py' -o -name '*.svg' \) | while IFS= read -r file; do
		install -D -m 644 "$file" "$DESTDIR$2/${file#"$1"/}"
	done
}

place_translation() { # FROM FOLDER
	local language=${1##*/}
	local to=$DESTDIR$2/${language%.po}/LC_MESSAGES
	install -d -m 755 "$to"
	msgfmt --check-format -o "$to/xo-backupd.mo" "$1"
	chmod 644 "$to/xo-backupd.mo"
}

for part; do
	case $part in
	daemon | server | sugar) "$part" ;;
	*)
		echo "there is no part $part: daemon, server, sugar" >&2
		exit 2
		;;
	esac
done
