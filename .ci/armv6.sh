# The program for the Pi 1 and the first Zero (ARMv6), on demand: neither Debian nor rustup has what every CI run could build it with.
# Sourced by .ci/run.
#
# Debian's armhf compiler makes ARMv7 code, and so are the C libraries beside it. Zig brings a C compiler and musl's sources for any
# processor, and Rust's standard library is built from its own. The result is static: one file, for every Raspberry Pi OS.

armv6_target=arm-unknown-linux-musleabihf
armv6_program=$PWD/target/$armv6_target/release/homeostat
armv6_tools=$PWD/target/tools/armv6

# The processor of these boards, and nothing newer: what it does not know ends the program.
armv6_emulator="qemu-arm-static -cpu arm1176"

install_armv6_tools() {
    has rustup || fail "rustup is not here: see https://rustup.rs; it has the sources of the standard library"
    rustup component add rust-src
    local missing=()
    has qemu-arm-static || missing+=(qemu-user-static)
    has readelf || missing+=(binutils)
    python3 -m venv --help >/dev/null && python3 -m ensurepip --version || missing+=(python3-venv)
    ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
    # Both from PyPI, for neither is in Debian. In a folder of their own.
    [[ -x $armv6_tools/bin/pip ]] || python3 -m venv "$armv6_tools"
    "$armv6_tools/bin/pip" install --quiet ziglang==0.15.2 cargo-zigbuild==0.24.0
}

# armv6_cargo SUBCOMMAND…: Cargo with Zig's compiler and a standard library of the same build. RUSTC_BOOTSTRAP, because `build-std` is
# not yet stable; link-self-contained=no, because the start files and the C library are Zig's.
armv6_cargo() {
    local subcommand=$1
    shift
    env PATH="$armv6_tools/bin:$PATH" RUSTC_BOOTSTRAP=1 RUSTFLAGS="-C target-cpu=arm1176jzf-s -C link-self-contained=no" \
        CARGO_ZIGBUILD_CACHE_DIR="$armv6_tools/cache" ZIG_GLOBAL_CACHE_DIR="$armv6_tools/cache" ZIG_LOCAL_CACHE_DIR="$armv6_tools/cache" \
        cargo-zigbuild "$subcommand" --locked -Z build-std=std,panic_unwind --target "$armv6_target" "$@"
}

# Built, and then: for no newer processor, wanting nothing of the system, small, and running. What the file says of its processor is true
# of what compilers made; assembly may bring newer code under the same name (ring's NEON, musl's barriers, both chosen at run time), so
# that it runs says more.
armv6_build() {
    install_armv6_tools
    armv6_cargo zigbuild --release
    local arch
    arch=$(readelf -A "$armv6_program" | sed -n 's/^ *Tag_CPU_arch: //p')
    [[ $arch == v6* ]] || fail "$armv6_program has code for ${arch:-no processor that it names}"
    readelf -A "$armv6_program" | grep -q 'Tag_ABI_VFP_args: VFP registers' || fail "$armv6_program does not pass floats in registers"
    ! readelf -lW "$armv6_program" | grep -q INTERP || fail "$armv6_program is not static"
    note "static, $arch"
    small_and_runs "$armv6_program" $armv6_emulator
}
