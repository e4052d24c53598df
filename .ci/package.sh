# The Debian packages, and the life of one in a Debian for arm64. Sourced by .ci/run.

# Where they are built to; the root of that Debian is beside them.
packages=$PWD/target/debian
debian=$packages/root

install_package_tools() {
    has proot || apt_install proot
    install_cargo_deb
}

install_cargo_deb() {
    # Without its features, which want more libraries, and unoptimised: it is there in half a minute, and used three times.
    [[ -x target/tools/bin/cargo-deb ]] ||
        cargo install cargo-deb --locked --version 3.8.0 --no-default-features --debug --root target/tools --target-dir target/tools/build
}

# package ARCH: from the program that has been built for it.
package() {
    local target=()
    [[ $1 == "$(dpkg --print-architecture)" ]] || target=(--target "$(rust_target "$1")")
    PATH=$PATH:$PWD/target/tools/bin cargo deb --locked --no-build --no-strip --output "$packages/homeostat_$1.deb" "${target[@]}"
}

# All of them hold the same files, and name the glibc that their program wants.
all_packages() {
    local arch wanted named
    install_package_tools
    for arch in arm64 armhf amd64; do
        package "$arch"
        dpkg-deb -f "$packages/homeostat_$arch.deb" Architecture | grep -qx "$arch"
        diff <(files_of arm64) <(files_of "$arch") || fail "$arch has other files than arm64"
        dpkg-deb --fsys-tarfile "$packages/homeostat_$arch.deb" | tar -xO ./usr/bin/homeostat >"$packages/program"
        wanted=$(grep -ao 'GLIBC_2\.[0-9]*' "$packages/program" | sort -uV | tail -n 1)
        named=$(dpkg-deb -f "$packages/homeostat_$arch.deb" Depends | sed -nE 's/.*libc6 \(>= ([0-9.]+)\).*/GLIBC_\1/p')
        [[ -n $named ]] || fail "$arch does not say which libc6 it depends on"
        [[ $(printf '%s\n' "$wanted" "$named" | sort -V | tail -n 1) == "$named" ]] || fail "$arch wants $wanted, and says $named"
        note "$arch: $(stat -c %s "$packages/homeostat_$arch.deb") bytes, glibc ${named#GLIBC_} or newer"
    done
    rm "$packages/program"
}

# Debian calls it armhf too, and takes it on every 32-bit Pi; so its file's name says which it is.
armv6_package() {
    local package=$packages/homeostat_armv6.deb depends
    install_cargo_deb
    PATH=$PATH:$PWD/target/tools/bin cargo deb --locked --no-build --no-strip --variant armv6 --target "$armv6_target" --output "$package"
    dpkg-deb -f "$package" Package Architecture | diff - <(printf '%s\n' "Package: homeostat" "Architecture: armhf")
    depends=$(dpkg-deb -f "$package" Depends)
    [[ $depends != *lib* ]] || fail "its program is static, and it depends on $depends"
    dpkg-deb --fsys-tarfile "$package" | tar -xO ./usr/bin/homeostat | cmp - "$armv6_program"
    note "$(stat -c %s "$package") bytes"
}

files_of() { dpkg-deb -c "$packages/homeostat_$1.deb" | awk '{ print $1, $2, $6 }' | sort -k 3; }

# A Debian for arm64 with what installing needs. Unpacked only: to have all of it configured takes minutes here.
debian_root() {
    rm -rf "$debian"
    mkdir -p "$debian"/{proc,dev,tmp,run/systemd/system,var/{log,lib/dpkg/{info,updates,triggers}}}
    local package
    : >"$packages/none"
    private_apt "$packages/apt" "$packages/none" arm64 bookworm
    apt-get install -qy --no-install-recommends --download-only \
        dpkg dash coreutils sed grep diffutils libc-bin libgcc-s1 passwd base-passwd systemd-standalone-sysusers systemd-standalone-tmpfiles
    for package in "$packages"/apt/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$debian"
        dpkg-deb -f "$package" | sed '1a Status: install ok installed'
        echo
        # Otherwise dpkg complains that it does not know what these hold.
        : >"$debian/var/lib/dpkg/info/$(dpkg-deb -W --showformat '${Package}' "$package").list"
        : >"$debian/var/lib/dpkg/info/$(dpkg-deb -W --showformat '${Package}' "$package"):arm64.list"
    done >"$debian/var/lib/dpkg/status"
    rm -rf "$packages/apt" "$packages/none"
    cp "$debian/usr/share/base-passwd/passwd.master" "$debian/etc/passwd"
    cp "$debian/usr/share/base-passwd/group.master" "$debian/etc/group"
    ln -sf dash "$debian/bin/sh"
    # In place of systemd: it writes down what it is asked.
    printf '%s\n' '#!/bin/sh' 'echo "$*" >>/systemctl.log' >"$debian/usr/bin/systemctl"
    chmod +x "$debian/usr/bin/systemctl"
}

# Without binfmt_misc, which not every machine has: proot puts the emulator before each program that is begun.
inside() {
    proot -q qemu-aarch64-static -r "$debian" -b /proc -b /dev -w / \
        /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"
}

