# Runs steps one after the other, each with its own log, and counts. Sourced by .ci/run.

logs=$(mktemp -d)
trap 'rm -rf "$logs"; [[ -z $behind ]] || kill -- "-$behind" 2>/dev/null || true' EXIT
passed=0
behind=

# step TITLE COMMAND…: a heading, the time it took, and its log's end if it failed.
step() {
    local title=$1 log=$logs/step.log began=$SECONDS tests
    shift
    printf '==> %s  [%s since the start]\n' "$title" "$(clock "$SECONDS")"
    # In a subshell of its own, so that `set -e` holds within it: it does not in the condition of an `if`.
    set +e
    (set -e; "$@") >"$log" 2>&1 </dev/null
    local status=$?
    set -e
    if ((status != 0)); then
        tail -n 120 "$log"
        printf '\n!!! failed: %s (status %d, after %s)\n' "$title" "$status" "$(clock $((SECONDS - began)))"
        printf '%d passed, %d failed\n' "$((passed + $(tests_in "$log" passed)))" "$(at_least_one "$(tests_in "$log" failed)")"
        exit 1
    fi
    tests=$(tests_in "$log" passed)
    passed=$((passed + $(at_least_one "$tests")))
    sed -n 's/^:: //p' "$log"
    printf '    ok, %s%s\n' "$(clock $((SECONDS - began)))" "$( ((tests == 0)) || echo ", $tests tests")"
}

# behind COMMAND…: begins it, with what the next steps leave of the machine; `behind_is_done` is then a step.
behind() {
    printf '==> behind the next steps: %s\n' "$*"
    # A process group of its own, so that all of it ends with a step that fails.
    set -m
    (
        status=0
        nice -n 19 "$@" || status=$?
        echo "$status" >"$logs/behind.status"
    ) >"$logs/behind.log" 2>&1 </dev/null &
    behind=$!
    set +m
}

behind_is_done() {
    while [[ ! -s $logs/behind.status ]]; do sleep 1; done
    cat "$logs/behind.log"
    return "$(<"$logs/behind.status")"
}

finish() {
    printf '\nIn %s:\n%d passed, 0 failed\n' "$(clock "$SECONDS")" "$passed"
}

# tests_in LOG passed|failed: the sum over the summaries of cargo test and of nextest.
tests_in() {
    sed 's/\x1b\[[0-9;]*m//g' "$1" | awk -v what="$2" '
        /^test result:|^ *Summary \[/ {
            for (i = 2; i <= NF; i++) { word = $i; gsub(/[^a-z]/, "", word); if (word == what) sum += $(i - 1) }
        }
        END { print sum + 0 }'
}

at_least_one() { echo "$(($1 > 0 ? $1 : 1))"; }

clock() { printf '%d:%02d' "$(($1 / 60))" "$(($1 % 60))"; }

# Stops a step, with a reason.
fail() {
    printf '%s\n' "$@" >&2
    return 1
}

# A line for the step's summary.
note() { printf ':: %s\n' "    $*"; }
