# The emulated Raspberry Pi that tests/pi.rs boots. Sourced by .ci/run.
#
# Its pieces are Debian's. They are unpacked into target/pi and found there the next time; the machine's own apt stays as it is.

pi=$PWD/target/pi

install_pi_tools() {
    install_arm_tools arm64
    local missing=()
    has mosquitto || missing+=(mosquitto)
    has cpio || missing+=(cpio)
    ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
    pi_pieces
}

# QEMU 10 for this machine, and a kernel, its modules and a busybox for the Pi. Bookworm's own QEMU, 7.2, has no I²C controller.
pi_pieces() {
    [[ ! -e $pi/complete ]] || return 0
    # Another release has other libraries, so this QEMU would not run there.
    grep -qx 'VERSION_CODENAME=bookworm' /etc/os-release ||
        fail "the emulated Pi is made of packages for Debian 12 (bookworm): try it in a container"
    rm -rf "$pi"
    mkdir -p "$pi"/{qemu,guest}
    private_apt "$pi/apt" /var/lib/dpkg/status "$(dpkg --print-architecture) arm64" bookworm bookworm-backports
    # What QEMU needs and this machine has not. The emulators of single programs would be upgraded with it, for nothing.
    apt-get install -qy --no-install-recommends --download-only -t bookworm-backports qemu-system-arm qemu-user-static- qemu-user-
    local kernel package
    kernel=$(apt-cache depends linux-image-arm64:arm64 | sed -n 's/^ *Depends: //p' | head -n 1)
    (cd "$pi/guest" && apt-get download -q "$kernel" busybox-static:arm64)
    for package in "$pi"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$pi/qemu"; done
    for package in "$pi"/guest/*.deb; do dpkg-deb -x "$package" "$pi/guest"; done
    rm -rf "$pi"/guest/*.deb "$pi/apt"
    printf '%s\n' >"$pi/qemu-system-aarch64" '#!/bin/sh' \
        "export LD_LIBRARY_PATH=$pi/qemu/usr/lib/x86_64-linux-gnu:$pi/qemu/lib/x86_64-linux-gnu" \
        "exec $pi/qemu/usr/bin/qemu-system-aarch64 -L $pi/qemu/usr/share/qemu \"\$@\""
    chmod +x "$pi/qemu-system-aarch64"
    "$pi/qemu-system-aarch64" --version
    touch "$pi/complete"
}

# What the Pi boots from: a busybox, the modules of its hardware, the program with its libraries, and what the package would install.
pi_initramfs() {
    local root=$pi/root version module found
    rm -rf "$root"
    mkdir -p "$root"/{bin,lib,proc,sys,dev,run,tmp,etc/homeostat,var/lib,usr/bin,usr/lib/systemd/system}
    cp "$pi/guest/bin/busybox" "$root/bin/"
    cp tests/pi/guest/init "$root/"
    cp tests/pi/guest/unit "$root/bin/"
    chmod +x "$root"/{init,bin/unit}

    version=$(ls "$pi/guest/lib/modules")
    mkdir -p "$root/lib/modules/$version"
    cp "$pi/guest/lib/modules/$version"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$version/"
    for module in i2c-bcm2835 i2c-dev spi-bcm2835 pwm-bcm2835 w1-gpio w1_therm wire \
        phy-generic dwc2 udc-core roles usbcore usb-common cdc_ether usbnet mii; do
        found=$(find "$pi/guest/lib/modules/$version" -name "$module.ko")
        [[ -n $found ]] || fail "Debian's kernel $version has no module $module"
        cp "$found" "$root/lib/modules/$version/"
    done

    cp "$(program arm64)" "$root/usr/bin/"
    cp /usr/aarch64-linux-gnu/lib/{ld-linux-aarch64.so.1,libc.so.6,libgcc_s.so.1,libm.so.6} "$root/lib/"
    cp deploy/systemd/homeostat.service "$root/usr/lib/systemd/system/"
    # The users and groups that the package makes.
    printf '%s\n' root:x:0:0::/:/bin/sh homeostat:x:990:990::/var/lib/homeostat:/bin/sh >"$root/etc/passwd"
    printf '%s\n' root:x:0: homeostat:x:990: gpio:x:991:homeostat i2c:x:992:homeostat spi:x:993:homeostat >"$root/etc/group"
    (cd "$root" && find . | cpio -o -H newc --quiet --owner=0:0 | gzip -1) >"$pi/initrd.gz"
}

emulated_pi() {
    local version
    pi_initramfs
    version=$(ls "$pi/guest/lib/modules")
    export PATH=$PATH:/usr/sbin
    export HOMEOSTAT_PI_QEMU=$pi/qemu-system-aarch64 HOMEOSTAT_PI_KERNEL=$pi/guest/boot/vmlinuz-$version
    export HOMEOSTAT_PI_DTB=$pi/guest/usr/lib/linux-image-$version/broadcom/bcm2837-rpi-3-b.dtb HOMEOSTAT_PI_INITRD=$pi/initrd.gz
    cargo test --locked --test pi -- --ignored --nocapture
}
