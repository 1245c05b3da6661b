#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# apparmor.sh: the AppArmor profile as its parser sees it, and against the unit whose sandbox it doubles. Whether it lets the
# agent do its work, and nothing else, is seen on a booted machine alone: tests/machine/test_apparmor.py.

set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
profile=$top/packaging/apparmor/usr.sbin.tidegated
unit=$top/systemd/tidegate.service.in
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

complain() {
	echo "FAILED: $*"
	failed=1
}

# rules LABEL: one rule a line, of the agent itself or of one of the profiles in it, without comments and qualifiers of exec.
rules() {
	awk -v wanted="$1" '
		/^[[:space:]]*(#|$)/ { next }
		/^profile / { label = "tidegated"; next }
		/^  profile / { label = $2; next }
		/^  }/ { label = "tidegated"; next }
		label == wanted && /[^ ]/ { gsub(/^ +/, ""); text = text (text ? " " : "") $0 }
		text ~ /,$|^include / { print text; text = "" }' "$profile"
}

# This machine may have another kernel than the gateway, or one without AppArmor: what Debian 12 says of its own counts.
compile() { apparmor_parser --skip-kernel-load --skip-read-cache --skip-cache --kernel-features /etc/apparmor.d/abi/3.0 "$@"; }

if ! command -v apparmor_parser >/dev/null; then
	echo "no apparmor_parser"
	exit 77
fi
compile --Werror "$profile" >"$scratch/said" 2>&1 || complain "apparmor_parser: $(cat "$scratch/said")"
compile --names "$profile" 2>/dev/null | sort | tr '\n' ' ' >"$scratch/names"
[ "$(cat "$scratch/names")" = "tidegated tidegated//program tidegated//provision " ] || complain "it defines $(cat "$scratch/names")"

grep -nE '\((.*, *)?(complain|unconfined|default_allow)|[[:space:]][a-zA-Z]*[uU]x' "$profile" && complain "it is not enforced everywhere"
grep -nE '^ *(audit )?(allow )?(capability|mount|ptrace|change_profile|userns|all)\b' "$profile" && complain "it grants what nothing needs"
grep -nE '^ *(audit )?(owner )?[^ ]*(@\{HOME|/home|/root|/boot|/dev/(mem|kmem|sd|mmcblk|tpm\[|tpm0))' "$profile" &&
	complain "it opens what is nobody's business"

for label in tidegated provision program; do
	rules $label >"$scratch/$label"
	[ "$(wc -l <"$scratch/$label")" -gt 10 ] || complain "too few rules of $label found"
	for line in 'deny capability,' 'include if exists <local/usr.sbin.tidegated>'; do
		grep -qxF -e "$line" "$scratch/$label" || complain "$label lacks: $line"
	done
done

# Stacked, they have what both allow: a rule that the first has not is for nothing.
for label in provision program; do
	grep -vE '^(signal|audit deny) |ix,$|tidegate-provision mr,$' "$scratch/$label" | grep -vxF -f "$scratch/tidegated" &&
		complain "$label is to be allowed what tidegated is not"
done
grep -E '/dev/tpm|/var/lib/tidegate|credentials|control\.sock|dbus' "$scratch/program" && complain "programs of the site reach what is not theirs"
grep -E '/dev/(i2c|spi|gpio|tty)|dbus|can raw|(bin|local).*x,' "$scratch/provision" && complain "the helper reaches what it has no use for"

# Every program that the unit lets run, and every kind of device that it opens.
grep -q '^ExecStart=@CMAKE_INSTALL_FULL_SBINDIR@/tidegated' "$unit" || complain "the profile is for /usr/sbin/tidegated"
classes=0
while read -r class; do
	classes=$((classes + 1))
	case $class in
	tpm) path=/dev/tpmrm ;;
	tty*) path="/dev/tty{[A-Z,]*${class#tty}[,}]" ;;
	*) path=/dev/$class ;;
	esac
	grep -qE "^$path" "$scratch/tidegated" || complain "the unit opens char-$class, the profile does not"
done < <(sed -nE 's/^DeviceAllow=char-([A-Za-z0-9]+) .*/\1/p' "$unit" | sed 's/spi$/spidev/')
[ $classes -ge 5 ] || complain "only $classes kinds of devices found in the unit"

[ $failed = 0 ] && echo "the profile is what its parser and the unit want: $(cat "$scratch/names")"
exit $failed
