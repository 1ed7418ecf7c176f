# Completion for xo-backupd, whose flags are those of its help.

_xo_backupd_flags() {
	local flags
	flags=$("$1" --help 2>/dev/null | sed -nE 's/^ +(-[a-z], )?(--[a-z-]+).*/\2/p')
	COMPREPLY=($(compgen -W "$flags" -- "$2"))
}

complete -o default -F _xo_backupd_flags "${BASH_SOURCE[0]##*/}"
