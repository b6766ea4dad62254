#!/usr/bin/env bash
# For scripts that source it: a campaign in parts, over all CPUs. What a part says is in `$work/I/out` and `err`, by its
# place from 0; `$work` is removed at the script's end.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One part; it has ended well, or there is no `$work/I/ended`.
run_part() { # seconds that it may take, program, place, its options in one word
    local seconds=$1 program=$2 place=$work/$3 options
    read -ra options <<<"$4"
    mkdir -p "$place"
    if timeout -k 10 "$seconds" "$program" "${options[@]}" >"$place/out" 2>"$place/err"; then : >"$place/ended"; fi
}

# Whether it has ended well; tells of it if not. A part that nobody began has not.
ended_well() { # place, options
    [ ! -e "$work/$1/ended" ] || return 0
    [ ! -e "$work/$1/err" ] || tail -n 3 "$work/$1/err" >&2
    echo "failed, or never came to its end: $2" >&2
    return 1
}

# All parts, begun from the last one. A victim shares its CPU with who traces it, so each CPU takes parts of its own; two
# at a time, for while one waits for a moment to pass the other goes on. Fails if one of them does.
run_parts() { # seconds that each may take, program, then the options of each in one word
    local seconds=$1 program=$2 parts=("${@:3}") cpus cpu i failed=0
    mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' | awk -F- '{ for (c = $1; c <= $NF; c++) print c }')
    for cpu in "${cpus[@]}" "${cpus[@]}"; do
        (
            taskset -cp "$cpu" "$BASHPID" >/dev/null
            for ((i = ${#parts[@]} - 1; i >= 0; i--)); do
                mkdir "$work/$i" 2>/dev/null || continue # another one has it
                run_part "$seconds" "$program" "$i" "${parts[i]}"
            done
        ) &
    done
    wait || true
    for i in "${!parts[@]}"; do ended_well "$i" "${parts[i]}" || failed=1; done
    return "$failed"
}
