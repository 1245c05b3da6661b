#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# unit.sh BUILD: installs the build into a scratch root and has systemd's own tools judge what is for them: units (and the
# exposure of the sandbox), users, directories, catalog; and mandoc the manual pages.

set -u
build=$1
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
failed=0

complain() {
	echo "FAILED: $*"
	failed=1
}

# silent WHAT COMMAND...: succeeds and has nothing to say.
silent() {
	local what=$1 said
	shift
	said=$("$@" 2>&1) || complain "$what fails"
	[ -z "$said" ] || complain "$what says: $said"
}

# pinned UNIT LINE: without it something has gone wrong before, on a machine and not in a test.
pinned() { grep -qxF -e "$2" "$1" || complain "${1##*/} lacks $2"; }
never() {
	local found
	found=$(grep -nE "^($2)" "$1") && complain "${1##*/} must not have: $found"
}

DESTDIR=$root cmake --install "$build" >"$root/log" || complain "cmake --install fails: $(tail -n 3 "$root/log")"
service=$(find "$root" -name tidegate.service)
socket=$(find "$root" -name tidegate.socket)
if [ -z "$service" ] || [ -z "$socket" ]; then
	complain "no units are installed"
	exit 1
fi

# Judged with the programs that were installed beside them.
mkdir "$root/units"
sed -E "s#^(ExecStart|ExecReload)=#&$root#" "$service" >"$root/units/tidegate.service"
cp "$socket" "$root/units/"
can=$(find "$root" -path '*/system/tidegate-can@.service')
sed -E "s#^(ExecStart|ExecStop)=#&$root#" "$can" >"$root/units/tidegate-can@can0.service"
silent "systemd-analyze verify" systemd-analyze verify --man=no "$root"/units/tidegate.{service,socket} "$root/units/tidegate-can@can0.service"
systemd-analyze security --no-pager --offline=true --threshold=15 "$service" >"$root/score" 2>&1 ||
	complain "the exposure is above 1.5"
tail -n 1 "$root/score"
cp "$can" "$root/tidegate-can@can0.service"
systemd-analyze security --no-pager --offline=true --threshold=14 "$root/tidegate-can@can0.service" >"$root/score" 2>&1 ||
	complain "the exposure of the unit for CAN interfaces is above 1.4"
tail -n 1 "$root/score"

pinned "$service" "Type=notify"
pinned "$service" "RestartPreventExitStatus=78"
pinned "$service" "StartLimitIntervalSec=0"
pinned "$socket" "FlushPending=yes"
pinned "$socket" "ListenStream=/run/tidegate-control.sock"
condition="ConditionPathExists=/etc/tidegate/tidegate.conf"
pinned "$service" $condition
pinned "$socket" $condition
never "$service" "Wants=|BindsTo=|(After|Requires)=.*(network-online|time-sync)"
never "$service" "ProcSubset=|ExecReload=.*kill|LoadCredential[A-Za-z]*=[^:]*:/"
# A group that is missing keeps the service from starting: each one comes from here or from a package that is depended on.
sysusers=$(find "$root" -path '*/sysusers.d/tidegate.conf')
read -ra groups < <(sed -n 's/^SupplementaryGroups=//p' "$service")
[ ${#groups[@]} -gt 0 ] || complain "the service has no groups"
for group in "${groups[@]}"; do
	case $group in
	tss | dialout) ;;
	*) grep -qE "^g +$group " "$sysusers" || complain "nothing makes the group $group" ;;
	esac
done
# Devices are looked up by their drivers' names when the service starts.
grep -qx i2c-dev "$(find "$root" -path '*/modules-load.d/tidegate.conf')" || complain "nothing loads i2c-dev"
grep -rE 'MODE="0?[0-9]*[1-7]"' "$(dirname "$(find "$root" -name 60-tidegate.rules)")" && complain "a udev rule opens devices to everybody"
# Newer systems have a judge of rules, too.
if udevadm verify --help >/dev/null 2>&1; then
	udevadm verify --resolve-names=never "$(dirname "$(find "$root" -name 60-tidegate.rules)")" >"$root/log" 2>&1 ||
		complain "udevadm verify: $(cat "$root/log")"
fi
# Where namespaces are not to be had, that is said, and no failure.
/usr/bin/python3 "$(dirname "$0")/rules.py" >"$root/log" 2>&1
case $? in
0) tail -n 3 "$root/log" | head -n 1 ;;
77) echo "udev rules not tried: $(tail -n 1 "$root/log")" ;;
*) complain "udev rules: $(cat "$root/log")" ;;
esac

mkdir -p "$root/fresh/etc" "$root/fresh/usr/lib/systemd/catalog" "$root/fresh/var/lib/systemd/catalog"
printf 'root:x:0:0::/root:/bin/sh\n' >"$root/fresh/etc/passwd"
printf 'root:x:0:\ntss:x:999:\n' >"$root/fresh/etc/group"
cp "$sysusers" "$root/fresh/sysusers.conf"
systemd-sysusers --root="$root/fresh" "$root/fresh/sysusers.conf" >"$root/log" 2>&1 || complain "systemd-sysusers: $(cat "$root/log")"
grep -q '^tidegate:' "$root/fresh/etc/passwd" || complain "systemd-sysusers makes no user tidegate"
for group in i2c spi gpio; do
	grep -q "^$group:" "$root/fresh/etc/group" || complain "systemd-sysusers makes no group $group"
done
if [ "$(id -u)" = 0 ]; then
	silent systemd-tmpfiles systemd-tmpfiles --root="$root/fresh" --create "$(find "$root" -path '*/tmpfiles.d/tidegate.conf')"
	[ "$(stat -c %a "$root/fresh/var/lib/tidegate/claim")" = 700 ] || complain "no /var/lib/tidegate/claim of mode 0700"
fi

cp "$(find "$root" -name tidegate.catalog)" "$root/fresh/usr/lib/systemd/catalog/"
silent "journalctl --update-catalog" journalctl --root="$root/fresh" --update-catalog
[ "$(journalctl --root="$root/fresh" --list-catalog 2>/dev/null | wc -l)" = \
	"$(grep -c '^-- ' "$root/fresh/usr/lib/systemd/catalog/tidegate.catalog")" ] || complain "the catalog is not taken as a whole"

# Pages that it does not know are no fault of the page.
mandoc -Tlint -Wwarning "$(dirname "$0")"/../../packaging/man/*.[158] | grep -v 'outdated mandoc.db' && complain "mandoc"

[ $failed = 0 ] && echo "units, users, directories, catalog and manual pages are as systemd and mandoc want them"
exit $failed
