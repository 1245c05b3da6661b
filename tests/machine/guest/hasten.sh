#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# guest/hasten.sh ROOT
#
# What an emulated machine takes half of each boot and of each `systemctl daemon-reload` for, and nobody needs: generators that find
# nothing, units without a use here, and events for a hundred terminals of a screen that it has not.

set -eu
system=$1/etc/systemd/system

mkdir -p "$1/etc/systemd/system-generators" "$system/systemd-udev-trigger.service.d"
for path in "$1"/lib/systemd/system-generators/*; do
	[ "${path##*/}" = systemd-fstab-generator ] || ln -sf /dev/null "$1/etc/systemd/system-generators/${path##*/}"
done

for unit in systemd-binfmt.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount dev-mqueue.mount \
	sys-kernel-config.mount sys-fs-fuse-connections.mount modprobe@configfs.service modprobe@dm_mod.service modprobe@loop.service \
	systemd-pstore.service systemd-random-seed.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
	systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-tmpfiles-clean.timer; do
	ln -sf /dev/null "$system/$unit"
done

cat >"$system/systemd-udev-trigger.service.d/fewer.conf" <<'END'
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=subsystems --action=add
ExecStart=-udevadm trigger --type=devices --action=add --subsystem-nomatch=tty --subsystem-nomatch=vc --subsystem-nomatch=mem \
	--subsystem-nomatch=bdi --subsystem-nomatch=event_source --subsystem-nomatch=clockevents
END
