#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# repack.sh DEB VERSION DIR: the same package under another version, for upgrades and downgrades in seconds: files,
# maintainer scripts and dependencies are DEB's. Writes DIR/tidegate_VERSION_ARCH.deb and names it.

set -eu
deb=$1 version=$2 out=$3
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

dpkg-deb --raw-extract "$deb" "$tree"
sed -i "s/^Version: .*/Version: $version/" "$tree/DEBIAN/control"
dpkg-deb --root-owner-group -Znone --build "$tree" "$out/tidegate_${version}_$(dpkg-deb --field "$deb" Architecture).deb" >/dev/null
echo "$out/tidegate_${version}_$(dpkg-deb --field "$deb" Architecture).deb"
