#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/machine/build.sh tools|image|tidegate
#
# Makes what the machine of the ring `machine` is made of, in build/machine, from Debian packages alone:
#
#   tools     the programs that the steps below need, and a look whether this host can run arm64 programs at all;
#             exit 77 and a reason in the last line when it cannot
#   image     kernel, initrd.img and disk.img of an arm64 Debian 12; kept as long as what this file puts in, and what Debian has
#             of it, stay the same
#   tidegate  the package for arm64 out of this tree, as an apt source in packages/bookworm
#
# As root. Starts nothing and leaves no mount; the registration of the arm64 emulator with the kernel ends with the script.

set -eu
. "$(dirname "$0")/../lib.sh"

suite=bookworm
cache=$top/build/machine
here=$top/tests/machine
tools=(qemu-system-arm qemu-utils qemu-user-static mmdebstrap kmod rsync cpio e2fsprogs openssh-client python3 apt-utils gnupg dpkg-dev
	mosquitto mosquitto-clients python3-cryptography)

# What the guest is: the Debian of a gateway, buses and the tools to look at them, and all that the package of tidegate depends
# on or recommends, since the machine has no network to fetch it from. swtpm is the chip behind its /dev/tpmrm0.
guest_packages=(
	systemd systemd-sysv systemd-coredump dbus udev kmod procps iproute2 openssh-server python3-minimal sudo apparmor
	i2c-tools can-utils gpiod
	libssl3 libcurl4 libpaho-mqtt1.3 libmodbus5 libsqlite3-0 libinih1 libjansson4 libsystemd0 libmosquitto1
	libtss2-esys-3.0.2-0 libtss2-tctildr0 libtss2-mu0 libtss2-rc0 libtss2-tcti-device0 tpm-udev
	ca-certificates openssl tpm2-openssl tpm2-tools
	swtpm
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

# The extracted kernel goes into no package database, so its files need not pass the filter either.
extracted() { # ROOT PACKAGES...
	local to=$1
	shift
	rm -rf "$to"
	mmdebstrap --quiet --architectures=arm64 --variant=extract --include="$(IFS=,; echo "$*")" "$suite" "$to" "deb $site $suite main"
}

# Two package scripts take most of an emulated minute: one hashes the world's certificates, which cat does here, and one makes
# keys, which it does not if there are some.
installed() { # ROOT PACKAGES...
	local to=$1
	shift
	rm -rf "$to"
	# shellcheck disable=SC2016
	mmdebstrap --quiet --architectures=arm64 --variant=minbase --include="$(IFS=,; echo "$*")" \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--essential-hook='chroot "$1" dpkg-divert --quiet --local --no-rename --add /usr/sbin/update-ca-certificates' \
		--essential-hook='ln -s /bin/true "$1/usr/sbin/update-ca-certificates"' \
		--essential-hook='mkdir -p "$1/etc/ssh" && ssh-keygen -q -A -f "$1"' \
		"$suite" "$to" "deb $site $suite main"
	mv "$to/usr/sbin/update-ca-certificates.distrib" "$to/usr/sbin/update-ca-certificates"
	rm -f "$to/var/lib/dpkg/diversions" "$to/var/lib/dpkg/diversions-old"
	cat "$to"/usr/share/ca-certificates/*/*.crt >"$to/etc/ssl/certs/ca-certificates.crt"
}

# Busybox and the modules between the kernel and the root file system. The real initramfs-tools take ten minutes in an
# emulated chroot.
initrd() { # KERNEL-TREE VERSION OUT
	local tree=$1 version=$2 out=$3 d module
	d=$(mktemp -d)
	mkdir -p "$d"/{bin,dev,proc,sys,root,modules}
	cp "$tree/bin/busybox" "$d/bin/busybox"
	for module in virtio_mmio virtio_pci virtio_blk sdhci-iproc bcm2835 crc32c_generic ext4; do
		modprobe -d "$tree" -S "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r module; do
		cp "$module" "$d/modules/"
		echo "/modules/${module##*/}" >>"$d/modules/order"
	done
	cat >"$d/init" <<-'END'
		#!/bin/busybox sh
		b=/bin/busybox
		$b mount -t devtmpfs dev /dev
		$b mount -t proc proc /proc
		while read -r module; do $b insmod "$module"; done </modules/order
		disk=/dev/vda n=0
		for word in $($b cat /proc/cmdline); do
			case $word in root=*) disk=${word#root=} ;; esac
		done
		while [ ! -b "$disk" ] && [ $n -lt 100 ]; do $b sleep 0.1; n=$((n + 1)); done
		$b mount -t ext4 -o rw,noatime "$disk" /root || exec $b sh
		$b umount /proc
		$b mount --move /dev /root/dev
		exec $b switch_root /root /sbin/init
	END
	chmod +x "$d/init"
	(cd "$d" && find . | cpio --quiet -o -H newc) >"$out"
	rm -rf "$d"
}

