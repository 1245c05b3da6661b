#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/run.sh [--machine] [--full] [RING...]
#
# The rings of tests, cheapest first. Run as root on Debian 12 or 13: installs what is missing with apt, starts no service
# of the machine, uses loopback and free ports. A ring that cannot run says why and counts as skipped, never as passed.
#
#   static       warnings of gcc, shell scripts, units, manual pages
#   unit         unit tests under ASan and UBSan
#   sim          years of renewals, and days without a broker, under virtual time
#   fuzz         warnings of clang; every fuzz target for a moment, over its corpus
#   threads      provider, mailboxes, pipeline, spool and HTTPS client under TSan
#   integration  real peers: swtpm, mosquitto, Modbus servers, the stand-ins for AWS IoT and EST; under ASan and UBSan
#   cuts         power cuts at every point of the spool and a sample of those of enrolment and rotation; random kills under load
#   demo         tests/demo.sh with the optimised build
#   package      the .deb: built twice alike, looked at by lintian and piuparts, installed and purged in a fresh Debian of this release;
#                its life, its units and their sandbox on a booted systemd in a container
#   trixie       Debian 13: built there, unit tests, udev rules, the demo with each OpenSSL provider, EST with the packaged one
#   machine      (--machine) the arm64 package on a Debian 12 under qemu, with a TPM and the kernel's own buses, made in build/machine
#
# The tests of integration, cuts and demo mostly wait, so these run beside the others, which give way (nice); what they said is
# shown when all are through. Seconds are told as they passed, and as processors spent them.
#
# --full makes fuzzing and simulation longer, builds all with clang, runs all unit tests on Debian 13, the autopkgtests and each
# scenario of the machine, cuts the power at every point, kills 2,000 times, injects all of what is else a sample, and rotates for
# an hour. Logs stay in build/logs; tests/reliability.py --write makes doc/reliability.md of them.

set -u
. "$(dirname "$0")/lib.sh"

rings=() machine=no full=no
while [ $# -gt 0 ]; do
	case $1 in
	--machine) machine=yes ;;
	--full) full=yes ;;
	-*) sed -n '4,28s/^# \{0,1\}//p' "$0" && exit 2 ;;
	*) rings+=("$1") ;;
	esac
	shift
done
if [ ${#rings[@]} = 0 ]; then
	rings=(static unit sim fuzz threads integration cuts demo package trixie)
	[ $machine = no ] || rings+=(machine)
fi

logs=$top/build/logs
mkdir -p "$logs"
cd "$top" || exit 1
jobs=$(nproc)
passed=() failed=() skipped=()

# --- helpers --------------------------------------------------------------------------------------------------------------

# configure PRESET [TARGET...]: one at a time for each preset, as rings may run beside each other.
configure() {
	local preset=$1
	shift
	mkdir -p build
	flock "build/.$preset.lock" cmake --preset "$preset" &&
		flock "build/.$preset.lock" cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"}
}
# What passing tests say is kept for tests/reliability.py, under the name of the step's log.
tests_of() { # PRESET LABEL STEP [ctest options]
	local preset=$1 label=$2 name=$3
	shift 3
	ctest --test-dir "build/$preset" -L "$label" --no-tests=error --output-on-failure --output-junit "$logs/$label--$name.xml" \
		--test-output-size-passed 65536 "$@"
}
count_of() { grep -hoE '[0-9]+ tests failed out of [0-9]+' "$logs/$1.log" | tail -1; }

# The committed tree and nothing else, in a directory of its own.
export_tree() {
	rm -rf "$1" && mkdir -p "$1" && git archive HEAD | tar -x -C "$1"
}

reason_of() { tail -n 1 "$logs/$1.log" | cut -c1-160; }

# --- rings ----------------------------------------------------------------------------------------------------------------

# Packages of a ring that are not those of every build. All of them come in one go at the start.
packages_of() {
	case $1 in
	static) echo apparmor procps shellcheck systemd udev mandoc python3 ;;
	fuzz) echo clang "$(runtime_of_clang)" ;;
	threads | demo) echo "${bench_packages[@]}" ;;
	integration) echo "${bench_packages[@]}" "${est_packages[@]}" tpm2-openssl ;;
	cuts) echo "${bench_packages[@]}" e2fsprogs mount ;;
	package)
		echo build-essential debhelper dh-apparmor dpkg-dev devscripts lintian piuparts systemd udev mmdebstrap \
			systemd-container iproute2 "${bench_packages[@]}"
		;;
	trixie) echo mmdebstrap ;;
	esac
}

