#!/usr/bin/env bash
# What Sugar's extensions say, and its translations: sugar/po.
#
#   scripts/po.sh               takes what is said from the sources into xo-backupd.pot, and every language along
#   scripts/po.sh compile DIR   compiles the languages into DIR/LANGUAGE/LC_MESSAGES/
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
po=${XO_BACKUP_PO:-$root/sugar/po} # elsewhere only for the test that these files are in step with the sources
domain=xo-backupd

compile() {
	for language in "$root"/sugar/po/*.po; do
		dir=$1/$(basename "$language" .po)/LC_MESSAGES
		mkdir -p "$dir"
		msgfmt --check --output-file="$dir/$domain.mo" "$language"
	done
}

extract() {
	cd "$root/sugar"
	# No date: the file is to change only when what is said does.
	find . -name '*.py' | LC_ALL=C sort | sed 's|^\./||' |
		xgettext --files-from=- --language=Python --from-code=UTF-8 --keyword=_ --keyword=ngettext:1,2 --sort-by-file \
			--add-location=file --no-wrap --package-name=$domain --output=- |
		sed '/^"POT-Creation-Date:/d; s/^# SOME DESCRIPTIVE TITLE\./# What xo-backupd says in Sugar./; /^# Copyright (C) YEAR/d; /^# FIRST AUTHOR/d; /^#, fuzzy$/d; s/charset=CHARSET/charset=UTF-8/' >"$po/$domain.pot"
	for language in "$po"/*.po; do
		msgmerge --quiet --update --backup=none --no-fuzzy-matching --sort-by-file --add-location=file --no-wrap \
			"$language" "$po/$domain.pot"
	done
}

case ${1-} in
compile) compile "$2" ;;
'') extract ;;
*)
	sed -n 's/^# \{0,1\}//; 2,5p' "$0" >&2
	exit 2
	;;
esac
