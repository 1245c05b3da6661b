#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/machine/build.sh tools|image|tidegate
#
# Makes what the machine of the ring `machine` is made of, in build/machine, from Debian packages alone:
#
#   tools     the programs that the steps below need, and a look whether this host can run arm64 programs at all;
#             exit 77 and a reason in the last line when it cannot
#   image     kernel, initrd.img and disk.img of an arm64 Debian 12; kept as long as what this file puts in stays the same
#   tidegate  tidegate for arm64 out of this tree, as tidegate.tar; the chroot of its cross compiler is kept
#
# As root. Starts nothing and leaves no mount; the registration of the arm64 emulator with the kernel ends with the script.

set -eu
. "$(dirname "$0")/../lib.sh"

suite=bookworm
cache=$top/build/machine
tools=(qemu-system-arm qemu-utils qemu-user-static mmdebstrap kmod rsync cpio e2fsprogs openssh-client python3
	mosquitto mosquitto-clients)

# What the guest is: an init, buses and the tools to look at them, and the libraries that tidegate links.
guest_packages=(
	systemd systemd-sysv dbus udev kmod procps iproute2 openssh-server python3-minimal
	i2c-tools can-utils gpiod
	libssl3 libcurl4 libpaho-mqtt1.3 libmodbus5 libsqlite3-0 libinih1 libjansson4 libsystemd0 libmosquitto1
	libtss2-esys-3.0.2-0 libtss2-tctildr0 libtss2-mu0 libtss2-rc0 libtss2-tcti-device0 tpm-udev
)
# Modules that a gateway does not load; without them the image is half as large.
unused_modules=(
	drivers/gpu drivers/net/ethernet drivers/net/wireless drivers/media drivers/infiniband 'drivers/scsi/*' drivers/staging
	drivers/iommu drivers/crypto drivers/ata drivers/nvme drivers/md drivers/isdn sound fs/xfs fs/btrfs fs/ocfs2 fs/nfs fs/nfsd
	fs/ceph fs/smb fs/gfs2 fs/jfs fs/f2fs net/sctp net/tipc net/mac80211 net/bluetooth net/netfilter
)

cannot() { echo "$*"; exit 77; }

# --- arm64 programs on this host ------------------------------------------------------------------------------------------

binfmt=/proc/sys/fs/binfmt_misc
binfmt_ours=''	# what of it is ours to undo
binfmt_mounted=''

# An ELF header of a 64-bit little-endian program or library for machine 183, whatever its ABI byte says.
# shellcheck disable=SC1003
elf_magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
# shellcheck disable=SC1003
elf_mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'

emulator_off() {
	[ -z "$binfmt_ours" ] || echo -1 >"$binfmt/$binfmt_ours" || true
	[ -z "$binfmt_mounted" ] || umount "$binfmt" || true
	binfmt_ours='' binfmt_mounted=''
}

# Flag F opens the emulator now, so that it works in a chroot that has none.
emulator_on() {
	local emulator
	[ "$(dpkg --print-architecture)" != arm64 ] || return 0
	trap emulator_off EXIT
	if [ ! -e $binfmt/register ]; then
		mount -t binfmt_misc binfmt_misc $binfmt || cannot "this kernel runs no programs of other processors (no binfmt_misc)"
		binfmt_mounted=yes
	fi
	if grep -qs '^flags:.*F' $binfmt/qemu-aarch64 && grep -qs '^enabled' $binfmt/qemu-aarch64; then
		return 0
	fi
	emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || cannot "no emulator of arm64 programs"
	printf '%s' ":tidegate-arm64:M::$elf_magic:$elf_mask:$emulator:PF" >$binfmt/register ||
		cannot "the kernel does not take $emulator for arm64 programs"
	binfmt_ours=tidegate-arm64
}

build_tools() {
	[ "$(id -u)" = 0 ] || cannot "only root can build the machine"
	install_packages "${tools[@]}" || cannot "these packages cannot be installed: ${tools[*]}"
	[ -n "$(mirror)" ] || cannot "apt knows no Debian mirror"
	unshare --mount true || cannot "no mount namespaces"
	[ -e "$cache/image.made" ] || emulator_on
}

# --- image ----------------------------------------------------------------------------------------------------------------

debian() { # VARIANT ROOT PACKAGES...
	local variant=$1 to=$2 site
	shift 2
	site=$(mirror)
	rm -rf "$to"
	mmdebstrap --quiet --architectures=arm64 --variant="$variant" --include="$(IFS=,; echo "$*")" \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' "$suite" "$to" "deb $site $suite main"
}