# Its libraries have a package of their own, with the version in its name in Debian 12.
runtime_of_clang() {
	case $(. /etc/os-release && echo "$VERSION_CODENAME") in
	bookworm) echo libclang-rt-14-dev ;;
	*) echo libclang-rt-dev ;;
	esac
}

ring_static() {
	step "static: gcc, optimised" configure release &&
		step "static: shell scripts" shellcheck -x -P SCRIPTDIR tests/*.sh tests/machine/*.sh tests/package/*.sh packaging/*.sh .ci/run &&
		step "static: units, manual pages" tests/package/unit.sh build/release &&
		step "static: AppArmor profile" tests/package/apparmor.sh
}

ring_unit() {
	step "unit: build with ASan and UBSan" configure debug &&
		step "unit: tests" tests_of debug unit tests -j "$jobs" && say "         $(count_of unit--tests)"
}

ring_sim() {
	local longer=()
	[ $full = no ] || longer=(--full)
	step "sim: build" configure release &&
		step "sim: renewals" build/release/tests/sim/sim-renewal "${longer[@]}" &&
		grep -E '^(  life|[0-9]+ gateways)' "$logs/sim--renewals.log" | sed 's/^ */         /' &&
		step "sim: outage" build/release/tests/sim/sim-outage "${longer[@]}" &&
		grep -E '^  .*(per reading|by the spool alone)' "$logs/sim--outage.log" | sed 's/^ */         /'
}

ring_fuzz() {
	step "fuzz: build" configure fuzz fuzzers &&
		step "fuzz: warnings of clang in the rest" clang_warnings &&
		step "fuzz: targets" ctest --test-dir build/fuzz -L fuzz --no-tests=error --output-on-failure -j "$jobs" &&
		say "         $(count_of fuzz--targets)" || return 1
	[ $full = no ] || step "fuzz: five minutes each" fuzz_longer
}

# What no fuzzer has in it. They come from its first pass: no code is made. With --full it is, of all, and optimised.
clang_warnings() {
	local commands
	[ $full = no ] || { configure clang; return; }
	commands=$(comm -23 <(compilations all) <(compilations fuzzers))
	echo "$(wc -l <<<"$commands") files"
	[ -n "$commands" ] && (cd build/fuzz && xargs -d '\n' -n 1 -P "$jobs" sh -c <<<"$commands")
}
compilations() {
	ninja -C build/fuzz -t commands "$1" | sed -nE 's/ -MD -MT [^ ]+ -MF [^ ]+ -o [^ ]+ -c / -fsyntax-only /p' | sort -u
}

