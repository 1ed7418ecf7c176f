# Completion for xo-backup and xs-backupd, each of which finds this file under its own name. The program itself says
# what could come next, so that nothing here has to be kept up with it; bash-completion's functions are not needed.

_xo_backup_verbs() {
	local answer line
	answer=$("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:*) ;; # the last line, for the shell: see below
		"$2"*) COMPREPLY+=("${line%%$'\t'*}") ;;
		esac
	done <<<"$answer"
	# Bit 4 says that no file can come here.
	if ((${#COMPREPLY[@]} == 0 && (${answer##*:} & 4) == 0)); then
		compopt -o default 2>/dev/null
	fi
}

complete -F _xo_backup_verbs "${BASH_SOURCE[0]##*/}"
