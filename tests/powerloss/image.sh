# shellcheck shell=bash
# What the guest of tests/powerloss/run boots: a kernel of Debian's and an initramfs with our two programs. Sourced by it.

need() {
    [ -n "$(PATH=$PATH:/usr/sbin:/sbin type -P "$1")" ] && return 0
    apt-get install -y -q --no-install-recommends "$2" ||
        { apt-get update -q && apt-get install -y -q --no-install-recommends "$2"; }
}
# Unpacks a package without installing it.
unpack() {
    (cd "$work" && apt-get download -q "$1" && dpkg-deb --extract "$1"_*.deb "$2" && rm -f "$1"_*.deb)
}

tools() {
    PATH=$PATH:/usr/sbin:/sbin
    need qemu-system-x86_64 qemu-system-x86
    need busybox busybox-static
    need mke2fs e2fsprogs
    need cpio cpio
    need jq jq
    need ip iproute2
    need tc iproute2
    qemu-system-x86_64 --version | head -n 1
    ! ldd "$(type -P busybox)" >/dev/null 2>&1 || fail "busybox is not the static one: install busybox-static"
}

kernel() {
    [ -e "$work/kernel/done" ] || {
        rm -rf "$work/kernel"
        local package
        package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
        [ -n "$package" ] || fail "no kernel: linux-image-cloud-amd64 is not known to apt"
        unpack "$package" "$work/kernel"
        touch "$work/kernel/done"
    }
    release=$(basename "$work"/kernel/lib/modules/*)
    echo "kernel $release"
}

# A program with the libraries that it names.
install_program() {
    install -D -m 0755 "$(type -P "$1")" "$guest/usr/sbin/$(basename "$1")"
    install_libraries "$guest/usr/sbin/$(basename "$1")"
}
install_libraries() {
    local library
    for library in $(ldd "$1" | sed -n 's/.*\s\(\/[^ ]*\) (0x.*/\1/p'); do
        [ -e "$guest$library" ] || install -D -m 0755 "$library" "$guest$library"
    done
}
install_module() {
    local path
    [ -e "$guest/lib/modules/$release/$1" ] && return 0
    install -D -m 0644 "$work/kernel/lib/modules/$release/$1" "$guest/lib/modules/$release/$1"
    for path in $(sed -n "s|^$1: *||p" "$work/modules.dep"); do install_module "$path"; done
}

initramfs() {
    local name path
    rm -rf "$guest"
    mkdir -p "$guest"/{bin,usr/sbin,proc,sys,dev,run,tmp,etc,disk,policies}
    install -m 0755 "$(type -P busybox)" "$guest/bin/busybox"
    for name in $(busybox --list); do ln -s busybox "$guest/bin/$name" 2>/dev/null || true; done
    ln -s bin "$guest/sbin" # the kernel calls /sbin/modprobe
    install -m 0755 $here/init "$guest/init"
    install -m 0644 $here/policies/*.toml "$guest/policies/"
    for name in portcullis portcullisd; do install_program "$binaries/$name"; done
    strip "$guest"/usr/sbin/portcullis* 2>/dev/null || true # only for size: debug binaries would not fit
    for name in ip tc jq; do install_program "$name"; done
    if [ -n "$preload" ]; then
        unpack libeatmydata1 "$work/eatmydata"
        install -D -m 0755 "$(find "$work/eatmydata" -name 'libeatmydata.so.*' -type f | head -n 1)" "$guest$preload"
    fi
    echo root:x:0:0:root:/:/bin/sh >"$guest/etc/passwd"
    # Just these, and what they need; those that the daemon needs are loaded by the kernel on demand, as on any host.
    busybox depmod -n -b "$work/kernel" "$release" 2>/dev/null | sed -n '/^[^ ]*\.ko:/p' >"$work/modules.dep"
    for name in virtio_pci virtio_blk veth ifb sch_ingress cls_u32 act_mirred; do
        path=$(sed -n "s|^\([^:]*/$name\.ko\):.*|\1|p" "$work/modules.dep")
        [ -n "$path" ] || { grep -q "/$name\.ko" "$work/kernel/lib/modules/$release/modules.builtin" && continue; }
        [ -n "$path" ] || fail "the kernel has no $name"
        install_module "$path"
    done
    cp "$work/kernel/lib/modules/$release"/modules.{order,builtin} "$guest/lib/modules/$release/"
    busybox depmod -b "$guest" "$release"
    for name in "$guest"/usr/sbin/*; do ! ldd "$name" | grep -q 'not found' || fail "$name lacks a library"; done
    (cd "$guest" && find . | cpio --quiet -o -H newc) >"$work/initramfs"
    du -h "$work/initramfs"
}