# Findings stay in build/fuzz; new inputs that reach new code stay beside the smoke runs'.
fuzz_longer() {
	local target name
	while read -r target; do
		name=${target##*/fuzz-}
		"$target" -max_total_time=300 -timeout=10 -rss_limit_mb=1024 -artifact_prefix=build/fuzz/ \
			"build/fuzz/fuzz/$name" "tests/fuzz/corpus/$name" || return 1
	done < <(find build/fuzz -type f -perm -u+x -name 'fuzz-*')
}

ring_threads() {
	local tests=(mailbox pipeline spool spool-events worker tpm-provider tpm-faults tpm-device)
	step "threads: build with TSan" configure tsan "${tests[@]/#/test-}" http-probe tpm-proxy &&
		step "threads: tests" ctest --test-dir build/tsan --no-tests=error --output-on-failure -j "$jobs" \
			-R "^($(IFS='|'; echo "${tests[*]}")|http)$" && say "         $(count_of threads--tests)"
}

# Real processes on a shared machine stall now and then: a test that fails gets one more run, and is named. They mostly wait, so
# there are five at a time for every two processors.
ring_integration() {
	step "integration: build with ASan and UBSan" configure debug || return 1
	step "integration: tests" tests_of debug integration tests --repeat until-pass:2 -j $((5 * jobs / 2)) || return 1
	say "         $(count_of integration--tests)"
	grep -F '***' "$logs/integration--tests.log" | sed 's/^/          failed once: /' || true
	bounds || return 1
	[ $full = no ] || { full_scenarios && full_hour; }
}

# With the optimised build: a sanitizer takes many times the memory and the time that are allowed here, and has threads of its own.
bounds() {
	local spoilt=(--mutations 250)
	[ $full = no ] || spoilt=(--full)
	step "integration: optimised build" configure release &&
		step "integration: optimised" tests_of release integration optimised --repeat until-pass:2 -j $((2 * jobs)) \
			-R '^(bus-(exhaustion|watchdog)|gateway-drain)$' &&
		step "integration: bounds of an enrolment" /usr/bin/python3 tests/integration/test_provision_bounds.py \
			build/release/provisioning/tidegate-provision "${spoilt[@]}" --memory 20 &&
		sed -nE 's/(.*[^0-9])?(([0-9]+ spoilt answers in [0-9]+ s|the most memory of a run was).*)/         \2/p' \
			"$logs/integration--bounds-of-an-enrolment.log"
}

# Of what the ring takes a sample, the whole.
full_scenarios() {
	local name
	for name in bus_exhaustion bus_watchdog gateway_bad_files gateway_half_open gateway_poison gateway_reload_storm gateway_stop_anywhere; do
		step "integration: $name, all of it" env TIDEGATE_BUILD="$top/build/release" TSS2_LOG=all+none \
			/usr/bin/python3 "tests/integration/test_$name.py" --full || return 1
	done
	step "integration: mqtt_wire, all of it" /usr/bin/python3 tests/integration/test_mqtt_wire.py build/release/lib/mqtt/mqtt-probe --full
}

# With the optimised build: what a sanitizer keeps of freed memory would hide what grows.
full_hour() {
	step "integration: an hour of rotation" env TIDEGATE_HOUR=3600 TIDEGATE_BUILD="$top/build/release" TSS2_LOG=all+none \
		/usr/bin/python3 tests/integration/test_gateway_hour.py &&
		say "         $(grep -m 1 'certificates, least' "$logs/integration--an-hour-of-rotation.log")"
}

ring_cuts() {
	local more=()
	step "cuts: build" configure release || return 1
	if ! tests/integration/test_power_cut.py --probe >"$logs/cuts--probe.log"; then
		skip_reason=$(reason_of cuts--probe)
		return 77
	fi
	[ $full = no ] || more=(--full --table "$logs/power-cuts.md")
	TIDEGATE_BUILD=$top/build/release step "cuts: power" tests/integration/test_power_cut.py "${more[@]}" &&
		say "         $(grep -E '^[0-9]+ cuts: ' "$logs/cuts--power.log")" || return 1
	[ $full = no ] || more=(--full)
	TIDEGATE_BUILD=$top/build/release step "cuts: EST" tests/integration/test_provision_est_cuts.py "${more[@]}" &&
		step "cuts: spool" build/release/tests/cuts/spool-cuts "${more[@]}" &&
		TIDEGATE_BUILD=$top/build/release step "cuts: kills" tests/integration/test_promise_kills.py "${more[@]}" || return 1
	[ $full = no ] || {
		step "cuts: altered bytes" build/release/tests/cuts/spool-damage --full &&
			step "cuts: failing calls" build/release/tests/cuts/spool-failing --full
	}
}

ring_demo() {
	step "demo: build" configure release && step "demo: story" tests/demo.sh --build build/release
}

ring_package() {
	local deb suite tree=build/chroot/booted
	# A package is for the release that it was built on.
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# The unit tests have a ring of their own.
	rm -rf "build/deb/$suite"
	step "package: build" env DEB_BUILD_OPTIONS=nocheck packaging/build-deb.sh || return 1
	deb=$(find "build/deb/$suite" -name "tidegate_*_$(dpkg --print-architecture).deb")
	step "package: look" tests/package/lint.sh "$deb" &&
		step "package: build again" tests/package/reproducible.sh "build/deb/$suite" &&
		step "package: a fresh $suite" /usr/bin/python3 tests/package/booted.py "$tree" "$deb" make &&
		step "package: piuparts" tests/package/piuparts.sh "$tree" "$deb" && booted_package "$tree" "$deb"
}

# The life of the package, the traps of its units and the sandbox, with systemd as process 1. On a machine that boots no
# container, what went before counts, and this is named as skipped.
booted_package() {
	local log=$logs/package--on-a-booted-systemd.log code=0
	/usr/bin/python3 tests/package/booted.py "$@" probe >"$logs/package--container.log" 2>&1 || code=$?
	if [ $code = 77 ]; then
		skip_reason="no container: $(reason_of package--container)"
		return 0
	fi
	step "package: on a booted systemd" /usr/bin/python3 tests/package/booted.py "$@" || return 1
	say "         $(tail -n 1 "$log")"
	sed -nE "s/^(test_[a-z0-9_]+) .*skipped '(.*)'$/          skipped: \1: \2/p" "$log"
	[ $full = no ] || step "package: its autopkgtests" /usr/bin/python3 tests/package/dep8.py build/chroot/dep8 "$2" .
}

# shellcheck disable=SC2016
ring_trixie() {
	local provider code fewer=()
	step "trixie: a fresh Debian 13" chroot_of trixie trixie "${build_packages[@]}" "${bench_packages[@]}" \
		"${est_packages[@]}" tpm2-openssl iproute2 udev || {
		code=$?
		skip_reason="no chroot: $(reason_of trixie--a-fresh-Debian-13)"
		return $code
	}
	export_tree "$root/root/tidegate" || return 1
	# Warnings are held against gcc 12 and clang 14; newer ones guess differently. That memory runs short or power is cut is the same
	# there, and left to --full.
	[ $full = yes ] || fewer=(-E '^(memory-.*|spool-(cuts|damage|failing|upgrade))$')
	step "trixie: build and unit tests" in_chroot /bin/sh -eu -c 'cd /root/tidegate
		cmake --preset release -DTIDEGATE_WERROR=OFF -DCMAKE_C_FLAGS_RELWITHDEBINFO=-O1
		cmake --build --preset release
		ctest --preset release -L unit "$@"' sh -j "$jobs" "${fewer[@]}" || return 1
	step "trixie: udev rules" in_chroot /usr/bin/python3 /root/tidegate/tests/package/rules.py || return 1
	for provider in builtin tpm2; do
		step "trixie: demo with the $provider provider" in_chroot /root/tidegate/tests/demo.sh \
			--build /root/tidegate/build/release --provider $provider || return 1
	done
	step "trixie: EST with the tpm2 provider" in_chroot ctest --test-dir /root/tidegate/build/release --no-tests=error \
		--output-on-failure -R '^(provision|gateway)-est[-_]packaged$'
}

# The package and the image beside each other, as the image waits for emulated package scripts, one after the other.
ring_arm64_package() { step "machine: tidegate for arm64" tests/machine/build.sh tidegate; }

ring_machine() {
	local image=0 package cpu more=()
	[ $full = no ] || more=(--full)
	tests/machine/build.sh tools >"$logs/machine--tools.log" 2>&1
	case $? in
	0) ;;
	77) skip_reason=$(reason_of machine--tools) && return 77 ;;
	*) tail -n 40 "$logs/machine--tools.log" >&2 && return 1 ;;
	esac
	start_beside arm64_package
	step "machine: kernel and disk" tests/machine/build.sh image || image=$?
	end_beside
	read -r package _ cpu _ <"$logs/arm64_package.result" || return 1
	spent_ms=$((spent_ms + 1000 * cpu))
	skip_reason="no machine: $(reason_of machine--kernel-and-disk)"
	[ $image = 0 ] || return $image
	skip_reason=
	[ "$package" = 0 ] || return 1
	step "machine: programs of this side" configure release &&
		step "machine: scenarios" /usr/bin/python3 tests/machine/run.py --machines 2 "${more[@]}" &&
		sed -nE '/^( +[0-9.]+ s  |skipped: |Ran [0-9]+ tests in )/s/^/         /p' "$logs/machine--scenarios.log"
}

