#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# piuparts.sh DEB: Debian's own judge of installing and purging: no file is left or altered that the package has not told of, in
# a fresh Debian of this release. The base is made once for each set of dependencies, with the dependencies in it, as that they
# come is for others to test.

set -eu
. "$(dirname "$0")/../lib.sh"
deb=$(realpath "$1")
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
base=$top/build/chroot/piuparts-$suite.tar.gz
site=$(mirror)
[ -n "$site" ] || { echo "apt knows no Debian mirror"; exit 77; }

# Of alternatives the one that this release has.
depends=$(dpkg-deb --field "$deb" Depends | tr ',' '\n' | sed -E 's/\([^)]*\)//g; s/ //g' | while IFS='|' read -r one other; do
	apt-cache show "$one" >/dev/null 2>&1 && echo "$one" || echo "$other"
done | sort | tr '\n' ,)
if [ "$(cat "$base.made" 2>/dev/null)" != "$depends" ]; then
	mkdir -p "${base%/*}"
	rm -f "$base" "$base.made"
	mmdebstrap --variant=apt --include="$depends" "$suite" "$base" "deb $site $suite main"
	echo "$depends" >"$base.made"
fi

# A mount namespace of its own, so that no mount of its is left.
unshare --mount --propagation private piuparts --distribution "$suite" --basetgz "$base" --mirror "$site main" \
	--no-eatmydata --no-upgrade-test --warn-on-debsums-errors "$deb" >"${base%.tar.gz}.log" 2>&1 ||
	{ tail -n 60 "${base%.tar.gz}.log"; exit 1; }
grep -E 'PASS: |ERROR|FAIL' "${base%.tar.gz}.log" || { echo "FAILED: piuparts has not come to an end"; exit 1; }
