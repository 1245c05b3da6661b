#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# build-deb.sh [--suite bookworm|trixie|all] [--arch amd64|arm64|armhf|all] [--out DIR] [-- OPTIONS of dpkg-buildpackage]
#
# Builds the Debian package from what is committed: the tree of HEAD goes to a directory of its own, packaging/debian becomes its
# debian/ there, and changes that are not committed stay out.
#
#   build-deb.sh                            on this machine, for its own release and processor
#   build-deb.sh --suite all --arch all     all six, as root
#
# With --suite or --arch it builds in a chroot of that release, for another processor with a cross compiler. The chroots are made
# with mmdebstrap when they are needed first, and kept in build/chroot; the mirror is the one that apt uses here.
#
# What is built for a release carries it in its version, 0.1.0~deb12 or 0.1.0~deb13, so that one pool of an archive holds both and
# an upgrade of Debian brings the other. It comes to DIR/SUITE (build/deb/SUITE), which is an apt source as it stands:
#
#   deb [trusted=yes] file:/.../build/deb/bookworm ./
#
# The options, in place of -us -uc -b, are for all builds alike. DEB_BUILD_OPTIONS=nocheck leaves the unit tests out; a cross
# build never runs them.

set -eu
. "$(dirname "$0")/../tests/lib.sh"

suites=() arches=() built=()
out=$top/build/deb chrooted=no
native=$(dpkg --print-architecture)

usage() { sed -n '4,24s/^# \{0,1\}//p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
	case $1 in
	--) shift; break ;;
	--suite | --arch | --out) [ $# -ge 2 ] || usage ;;&
	--suite | --arch) chrooted=yes ;;&
	--suite) read -ra suites <<<"${2/#all/bookworm trixie}" ;;
	--arch) read -ra arches <<<"${2/#all/amd64 arm64 armhf}" ;;
	--out) mkdir -p "$2"; out=$(realpath "$2") ;;
	*) usage ;;
	esac
	shift 2
done
[ $# -gt 0 ] || set -- -us -uc -b

release_of() {
	case $1 in
	bookworm) echo 12 ;;
	trixie) echo 13 ;;
	*) echo "there is no package for '$1', only for bookworm and trixie" >&2; return 1 ;;
	esac
}

# stage SUITE DIR: the source package of that release, unpacked.
stage() {
	local release tree=$2
	release=$(release_of "$1")
	rm -rf "$tree"
	mkdir -p "$tree"
	# A file between the two, as a pipe would hide a failure of git.
	git -C "$top" archive --format=tar --output="$tree.tar" HEAD
	tar -x -C "$tree" -f "$tree.tar"
	rm "$tree.tar"
	mv "$tree/packaging/debian" "$tree/debian"
	sed -i -E "1s/^(tidegate) \(([^)]*)\) [a-z]+;/\1 (\2~deb$release) $1;/" "$tree/debian/changelog"
}

# deliver STAGE SUITE: what a build left beside its tree goes to the apt source of the release.
deliver() {
	mkdir -p "$out/$2"
	local deb
	for deb in "$1"/tidegate_*.deb; do [ ! -e "$deb" ] || built+=("$out/$2/${deb##*/}"); done
	(
		cd "$1"
		rm -rf tidegate
		mv -f -- * "$out/$2/"
		cd "$out/$2"
		dpkg-scanpackages --multiversion . 2>/dev/null >Packages
	)
	rmdir "$1"
}

build_here() {
	local suite stage
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	stage=$out/stage-$suite
	rm -rf "$stage"
	stage "$suite" "$stage/tidegate"
	(cd "$stage/tidegate" && dpkg-buildpackage "$@")
	deliver "$stage" "$suite"
}

# What the package is built with, for one processor, in the chroot of one release. A chroot that ends half-way gets its mark not,
# and the next build goes on with it; after a month it is made anew.
# shellcheck disable=SC2016
build_packages_of() { # SUITE ARCH PROFILES
	local mark=$root.$2 want compiler=
	[ "$2" = "$native" ] || compiler=crossbuild-essential-$2
	want=$(sed -n '/^Build-Depends:/,/^[^ ]/p' "$top/packaging/debian/control" | sha256sum)
	[ "$(cat "$mark" 2>/dev/null)" != "$want" ] || return 0
	rm -f "$mark"
	in_chroot /bin/sh -eu -c '
		export DEBIAN_FRONTEND=noninteractive
		# Libraries for two processors lie beside each other, but in Debian 13 not with their manuals (libpsl-dev).
		echo "path-exclude=/usr/share/man/*" >/etc/dpkg/dpkg.cfg.d/manuals
		rm -rf /usr/share/man/*
		dpkg --add-architecture "$1"
		apt-get -q update
		install="apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0"
		dpkg --configure -a || $install --fix-broken install
		[ -z "$3" ] || $install install "$3"
		$install build-dep --host-architecture "$1" --build-profiles "$2" /build/tidegate
		apt-get clean' sh "$2" "$3" "$compiler"
	echo "$want" >"$mark"
}

# shellcheck disable=SC2016
build_in_chroot() { # SUITE ARCH OPTIONS...
	local suite=$1 arch=$2 stage=$out/stage-$1-$2 profiles=cross,nocheck
	shift 2
	[ "$arch" != "$native" ] || profiles=
	rm -rf "$stage"
	stage "$suite" "$stage/tidegate"
	find "$top/build/chroot" -maxdepth 1 -name "deb-$suite.made" -mtime +30 -delete 2>/dev/null || :
	[ -e "$top/build/chroot/deb-$suite.made" ] || rm -f "$top/build/chroot/deb-$suite".a*
	chroot_of "deb-$suite" "$suite" build-essential debhelper cmake
	binds=("$stage" /build)
	build_packages_of "$suite" "$arch" "$profiles"
	in_chroot /bin/sh -eu -c '
		export DEB_BUILD_OPTIONS="$1" DEB_BUILD_PROFILES="$2"; shift 2
		cd /build/tidegate
		exec dpkg-buildpackage "$@"' sh "${DEB_BUILD_OPTIONS:-}" "${profiles//,/ }" --host-arch "$arch" "$@"
	deliver "$stage" "$suite"
}

if [ $chrooted = no ]; then
	build_here "$@"
else
	[ "$(id -u)" = 0 ] || { echo "only root can make chroots" >&2; exit 1; }
	[ ${#suites[@]} -gt 0 ] || suites=("$(. /etc/os-release && echo "$VERSION_CODENAME")")
	[ ${#arches[@]} -gt 0 ] || arches=("$native")
	install_packages mmdebstrap dpkg-dev
	# Two builds at a time would trip over each other's packages.
	mkdir -p "$top/build/chroot"
	exec 9>"$top/build/chroot/deb.lock"
	flock 9
	for suite in "${suites[@]}"; do
		release_of "$suite" >/dev/null
		for arch in "${arches[@]}"; do
			build_in_chroot "$suite" "$arch" "$@"
		done
	done
fi
printf '%s\n' "${built[@]}"
