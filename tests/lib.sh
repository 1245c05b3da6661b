# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What is assigned here is used by those who source it, and the other way round.
# shellcheck disable=SC2034,SC2154
#
# What tests/demo.sh and tests/run.sh share: packages, steps with time and result, processes that end with the script.
# Sourced, not run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The two scripts run on a machine that has nothing; the list is what building and testing need, all from Debian.
build_packages=(
	cmake ninja-build gcc libc6-dev pkgconf git ca-certificates
	libssl-dev libtss2-dev libpaho-mqtt-dev libmodbus-dev libsqlite3-dev libinih-dev libjansson-dev libcmocka-dev
	libmosquitto-dev libsystemd-dev libcurl4-openssl-dev
)
bench_packages=(swtpm tpm2-tools openssl mosquitto mosquitto-clients python3 python3-cryptography procps)
# HTTP/2 for the EST stand-in, and a client of others' making to try it with.
est_packages=(python3-h2 strongswan-pki libstrongswan-standard-plugins)

# --- output ---------------------------------------------------------------------------------------------------------------

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	c_ok=$'\033[32m' c_bad=$'\033[31m' c_dim=$'\033[2m' c_off=$'\033[0m'
else
	c_ok='' c_bad='' c_dim='' c_off=''
fi
started=$SECONDS

clock() { printf '%s[%3d s]%s' "$c_dim" $((SECONDS - started)) "$c_off"; }
say() { printf '%s %s\n' "$(clock)" "$*"; }
good() { printf '%s %sok%s      %s\n' "$(clock)" "$c_ok" "$c_off" "$*"; }
bad() { printf '%s %sFAILED%s  %s\n' "$(clock)" "$c_bad" "$c_off" "$*" >&2; }

spent_ms=0

# step NAME COMMAND...: runs it with its output in $logs/NAME.log; shows the end of it when it fails. Adds what it took of the
# processors to $spent_ms. Returns its exit code; 77 is that it cannot run here, for the reason in its last line.
step() {
	local name=$1 begin=$SECONDS log code user system TIMEFORMAT='%3U %3S'
	shift
	log="$logs/${name//[^A-Za-z0-9]/-}.log"
	{ time "$@" >"$log" 2>&1; } 2>"$log.spent"
	code=$?
	read -r user system <"$log.spent"
	rm -f "$log.spent"
	begin=$((SECONDS - begin)) user=$((10#${user/./} + 10#${system/./}))
	spent_ms=$((spent_ms + user))
	if [ $code = 0 ]; then
		good "$name ($begin s, $(((user + 500) / 1000)) s of the processors)"
		return 0
	fi
	if [ $code = 77 ]; then
		say "cannot  $name: $(tail -n 1 "$log")"
	else
		bad "$name ($begin s); the end of $log:"
		tail -n 40 "$log" >&2
	fi
	return $code
}

# --- packages -------------------------------------------------------------------------------------------------------------

policy=/usr/sbin/policy-rc.d

# Debian's package scripts start services; this machine's are not ours to start. The policy lives only while we install,
# and one that is there already is put back.
forbid_services() {
	[ ! -e $policy ] || mv $policy $policy.tidegate-saved
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
}

allow_services() {
	rm -f $policy
	[ ! -e $policy.tidegate-saved ] || mv $policy.tidegate-saved $policy
}

missing_packages() {
	local p
	for p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null)" = 'ii ' ] || echo "$p"
	done
}

install_packages() {
	local wanted
	mapfile -t wanted < <(missing_packages "$@")
	[ ${#wanted[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "these packages are missing, and only root can install them: ${wanted[*]}"
		return 1
	fi
	(
		trap allow_services EXIT
		forbid_services
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -q &&
			apt-get install -q -y --no-install-recommends -o Dpkg::Use-Pty=0 "${wanted[@]}"
	)
}

# --- chroots -------------------------------------------------------------------------------------------------------------

# The Debian mirror that this machine installs from.
# shellcheck disable=SC2016
mirror() {
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | head -n 1
}

# chroot_of NAME SUITE PACKAGES...: a fresh Debian in build/chroot/NAME, made once for these packages; sets $root. Returns 77
# and says why where there is nothing to make it from. With $architectures it takes packages of others than this machine's too (NAME:ARCHITECTURE).
chroot_of() {
	local suite=$2 site
	root=$top/build/chroot/$1
	shift 2
	install_packages mmdebstrap || return 1
	if [ "$(cat "$root.made" 2>/dev/null)" != "$*" ]; then
		site=$(mirror)
		[ -n "$site" ] || { echo "apt knows no Debian mirror"; return 77; }
		# Never into a mount that an interrupted run has left there.
		rm -rf --one-file-system "$root" "$root.made"
		mkdir -p "$(dirname "$root")"
		mmdebstrap --variant=minbase ${architectures:+--architectures="$architectures"} --include="$(IFS=,; echo "$*")" "$suite" "$root" \
			"deb $site $suite main" || return 1
		[ -e "$root/etc/hosts" ] || echo "127.0.0.1 localhost" >"$root/etc/hosts"
		echo "$*" >"$root.made"
	fi
}

# in_chroot COMMAND...: in $root. $binds: pairs of a directory of this machine and where the command sees it.
binds=()
# shellcheck disable=SC2016
in_chroot() {
	# A mount namespace of our own: whatever happens, no mount is left behind. A root that is a mount itself, as a test inside
	# may want another namespace yet.
	unshare --mount --propagation private sh -c '
		root=$1 pairs=$2; shift 2
		mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 1
		while [ "$pairs" -gt 0 ]; do
			mkdir -p "$root$2" && mount --bind "$1" "$root$2" || exit 1
			pairs=$((pairs - 1)); shift 2
		done
		exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
	' sh "$root" $((${#binds[@]} / 2)) "${binds[@]}" "$@"
}

# --- processes ------------------------------------------------------------------------------------------------------------

pids=()

# background NAME COMMAND...: its output goes to $logs/NAME.log; it is ended with the script. Sets $pid.
background() {
	local name=$1
	shift
	"$@" >"$logs/$name.log" 2>&1 </dev/null &
	pid=$!
	pids+=("$pid")
}

end_process() {
	local n
	kill -TERM "$1" 2>/dev/null || return 0
	for n in $(seq 60); do
		kill -0 "$1" 2>/dev/null || break
		[ "$n" -lt 55 ] || kill -KILL "$1" 2>/dev/null
		sleep 0.1
	done
	wait "$1" 2>/dev/null
	return 0
}

end_processes() {
	local i
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		end_process "${pids[i]}"
	done
	pids=()
}

# wait_for SECONDS WHAT COMMAND...: repeats the command until it succeeds.
wait_for() {
	local until=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $until ]; then
			bad "waited in vain for $what"
			return 1
		fi
		sleep 0.2
	done
}

free_port() {
	/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
