# The program for a Raspberry Pi, 64-bit (arm64) and 32-bit (armhf), as Debian calls them. Sourced by .ci/run.

# Larger than this, in bytes and without symbols, it is not to become: it lives on small cards, and in the memory of small boards.
largest=12000000

# No newer glibc than this is it to want: docs/raspberry-pi.md promises so.
newest_glibc=2.34

# The target's name at rustc, and at the GNU tools.
rust_target() { case $1 in arm64) echo aarch64-unknown-linux-gnu ;; armhf) echo armv7-unknown-linux-gnueabihf ;; esac; }
gnu_target() { case $1 in arm64) echo aarch64-linux-gnu ;; armhf) echo arm-linux-gnueabihf ;; esac; }

# Where its build is.
program() { echo "$PWD/target/$(rust_target "$1")/release/homeostat"; }

# What runs a program for that machine on this one.
emulator() {
    local cpu=aarch64
    [[ $1 == arm64 ]] || cpu=arm
    echo "qemu-$cpu-static -L /usr/$(gnu_target "$1")"
}

install_arm_tools() {
    local arch missing=()
    for arch; do
        has "$(gnu_target "$arch")-gcc" || missing+=("gcc-$(gnu_target "$arch")" "libc6-dev-$arch-cross")
        has rustup || fail "rustup is not here: see https://rustup.rs; it has the standard library for the Pi"
        rustup target add "$(rust_target "$arch")"
    done
    has qemu-aarch64-static && has qemu-arm-static || missing+=(qemu-user-static)
    ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
}

# At once, so that one is linked, which only one core can do, while the other still compiles.
build_for() {
    local arch target variable targets=()
    for arch; do
        target=$(rust_target "$arch")
        targets+=(--target "$target")
        variable=${target//-/_}
        export "CARGO_TARGET_${variable^^}_LINKER=$(gnu_target "$arch")-gcc"
    done
    cargo build --locked --release "${targets[@]}"
}

# arm_programs ARCH…: built once, for all that follows; then what each wants, its size, and that it runs.
arm_programs() {
    local arch
    install_arm_tools "$@"
    build_for "$@"
    for arch; do
        wants_no_newer_glibc "$arch"
        small_and_runs "$(program "$arch")" $(emulator "$arch")
    done
}

wants_no_newer_glibc() {
    local libc
    libc=$("$(gnu_target "$1")-objdump" -T "$(program "$1")" | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -n 1 || true)
    libc=${libc#GLIBC_}
    [[ -n $libc && $(printf '%s\n' "$libc" "$newest_glibc" | sort -V | tail -n 1) == "$newest_glibc" ]] ||
        fail "$(program "$1") wants glibc ${libc:-of no number}, and docs/raspberry-pi.md promises $newest_glibc"
    note "$1: wants glibc $libc"
}

# small_and_runs PROGRAM EMULATOR…
small_and_runs() {
    local program=$1 size
    shift
    size=$(stat -c %s "$program")
    ((size <= largest)) || fail "$program has $size bytes, which is more than $largest"
    note "$size bytes"
    "$@" "$program" --version
    "$@" "$program" check config.example.toml
    ten_seconds "$@" "$program"
}