install_step() {
	local missing
	missing=$(missing_packages "$@" | wc -l)
	[ "$missing" = 0 ] || step "packages: $missing" install_packages "$@"
}

# --- all of them ----------------------------------------------------------------------------------------------------------

# run_ring RING: its result goes to $logs/RING.result: exit code, seconds, seconds of the processors, why it was skipped.
run_ring() {
	local begin=$SECONDS code
	skip_reason='' spent_ms=0
	"ring_$1"
	code=$?
	echo "$code $((SECONDS - begin)) $((spent_ms / 1000)) $skip_reason" >"$logs/$1.result"
}

note_result() {
	local code seconds cpu why
	read -r code seconds cpu why <"$logs/$1.result"
	case $code in
	0)
		passed+=("$1 ($seconds s, $cpu s of the processors)")
		[ -z "$why" ] || skipped+=("$1, in part: $why")
		;;
	77) skipped+=("$1: $why") ;;
	*) failed+=("$1") ;;
	esac
}

run_rings() {
	local ring
	for ring in "$@"; do run_ring "$ring"; done
}

beside=''
# Starts rings, one behind the other, in a process group of their own; what follows gives way to it. It is no child of this shell,
# which takes the times of its children.
start_beside() {
	beside=$(set -m; run_rings "$@" >"$logs/beside.out" 2>&1 </dev/null & echo $!)
	say "$*: beside the others, told when all are through"
	renice -n 19 -p $$ >/dev/null || true
}