# A network card towards the host for ssh by key, and one towards the world, which is the host's loopback; a TPM; nothing that
# waits for a network, fetches, or has a timer. This system is no one's: its key lives beside its disk.
network() { # WHICH MAC ADDRESS
	printf '# towards the %s\n[Match]\nMACAddress=%s\n' "$1" "$2"
	printf '[Network]\nAddress=%s\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' "$3"
}

settle() { # TREE
	local r=$1 unit
	echo machine >"$r/etc/hostname"
	printf '127.0.0.1 localhost machine\n' >"$r/etc/hosts"
	printf '/dev/root / ext4 defaults,noatime 0 1\n' >"$r/etc/fstab"
	network host 52:54:00:00:02:0f 10.0.2.15/24 >"$r/etc/systemd/network/80-host.network"
	network world 52:54:00:00:03:0f 10.0.3.15/24 >"$r/etc/systemd/network/80-world.network"
	rm -f "$r/etc/apt/sources.list" "$r"/etc/apt/sources.list.d/*
	install -m 644 "$here/guest/vtpm.service" "$r/etc/systemd/system/"
	install -d "$r/etc/systemd/system/sysinit.target.wants"
	ln -sf /etc/systemd/system/vtpm.service "$r/etc/systemd/system/sysinit.target.wants/"
	: >"$r/etc/machine-id"
	install -d -m 700 "$r/root/.ssh"
	install -m 600 "$cache/key.pub" "$r/root/.ssh/authorized_keys"
	# Profiles of programs that are not here take seconds to compile.
	for unit in lsb_release nvidia_modprobe; do ln -sf "/etc/apparmor.d/$unit" "$r/etc/apparmor.d/disable/"; done
	ln -sf /lib/systemd/system/systemd-networkd.service "$r/etc/systemd/system/multi-user.target.wants/"
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
		systemd-networkd-wait-online.service systemd-timesyncd.service getty@.service \
		dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
		modprobe@drm.service modprobe@fuse.service modprobe@efi_pstore.service; do
		ln -sf /dev/null "$r/etc/systemd/system/$unit"
	done
	sh "$here/guest/hasten.sh" "$r"
}

# What the image is made of: this recipe, and Debian's packages as they are now. Without a network, what is there is good.
recipe() {
	local index
	index=$(mktemp)
	if /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$site/dists/$suite/InRelease" "$index" >/dev/null 2>&1; then
		sed -n 's|^ \([0-9a-f]\{64\}\) .* main/binary-arm64/Packages$|\1|p' "$index"
	else
		tail -n 1 "$cache/image.made" 2>/dev/null || true
	fi
	rm -f "$index"
}

is_sound() {
	local file
	for file in kernel initrd.img pi3.dtb key key.pub; do [ -s "$cache/$file" ] || return 1; done
	e2fsck -fn "$cache/disk.img" >/dev/null 2>&1
}

build_image() {
	local want kernel_tree=$cache/kernel-tree root_tree=$cache/root-tree version excludes=() path site extracting
	mkdir -p "$cache"
	site=$(mirror)
	want=$({ declare -f build_image settle network initrd installed && echo "$suite ${guest_packages[*]} ${unused_modules[*]}" &&
		cat "$here/guest/vtpm.service" "$here/guest/hasten.sh"; } | sha256sum && recipe)
	if [ "$(cat "$cache/image.made" 2>/dev/null)" = "$want" ] && is_sound; then
		echo "kept"
		return 0
	fi
	rm -f "$cache/image.made"
	emulator_on
	# Extracted, never installed: its scripts would make an initramfs.
	extracted "$kernel_tree" linux-image-arm64 busybox-static &
	extracting=$!
	installed "$root_tree" "${guest_packages[@]}"
	wait "$extracting"
	version=$(basename "$(echo "$kernel_tree"/lib/modules/*)")
	depmod -b "$kernel_tree" "$version"
	cp "$kernel_tree/boot/vmlinuz-$version" "$cache/kernel"
	cp "$kernel_tree/usr/lib/linux-image-$version/broadcom/bcm2837-rpi-3-b.dtb" "$cache/pi3.dtb"
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

build_tidegate() {
	rm -rf "$cache/packages"
	"$top/packaging/build-deb.sh" --suite "$suite" --arch arm64 --out "$cache/packages"
}

case ${1:-} in
tools) build_tools ;;
image) build_image ;;
tidegate) build_tidegate ;;
*) sed -n '4,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
