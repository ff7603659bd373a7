# SPDX-License-Identifier: Apache-2.0
# bash completion of stria and lfs: source it, or copy it to /usr/share/bash-completion/completions/stria.
_stria() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} options
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --list-commands 2>/dev/null) help --help --version --list-commands" -- "$current")
		return
	fi
	case $previous in
	check) mapfile -t COMPREPLY < <(compgen -W 'mgts osts mdts all' -- "$current"); return ;;
	help) mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --list-commands 2>/dev/null)" -- "$current"); return ;;
	-H | --mdt-hash) [ "$verb" != mkdir ] && [ "$verb" != setdirstripe ] || {
		mapfile -t COMPREPLY < <(compgen -W 'all_char fnv_1a_64 crush crush2' -- "$current")
		return
	} ;;
	-u | --output) [ "$verb" != df ] || {
		mapfile -t COMPREPLY < <(compgen -W 'uuid total used avail pcent mount' -- "$current")
		return
	} ;;
	esac
	if [[ $current == -* ]]; then # the verb's own help is the list
		options=$("${COMP_WORDS[0]}" "$verb" --help 2>/dev/null | grep -oE '(^|[ ,])--?[A-Za-z0-9][A-Za-z0-9-]*' | tr -d ' ,')
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
	else
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	fi
}
complete -F _stria stria lfs
