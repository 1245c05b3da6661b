#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# piuparts.sh TREE DEB: Debian's own judge of installing and purging: no file is left or altered that the package has not told
# of. In a copy of TREE, a fresh Debian of this release with what the package depends on, as that this comes is for others to
# test.

set -eu
. "$(dirname "$0")/../lib.sh"
tree=$(realpath "$1") deb=$(realpath "$2")
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
site=$(mirror)
[ -n "$site" ] || { echo "apt knows no Debian mirror"; exit 1; }
log=$top/build/logs/piuparts.log

mkdir -p "${log%/*}"
work=$(mktemp -d /run/tidegate-piuparts.XXXXXX)
trap 'rmdir "$work"' EXIT
# A mount namespace of its own, so that no mount of its is left; the copy is in memory, so that nothing else is either.
# shellcheck disable=SC2016
unshare --mount --propagation private sh -eu -c '
	mount -t tmpfs -o mode=755 tmpfs "$5"
	exec piuparts --distribution "$1" --existing-chroot "$2" --mirror "$3 main" --tmpdir "$5" \
		--no-eatmydata --no-upgrade-test --warn-on-debsums-errors "$4"' sh "$suite" "$tree" "$site" "$deb" "$work" >"$log" 2>&1 ||
	{ tail -n 60 "$log"; exit 1; }
grep -E 'PASS: |ERROR|FAIL' "$log" || { echo "FAILED: piuparts has not come to an end"; exit 1; }
