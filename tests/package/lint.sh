#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# lint.sh DEB...: what can be said of packages without installing them. Of each: lintian (this machine's, so of its release),
# the hardening of every program, the processor that they are for, what is depended on and never linked, and what is a conffile.
# Their dbgsym packages, beside them, are looked at by lintian alone. Needs lintian and devscripts.

set -u
failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

complain() {
	echo "FAILED: $*"
	failed=1
}

# Every tag counts, down to the ones that are but a matter of taste.
judged_by_lintian() {
	lintian --allow-root -I --pedantic -E --fail-on error,warning,info,pedantic,experimental "$@" >"$work/tags" 2>&1 ||
		complain "lintian of ${1##*/}: $(cat "$work/tags")"
	grep -E '^[EWIPX]: ' "$work/tags" && complain "lintian has something to say"
}

# A word beside each override, or it is none.
overrides_have_reasons() { # FILE
	awk '/^#/ { reason = 1; next } NF && !reason { print "no reason for: " $0; bad = 1 } NF { reason = 0 } END { exit bad }' "$1" ||
		complain "${1##*/}"
}

# "yes" or "unknown, no protectable libc functions used" to every question. Not asked: marks of control flow, which Debian 12's own
# start-up files of the C library lack.
hardened() { # PROGRAM
	local said
	said=$(hardening-check --nocfprotection "$1" 2>&1) || complain "hardening-check: $said"
}

right_processor() { # PROGRAM ARCHITECTURE
	local machine
	machine=$(readelf --file-header --arch-specific "$1" |
		sed -nE 's/^ *(Machine|Tag_CPU_arch|Class): *//p' | tr '\n' ' ')
	case "$2 $machine" in
	'amd64 ELF64 Advanced Micro Devices X86-64 ' | 'arm64 ELF64 AArch64 ' | 'armhf ELF32 ARM v7 ') ;;
	*) complain "${1#"$work/"} is for $machine, in a package for $2" ;;
	esac
	readelf --dynamic "$1" | grep -E 'RPATH|RUNPATH' && complain "${1#"$work/"} looks for libraries in places of its own"
}

programs_of() { # DEB ARCHITECTURE
	local file n=0
	rm -rf "$work/tree"
	dpkg-deb --extract "$1" "$work/tree"
	while read -r file; do
		readelf --file-header "$file" >/dev/null 2>&1 || continue
		n=$((n + 1))
		hardened "$file"
		right_processor "$file" "$2"
	done < <(find "$work/tree" -type f -perm /111)
	[ $n -ge 3 ] || complain "${1##*/} has $n programs"
}

depends() { # DEB FIELD WORD
	dpkg-deb --field "$1" "$2" | tr ',' '\n' | grep -qE "^ *$3( |\$)" || complain "$2 of ${1##*/} lacks $3"
}

# What is opened by name is no matter of the linker. And nobody is ever asked about a changed file: what is shipped in /etc is
# what nobody has reason to edit.
control_of() { # DEB
	depends "$1" Depends 'libtss2-tcti-device0t64 \| libtss2-tcti-device0'
	depends "$1" Depends tpm-udev
	depends "$1" Recommends tpm2-openssl
	dpkg-deb --ctrl-tarfile "$1" | tar -xO ./conffiles | grep -vE '^/etc/(tidegate/conf\.d/README|apparmor\.d/.*)$' &&
		complain "a conffile that people edit"
	dpkg-deb --contents "$1" | awk '$2 != "root/root" || ($1 !~ /^l/ && $1 ~ /^.....w|^........w|^...s|^......s/)' | grep . &&
		complain "owners and modes in ${1##*/}"
}

for deb in "$@"; do
	architecture=$(dpkg-deb --field "$deb" Architecture)
	judged_by_lintian "$deb" "${deb/tidegate_/tidegate-dbgsym_}"
	programs_of "$deb" "$architecture"
	control_of "$deb"
	echo "${deb##*/}: looked at"
done
for file in "$(dirname "$0")"/../../packaging/debian/*lintian-overrides; do
	overrides_have_reasons "$file"
done
exit $failed