# asked WHAT…: this, line by line, is what systemctl has been asked since the last time.
asked() {
    diff <(printf '%s\n' "$@") "$debian/systemctl.log" || fail "systemctl was asked something else"
    rm -f "$debian/systemctl.log"
}

# owned PATH "OWNER:GROUP MODE", by the names in there. Looked at from outside: proot does not know of every system call that asks.
owned() {
    local is
    is="$(named passwd "$(stat -c %u "$debian$1")"):$(named group "$(stat -c %g "$debian$1")") $(stat -c %a "$debian$1")"
    [[ $is == "$2" ]] || fail "$1 is $is and not $2"
}

named() { awk -F: -v id="$2" '$3 == id { print $1 }' "$debian/etc/$1"; }

# Installed, run, upgraded, removed and purged.
package_lives() {
    local config=$debian/etc/homeostat/config.toml newer=$packages/newer left
    ((EUID == 0)) || fail "only root can make files another user's and enter another root"
    install_arm_tools arm64
    debian_root
    cp "$packages/homeostat_arm64.deb" "$debian/tmp/homeostat.deb"
    inside dpkg --print-architecture | grep -qx arm64

    inside dpkg -i /tmp/homeostat.deb
    asked daemon-reload
    owned /etc/homeostat "root:homeostat 750"
    owned /etc/homeostat/config.toml "root:homeostat 640"
    inside getent group gpio i2c spi
    cmp config.example.toml "$config"
    note "installed: $(inside homeostat --version), the user $(inside id homeostat)"
    installed_runs

    # An upgrade whose example is another one, with a configuration that was edited.
    sed -i 's/^name = "greenhouse"/name = "orangery"/' "$config"
    cp "$config" "$packages/edited.toml"
    rm -rf "$newer"
    dpkg-deb -R "$packages/homeostat_arm64.deb" "$newer"
    sed -i 's/^Version: .*/Version: 99-1/' "$newer/DEBIAN/control"
    echo '# A newer example.' >>"$newer/usr/share/homeostat/config.example.toml"
    dpkg-deb --root-owner-group -b "$newer" "$debian/tmp/newer.deb"
    inside dpkg -i /tmp/newer.deb
    asked daemon-reload "try-restart homeostat.service"
    cmp "$config" "$packages/edited.toml" || fail "the upgrade has changed the configuration"
    owned /etc/homeostat/config.toml "root:homeostat 640"
    note "upgraded to $(inside dpkg-query -W -f '${Version}' homeostat): the edited configuration is kept, nothing was asked"

    inside dpkg -r homeostat
    asked "stop homeostat.service" "disable homeostat.service" daemon-reload
    [[ ! -e $debian/usr/bin/homeostat && ! -e $debian/usr/lib/systemd/system/homeostat.service ]] || fail "it is still there"
    cmp "$config" "$packages/edited.toml" || fail "removing it has changed the configuration"
    [[ -e $debian/var/lib/homeostat/homeostat.db ]] || fail "removing it has removed the readings"
    note "removed: configuration and readings are kept"

    inside dpkg -P homeostat
    asked daemon-reload
    left=$(find "$debian" -path "$debian/tmp" -prune -o -name '*homeostat*' -print; grep -H homeostat "$debian"/etc/{passwd,group,shadow} || true)
    [[ -z $left ]] || fail "purging it has left:" "$left"
    [[ -z $(inside dpkg-query -W homeostat 2>/dev/null || true) ]] || fail "dpkg still knows it"
    note "purged: nothing is left but the groups of the devices"
    rm -rf "$debian" "$newer" "$packages/edited.toml"
}

# As the unit would run it, its user included: heard over MQTT, stopped in order, and its database is the user's.
installed_runs() {
    local uid gid status=0
    uid=$(inside id -u homeostat)
    gid=$(inside id -g homeostat)
    # systemd's `StateDirectory=`.
    install -d -m 750 -o "$uid" -g "$gid" "$debian/var/lib/homeostat"
    ! port_1883_answers || fail "port 1883 is taken, and the example's embedded broker needs it: stop what listens there"
    # Under chroot and not under proot, which does not know statx and would have it look at the files of this machine.
    cp "$(command -v qemu-aarch64-static)" "$debian/tmp/qemu"
    local emulated=(env -i STATE_DIRECTORY=/var/lib/homeostat /usr/sbin/chroot "--userspec=$uid:$gid" "$debian" /tmp/qemu /usr/bin/homeostat)
    "${emulated[@]}" check /etc/homeostat/config.toml
    (umask 0027 && exec "${emulated[@]}" run --fallback /etc/homeostat/config.toml) &
    local daemon=$!
    # Whatever fails here, it is not to keep the port.
    trap "kill -KILL $daemon" EXIT
    listen "$daemon" >"$packages/messages" || true
    kill -TERM "$daemon" || true
    wait "$daemon" || status=$?
    trap - EXIT
    ((status == 0)) || fail "it ended with status $status instead of 0"
    grep -q '^homeostat/greenhouse/air/temperature ' "$packages/messages" || fail "no air.temperature over MQTT"
    owned /var/lib/homeostat/homeostat.db "homeostat:homeostat 640"
    note "run as its user: $(wc -l <"$packages/messages") messages, stopped in order"
    rm "$packages/messages"
}
