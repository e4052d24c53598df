# What each step of .ci/run does, where it is more than one command. Sourced by .ci/run.

# `cargo fmt` would skip modules that are declared inside a macro.
formatted() {
    find . -path ./target -prune -o -name '*.rs' -print0 | xargs -0 rustfmt --check --edition 2024
}

install_tools() {
    command -v cargo || fail "cargo is not here: see https://rustup.rs"
    cargo fmt --version && cargo clippy --version || fail "rustup component add rustfmt clippy"
    local missing=()
    has mosquitto || missing+=(mosquitto)
    has mosquitto_sub || missing+=(mosquitto-clients)
    has sqlite3 || missing+=(sqlite3)
    has cc || missing+=(gcc libc6-dev)
    has systemd-analyze || missing+=(systemd)
    # Tests send signals by it.
    [[ -x /bin/kill ]] || missing+=(procps)
    has unshare && has nsenter || missing+=(util-linux)
    # A network that is cut.
    has ip || missing+=(iproute2)
    # A disk that loses what was not synced.
    has mkfs.ext4 || missing+=(e2fsprogs)
    has losetup || missing+=(mount)
    has perl || missing+=(perl-base)
    ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
}

# Without starting any service: Debian's Mosquitto would sit on port 1883, which the embedded broker needs.
apt_install() {
    ((EUID == 0)) || fail "these packages are missing, and only root can install them: $*"
    local policy=/usr/sbin/policy-rc.d own=
    if [[ ! -e $policy ]]; then
        own=1
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    local status=0
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -qy --no-install-recommends "$@"; } || status=$?
    [[ -z $own ]] || rm -f "$policy"
    return "$status"
}

# Debian keeps mosquitto in /usr/sbin, which is not on everyone's path.
has() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

# They come from the same build as cargo test. Those that build the program again and again, or need an emulated Pi, have steps of
# their own.
ignored_tests() {
    export PATH=$PATH:/usr/sbin
    cargo test --locked --lib --bins --tests -- --ignored --skip mutant --skip written --skip emulated_pi
}

# Those that `cargo test` has not played.
many_schedules() {
    HOMEOSTAT_SCHEDULES=201..2000 cargo test --locked --test schedules
}

# Each is built and played in a copy of the tree.
mutants() {
    local log said
    log=$(mktemp)
    if ! cargo test --locked --test mutants -- --ignored --nocapture >"$log" 2>&1; then
        cat "$log"
        fail "a mistake was not caught by the schedules, or they fail without one"
    fi
    cat "$log"
    grep ': caught: ' "$log" | while IFS= read -r said; do note "$said"; done
    rm -f "$log"
}

systemd_unit() {
    local folder unit score
    folder=$(mktemp -d)
    unit=$folder/homeostat.service
    # systemd-analyze wants the program to be there, and in CI it is not in /usr/bin.
    sed -E "s#^(ExecStart|ExecReload|ExecStopPost)=/usr/bin/homeostat #\\1=$PWD/target/debug/homeostat #" \
        deploy/systemd/homeostat.service >"$unit"
    local exec
    for exec in ExecStart ExecReload ExecStopPost; do
        grep -q "^$exec=$PWD/" "$unit" || fail "the unit's $exec is not what this check expects"
    done
    # `verify` warns about unknown keys with status 0, so silence is what counts.
    local said
    said=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no --recursive-errors=no "$unit" 2>&1) || fail "$said"
    [[ -z $said ]] || fail "systemd-analyze verify has complaints:" "$said"
    systemd-analyze security --offline=true --no-pager --threshold=20 "$unit" || fail "exposure is above 2.0"
    score=$(systemd-analyze security --offline=true --no-pager "$unit" | sed -n 's/.*exposure level.*: \([0-9.]*\).*/\1/p')
    note "exposure $score of 10"

    mkdir -p "$folder"/root/{etc/homeostat,run}
    systemd-sysusers --root="$folder/root" "$PWD/deploy/systemd/sysusers.conf"
    systemd-tmpfiles --root="$folder/root" --create "$PWD/deploy/systemd/tmpfiles.conf"
    local group
    for group in $(sed -n 's/^SupplementaryGroups=//p' "$unit") homeostat; do
        grep -q "^$group:" "$folder/root/etc/group" || fail "sysusers.conf does not make the group $group"
    done
    rm -rf "$folder"
}

first_command() {
    # Cargo looks for its configuration where it is called, not where the project is.
    ten_seconds cargo run --locked --release --config "$PWD/.cargo/config.toml" --manifest-path "$PWD/Cargo.toml" --
}

# Ten seconds of the simulated greenhouse: a subscriber must hear it, Ctrl-C must end it well, the database must have it. They begin when
# its broker answers, for which an emulated one on a busy machine takes long. In a shell of its own, as it goes to another folder.
ten_seconds() (
    local folder status=0
    folder=$(mktemp -d)
    cp config.example.toml "$folder"
    ! port_1883_answers || fail "port 1883 is taken, and the example's embedded broker needs it: stop what listens there"

    cd "$folder"
    # A process group of its own, all of which hears the Ctrl-C.
    timeout --preserve-status -k 30 -s INT 150 "$@" run config.example.toml >daemon.log 2>&1 &
    local daemon=$!
    trap "kill -TERM $daemon" EXIT
    listen "$daemon" >messages || true
    sleep 5
    kill -INT "$daemon" || true
    wait "$daemon" || status=$?
    trap - EXIT
    cat daemon.log
    printf -- '--- heard:\n%s\n' "$(head -n 40 messages)"

    ((status == 0)) || fail "it ended with status $status instead of 0"
    local celsius
    celsius=$(sed -nE 's#^homeostat/[^/]+/air/temperature .*"value": ?(-?[0-9.]+).*#\1#p' messages | head -n 1)
    awk -v t="${celsius:-nothing}" 'BEGIN { exit !(t ~ /^-?[0-9.]+$/ && t > 5 && t < 40) }' ||
        fail "no plausible air.temperature over MQTT: ${celsius:-nothing}"
    note "over MQTT: air.temperature ${celsius} °C, $(wc -l <messages) messages"

    local database channel count ordered
    database=$(find . -name homeostat.db)
    [[ -n $database ]] || fail "there is no homeostat.db in the folder it ran in"
    for channel in air.temperature soil.moisture; do
        count=$(sqlite3 "$database" "SELECT count(*) FROM history WHERE channel = '$channel' AND value IS NOT NULL")
        ((count > 0)) || fail "the database has no reading of $channel"
        note "in the database: $channel, $count readings"
    done
    # In the order of time, no number comes twice and none is smaller than the one before.
    ordered=$(sqlite3 "$database" "SELECT count(*) > 3 AND min(step) > 0 FROM
        (SELECT seq - lag(seq, 1, 0) OVER (ORDER BY time, seq) AS step FROM history)")
    [[ $ordered == 1 ]] || fail "the sequence numbers do not increase: $(sqlite3 "$database" 'SELECT time, seq FROM history')"
    rm -rf "$folder"
)

# listen PID: what a subscriber hears in five seconds, as soon as there is the broker of that process.
listen() {
    local attempt
    for ((attempt = 0; attempt < 600; attempt++)); do
        if port_1883_answers; then
            mosquitto_sub -h 127.0.0.1 -t 'homeostat/#' -v -W 5
            return
        fi
        kill -0 "$1" || return
        sleep 0.1
    done
}

port_1883_answers() { (exec 3<>/dev/tcp/127.0.0.1/1883) 2>/dev/null; }
