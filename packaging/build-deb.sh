#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# build-deb.sh [OPTIONS of dpkg-buildpackage; -us -uc -b unless given]
#
# Builds the Debian package from what is committed: the tree of HEAD goes to a directory of its own, packaging/debian becomes
# its debian/ there, and changes that are not committed stay out. The result is in build/deb, or in $OUT.

set -eu

top=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
out=${OUT:-$top/build/deb}
version=$(dpkg-parsechangelog -l "$top/packaging/debian/changelog" -S Version)
stage=$out/tidegate-$version

rm -rf "$stage"
mkdir -p "$stage"
# A file between the two, as a pipe would hide a failure of git.
git -C "$top" archive --format=tar --output="$out/tree.tar" HEAD
tar -x -C "$stage" -f "$out/tree.tar"
rm "$out/tree.tar"
mv "$stage/packaging/debian" "$stage/debian"

[ $# -gt 0 ] || set -- -us -uc -b
cd "$stage"
dpkg-buildpackage "$@"
cd "$out"
rm -rf "$stage"
ls -1 -- *"_${version}"*
