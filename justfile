# What one does here. `just` alone lists it.

_list:
    @just --list --unsorted

# The program for this machine, in target/release.
build:
    cargo build --release

# Everything that needs nothing installed.
test *ARGS:
    cargo test {{ ARGS }}

# Formatting and lints, as CI wants them.
check:
    find . -path ./target -prune -o -name '*.rs' -print0 | xargs -0 rustfmt --check --edition 2024
    cargo clippy --all-targets -- -D warnings
    cargo clippy --all-targets --no-default-features -- -D warnings

# All that CI does. Installs what is missing with apt, so it wants root on Debian.
ci:
    bash .ci/run

# Throughput, CPU and memory beside their floor.
bench *ARGS:
    cargo bench {{ ARGS }}

# The program for a Pi, through https://github.com/cross-rs/cross: aarch64, armv7 or arm (v6).
cross BOARD:
    #!/usr/bin/env bash
    set -euo pipefail
    case '{{ BOARD }}' in
        aarch64) target=aarch64-unknown-linux-gnu ;;
        armv7) target=armv7-unknown-linux-gnueabihf ;;
        arm) target=arm-unknown-linux-gnueabihf ;;
        *) echo "no board '{{ BOARD }}': aarch64, armv7 or arm" >&2; exit 1 ;;
    esac
    CROSS_CONFIG=cross.toml cross build --release --target "$target"
    echo "target/$target/release/homeostat"

# The program for 64-bit and 32-bit Pis without docker, tried in emulation. Wants root on Debian, for a compiler that is missing.
arm:
    bash .ci/run arm

# The program for a Pi 1 or the first Zero (ARMv6), tried in emulation, and its Debian package. No other recipe and no CI run does this.
armv6:
    bash .ci/run armv6

# Debian packages for arm64, armhf and amd64 in target/debian, tried in a Debian for arm64.
package:
    bash .ci/run package

# A Raspberry Pi 3 in QEMU with the real program on it: docs/raspberry-pi.md. Fetches what it needs.
pi:
    bash .ci/run pi
