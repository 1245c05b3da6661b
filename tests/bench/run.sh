#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/bench/run.sh [--build DIR] [--seconds N] [handshake] [memory] [latency] [fast] [outage] [drain]
#
# Measurements, to be run by hand on a machine that does nothing else; doc/performance.md has figures and what they mean.
#
#   handshake  what a TPM-signed TLS handshake costs beyond the TPM's own time (limit 2 ms)
#   memory     resident memory of tidegated with 100 points every second (limit 14 MB)
#   latency    100 points every 100 ms: CPU time, and the time from the device to a subscriber
#   fast       the same with 1000 points every 100 ms
#   outage     1000 points every 100 ms while the broker is away for a minute: memory before, during, after
#   drain      20,000 messages of 60 readings that wait, without a rate limit (at least 50,000 readings/s)
#
# Without names all of them, with the release preset's build. Run as root: installs what is missing with apt, starts no
# service of the machine, uses loopback and free ports. Exits 1 when a limit is passed or missed.

# shellcheck disable=SC2317 # functions are called by name
set -u
. "$(dirname "$0")/../lib.sh"

build=$top/build/release built=no seconds=60 wanted=()
while [ $# -gt 0 ]; do
	case $1 in
	--build) build=$2 built=yes && shift ;;
	--seconds) seconds=$2 && shift ;;
	handshake | memory | latency | fast | outage | drain) wanted+=("$1") ;;
	*) sed -n '4,17s/^# \{0,1\}//p' "$0" && exit 2 ;;
	esac
	shift
done
[ ${#wanted[@]} -gt 0 ] || wanted=(handshake memory latency fast outage drain)

work=$(mktemp -d /tmp/tidegate-bench.XXXXXX) || exit 1
logs=$work/log
mkdir "$logs"
trap 'end_processes; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$top" || exit 1

build_tree() { cmake --preset release && cmake --build --preset release; }

# At real-time priority, where that is allowed, other work of the machine does not lengthen a signature by time slices.
alone=()
! chrt -r 10 true 2>/dev/null || alone=(chrt -r 10)

bench_handshake() {
	local tcti=swtpm:path=$work/tpm.sock
	mkdir "$work/tpm"
	background swtpm "${alone[@]}" swtpm socket --tpm2 --tpmstate dir="$work/tpm" --server type=unixio,path="$work/tpm.sock" \
		--ctrl type=unixio,path="$work/tpm.sock.ctrl" --flags not-need-init,startup-clear
	wait_for 10 "the TPM" env TPM2TOOLS_TCTI="$tcti" tpm2_getrandom --hex 4 || return 1
	TSS2_LOG=all+none "${alone[@]}" "$build/tests/bench/bench-tpm" "$tcti"
}

gateway() { TIDEGATE_BUILD=$build /usr/bin/python3 "$top/tests/bench/gateway.py" --seconds "$seconds" "$@"; }
bench_memory() { gateway --memory --every 1000ms; }
bench_latency() { gateway --latency --every 100ms; }
bench_fast() { gateway --latency --every 100ms --devices 10; }
bench_drain() { gateway --drain 20000 --every 1000ms; }
bench_outage() { gateway --outage --every 100ms --devices 10; }

step "packages" install_packages "${build_packages[@]}" "${bench_packages[@]}" || exit 1
[ $built = yes ] || step "build" build_tree || exit 1

echo "$(date -u +%F), $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) CPUs, $(uname -sr)," \
	"load $(cut -d' ' -f1-3 /proc/loadavg)"
failed=0
for name in "${wanted[@]}"; do
	say "$name"
	"bench_$name" || { bad "$name"; failed=1; }
done
exit $failed
