#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# installed.sh: what the package has brought to a fresh Debian, before it is configured: files, account, units, programs. Runs
# inside, as root; says what it looked for when it fails.

set -eu
state=/var/lib/tidegate
etc=/etc/tidegate
version=$(dpkg-query -W -f '${Version}' tidegate)
# The package adds the release of Debian that it is for.
version=${version%~deb*}

die() {
	echo "FAILED: $*" >&2
	exit 1
}

# has PATH OWNER:GROUP MODE
has() {
	[ -e "$1" ] || die "expected $1, there is none"
	found=$(stat -c '%U:%G %a' "$1")
	[ "$found" = "$2 $3" ] || die "expected $1 of $2 with mode $3, found $found"
}

lacks() { [ ! -e "$1" ] || die "expected no $1"; }

# says TEXT COMMAND...: it succeeds, and TEXT is in what it prints.
says() {
	text=$1
	shift
	"$@" >/tmp/said 2>&1 || die "expected success of $*, got: $(cat /tmp/said)"
	grep -qF -e "$text" /tmp/said || die "expected '$text' from $*, got: $(cat /tmp/said)"
}

# fails CODE TEXT COMMAND...
fails() {
	code=$1 text=$2 got=0
	shift 2
	"$@" >/tmp/said 2>&1 || got=$?
	[ "$got" = "$code" ] || die "expected exit $code of $*, got $got: $(cat /tmp/said)"
	grep -qF -e "$text" /tmp/said || die "expected '$text' from $*, got: $(cat /tmp/said)"
}

look_at_files() {
	has /usr/sbin/tidegated root:root 755
	has /usr/bin/tidegate root:root 755
	has /usr/libexec/tidegate/tidegate-provision root:root 755
	has $etc/conf.d/README root:root 644
	has /etc/apparmor.d/usr.sbin.tidegated root:root 644
	has /etc/apparmor.d/local/usr.sbin.tidegated root:root 644
	lacks $etc/tidegate.conf
	has $state tidegate:tidegate 700
	has $state/claim tidegate:tidegate 700
	has /usr/share/doc/tidegate/examples/aws/thing-policy.json root:root 644
	has /usr/share/doc/tidegate/rotation.md root:root 644
	has /usr/share/doc/tidegate/enrolment-est.md root:root 644
	has /usr/share/doc/tidegate/enrolment-manual.md root:root 644
	has /usr/share/doc/tidegate/examples/est/tidegate.conf root:root 644
	has /usr/share/doc/tidegate/messages.md root:root 644
	for page in man1/tidegate.1 man5/tidegate.conf.5 man8/tidegated.8 man8/tidegate-provision.8; do
		has /usr/share/man/$page.gz root:root 644
	done
	dpkg -L tidegate | while read -r path; do
		[ -L "$path" ] || find "$path" -maxdepth 0 -perm /6022
	done >/tmp/wrong
	[ ! -s /tmp/wrong ] || die "expected nothing set-id or writable to others, found: $(cat /tmp/wrong)"
	dpkg --verify tidegate >/tmp/wrong
	[ ! -s /tmp/wrong ] || die "expected files as packaged, found: $(cat /tmp/wrong)"
}

look_at_account() {
	says "$state" getent passwd tidegate
	says nologin getent passwd tidegate
	for group in tidegate i2c spi gpio tss dialout; do
		getent group $group >/dev/null || die "expected the group $group"
	done
	says tss id -nG tidegate
}

look_at_units() {
	unit=$(dpkg -L tidegate | grep '/tidegate\.service$') || die "expected a unit"
	for link in multi-user.target.wants/tidegate.service sockets.target.wants/tidegate.socket; do
		[ -L "/etc/systemd/system/$link" ] || die "expected $link, as what is installed is enabled"
	done
	systemd-analyze verify --man=no "$unit" "${unit%.service}.socket" >/tmp/said 2>&1 || die "systemd-analyze verify: $(cat /tmp/said)"
	[ ! -s /tmp/said ] || die "expected nothing from systemd-analyze verify, got: $(cat /tmp/said)"
	systemd-analyze security --no-pager --offline=true --threshold=15 "$unit" >/tmp/said 2>&1 ||
		die "expected an exposure of at most 1.5: $(tail -n 1 /tmp/said)"
	tail -n 1 /tmp/said
	journalctl --update-catalog
	says 'TPM does not answer' journalctl --list-catalog
}

look_at_programs() {
	says "tidegated $version" tidegated --version
	says "tidegate $version" tidegate --version
	says "tidegate-provision $version" /usr/libexec/tidegate/tidegate-provision --version
	buses=$(cat /usr/share/doc/tidegate/examples/conf.d/*.conf | grep -c '^\[bus ')
	says "ok, $buses buses" tidegate check /usr/share/doc/tidegate/examples
	fails 78 unknown sh -c 'printf "[mqtt]\nendpiont = x\n" >/tmp/bad.conf; exec tidegate check /tmp/bad.conf'
	fails 1 'systemctl status tidegate' tidegate status
	# Libraries that are opened by name are no matter of the linker: without its TCTI this would fail on the library.
	printf '[tpm]\ntcti = device:/dev/no-tpm-here\n' >/tmp/tpm.conf
	fails 1 /dev/no-tpm-here /usr/libexec/tidegate/tidegate-provision --config /tmp/tpm.conf identity
	find /usr/lib -name 'libtss2-tcti-device.so.0*' | grep -q . || die "expected the TCTI for devices"
}

look_at_files
look_at_account
look_at_units
look_at_programs