# Busybox and the modules between the kernel and the root file system. The real initramfs-tools take ten minutes in an
# emulated chroot.
initrd() { # KERNEL-TREE VERSION OUT
	local tree=$1 version=$2 out=$3 d module
	d=$(mktemp -d)
	mkdir -p "$d"/{bin,dev,proc,sys,root,modules}
	cp "$tree/bin/busybox" "$d/bin/busybox"
	for module in virtio_mmio virtio_pci virtio_blk crc32c_generic ext4; do
		modprobe -d "$tree" -S "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r module; do
		cp "$module" "$d/modules/"
		echo "/modules/${module##*/}" >>"$d/modules/order"
	done
	cat >"$d/init" <<-'END'
		#!/bin/busybox sh
		b=/bin/busybox
		$b mount -t devtmpfs dev /dev
		while read -r module; do $b insmod "$module"; done </modules/order
		n=0
		while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do $b sleep 0.1; n=$((n + 1)); done
		$b mount -t ext4 -o rw,noatime /dev/vda /root || exec $b sh
		$b mount --move /dev /root/dev
		exec $b switch_root /root /sbin/init
	END
	chmod +x "$d/init"
	(cd "$d" && find . | cpio --quiet -o -H newc) >"$out"
	rm -rf "$d"
}

# One network card towards the host, ssh by key, nothing that waits for a network or has a timer. This system is no one's: its
# key lives beside its disk.
settle() { # TREE
	local r=$1 unit
	echo machine >"$r/etc/hostname"
	printf '127.0.0.1 localhost machine\n' >"$r/etc/hosts"
	printf '/dev/vda / ext4 defaults,noatime 0 1\n' >"$r/etc/fstab"
	printf '[Match]\nName=en* eth*\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
		>"$r/etc/systemd/network/80-host.network"
	: >"$r/etc/machine-id"
	install -d -m 700 "$r/root/.ssh"
	install -m 600 "$cache/key.pub" "$r/root/.ssh/authorized_keys"
	ln -sf /lib/systemd/system/systemd-networkd.service "$r/etc/systemd/system/multi-user.target.wants/"
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
		systemd-networkd-wait-online.service systemd-timesyncd.service getty@.service \
		dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
		modprobe@drm.service modprobe@fuse.service modprobe@efi_pstore.service; do
		ln -sf /dev/null "$r/etc/systemd/system/$unit"
	done
}

build_image() {
	local want kernel_tree=$cache/kernel-tree root_tree=$cache/root-tree version excludes=() path
	mkdir -p "$cache"
	want=$({ declare -f build_image settle initrd debian && echo "$suite ${guest_packages[*]} ${unused_modules[*]}"; } | sha256sum)
	[ "$(cat "$cache/image.made" 2>/dev/null)" != "$want" ] || { echo "kept"; return 0; }
	rm -f "$cache/image.made"
	emulator_on
	# Extracted, never installed: its scripts would make an initramfs.
	debian extract "$kernel_tree" linux-image-arm64 busybox-static
	debian minbase "$root_tree" "${guest_packages[@]}"
	version=$(basename "$(echo "$kernel_tree"/lib/modules/*)")
	depmod -b "$kernel_tree" "$version"
	cp "$kernel_tree/boot/vmlinuz-$version" "$cache/kernel"
	initrd "$kernel_tree" "$version" "$cache/initrd.img"

	for path in "${unused_modules[@]}"; do excludes+=(--exclude "kernel/$path"); done
	mkdir -p "$root_tree/lib/modules"
	rsync -a "${excludes[@]}" "$kernel_tree/lib/modules/$version" "$root_tree/lib/modules/"
	depmod -b "$root_tree" "$version"
	rm -f "$cache/key" "$cache/key.pub"
	ssh-keygen -q -t ed25519 -N '' -C machine -f "$cache/key"
	settle "$root_tree"

	rm -f "$cache/disk.img"
	truncate -s 1G "$cache/disk.img"
	mke2fs -q -t ext4 -L machine -E lazy_itable_init=1,lazy_journal_init=1 -d "$root_tree" "$cache/disk.img"
	rm -rf "$root_tree" "$kernel_tree"
	echo "$want" >"$cache/image.made"
}

# --- tidegate -------------------------------------------------------------------------------------------------------------

# The libraries to build with are arm64's, the tools this machine's.
cross_packages() {
	local p
	for p in "${build_packages[@]}"; do
		case $p in
		libcmocka-dev | git | ca-certificates) ;;
		gcc) echo gcc-aarch64-linux-gnu ;;
		*-dev) echo "$p:arm64" ;;
		*) echo "$p" ;;
		esac
	done
}

build_tidegate() {
	local packages
	mapfile -t packages < <(cross_packages)
	# shellcheck disable=SC2034
	architectures=$(dpkg --print-architecture),arm64
	[ "$architectures" != arm64,arm64 ] || architectures=arm64
	chroot_of machine "$suite" "${packages[@]}"
	mkdir -p "$cache/tidegate"
	binds=("$top" /source "$cache/tidegate" /build)
	in_chroot /bin/sh -eu -c '
		export PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
		cmake -G Ninja -S /source -B /build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTIDEGATE_WERROR=ON -DBUILD_TESTING=OFF \
			-DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_SYSCONFDIR=/etc -DCMAKE_INSTALL_LOCALSTATEDIR=/var \
			-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc
		cmake --build /build
		rm -rf /build/tree
		DESTDIR=/build/tree cmake --install /build --strip >/dev/null
		tar -C /build/tree --owner=0 --group=0 -cf /build/tidegate.tar .'
	mv "$cache/tidegate/tidegate.tar" "$cache/tidegate.tar"
}

case ${1:-} in
tools) build_tools ;;
image) build_image ;;
tidegate) build_tidegate ;;
*) sed -n '4,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