end_beside() {
	[ -n "$beside" ] || return 0
	# As whose child it ends is not known, nor whether that one looks after it.
	while grep -qs '^State:[[:space:]][^XZ]' "/proc/$beside/status"; do sleep 1; done
	beside=''
	cat "$logs/beside.out"
	# Only root may.
	renice -n 0 -p $$ >/dev/null 2>&1 || true
}

end_all() {
	local n
	if [ -n "$beside" ]; then
		kill -TERM -- "-$beside" 2>/dev/null
		for n in $(seq 100); do
			pgrep -g "$beside" -r D,R,S >/dev/null || break
			[ "$n" -lt 95 ] || kill -KILL -- "-$beside" 2>/dev/null
			sleep 0.1
		done
		cat "$logs/beside.out"
	fi
	end_processes
}
trap end_all EXIT

wanted=()
for ring in "${rings[@]}"; do
	if ! declare -F "ring_$ring" >/dev/null; then
		bad "there is no ring '$ring'"
		exit 2
	fi
	rm -f "$logs/$ring.result"
	read -ra more < <(packages_of "$ring")
	wanted+=("${more[@]}")
done
install_step "${build_packages[@]}" || exit 1
mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | sort -u)
install_step "${wanted[@]}" || exit 1

# The guest of `machine` keeps the times of a machine of its own, so nothing is beside it.
waiting=() computing=() alone=()
for ring in "${rings[@]}"; do
	case $ring in
	integration | cuts | demo) waiting+=("$ring") ;;
	machine) alone+=("$ring") ;;
	*) computing+=("$ring") ;;
	esac
done
if [ ${#waiting[@]} -gt 0 ] && [ ${#computing[@]} -gt 0 ]; then
	start_beside "${waiting[@]}"
	waiting=()
fi
run_rings "${waiting[@]}" "${computing[@]}"
end_beside
run_rings "${alone[@]}"
for ring in "${rings[@]}"; do note_result "$ring"; done

echo
for ring in "${passed[@]}"; do echo "passed   $ring"; done
for ring in "${skipped[@]}"; do echo "skipped  $ring"; done
for ring in "${failed[@]}"; do echo "FAILED   $ring"; done
echo "${#passed[@]} passed, ${#failed[@]} failed, ${#skipped[@]} skipped; $((SECONDS - started)) s"
[ ${#failed[@]} = 0 ] && [ ${#passed[@]} -gt 0 ]
