#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# reproducible.sh DIR: builds on this machine what packaging/build-deb.sh has built into DIR, once more and differently: another
# place, time of the files, umask, time zone, home, number of jobs, and name of the machine. All packages come out byte for byte
# the same, or it says in what they differ.

set -eu
first=$(realpath "$1")
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The same tree in a commit of another day, which is the time that its files get.
again="$work/in quite another place"
git clone -q --no-local "$top" "$again"
export GIT_AUTHOR_NAME=nobody GIT_AUTHOR_EMAIL=nobody@example.org GIT_COMMITTER_NAME=nobody GIT_COMMITTER_EMAIL=nobody@example.org
export GIT_AUTHOR_DATE='2026-12-24T12:00:00Z' GIT_COMMITTER_DATE='2026-12-24T12:00:00Z'
git -C "$again" checkout -q --detach "$(git -C "$again" commit-tree -m again 'HEAD^{tree}')"

other_name=()
! unshare --uts true 2>/dev/null || other_name=(unshare --uts sh -c 'hostname elsewhere && exec "$@"' sh)
mkdir -m 755 "$work/home"
umask 027
env HOME="$work/home" TZ=Pacific/Kiritimati LC_ALL=C USER=somebody DEB_BUILD_OPTIONS=nocheck \
	"${other_name[@]}" "$again/packaging/build-deb.sh" --out "$work/out" -- -us -uc -b -j3 >"$work/log" 2>&1 ||
	{ tail -n 40 "$work/log"; exit 1; }

differ() {
	echo "FAILED: ${1##*/} is another one when it is built again"
	if command -v diffoscope >/dev/null; then
		diffoscope --text - "$1" "$2" | head -n 60
	else
		dpkg-deb -R "$1" "$work/a" && dpkg-deb -R "$2" "$work/b" && diff -rq "$work/a" "$work/b" | head -n 20
	fi
	exit 1
}

n=0
for deb in "$work"/out/*/*.deb; do
	cmp -s "$first/${deb##*/}" "$deb" || differ "$first/${deb##*/}" "$deb"
	echo "${deb##*/}: the same, $(sha256sum <"$deb" | cut -c1-16)"
	n=$((n + 1))
done
[ $n -ge 2 ] || { echo "FAILED: $n packages were built"; exit 1; }
