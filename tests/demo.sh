#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/demo.sh [--keep] [--provider builtin|tpm2] [--build DIR]
#
# The main job on one machine, everything real but the cloud: a TPM (swtpm), an AWS IoT stand-in to enrol with, mosquitto
# that demands client certificates, a Modbus device with moving values. The gateway makes its key in the TPM, enrols by
# claim, and its readings arrive at a subscriber of their own. Then it renews key and certificate while readings go on,
# and the old certificate ends. Ends by itself with 0; --keep leaves it running.
#
# Run as root on Debian 12 or 13: installs what is missing with apt, starts no service, listens on loopback only.

set -u
. "$(dirname "$0")/lib.sh"

keep=no provider=builtin build=$top/build/demo built=no
while [ $# -gt 0 ]; do
	case $1 in
	--keep) keep=yes ;;
	--provider) provider=$2 && shift ;;
	--build) build=$2 built=yes && shift ;;
	*) sed -n '4,11s/^# \{0,1\}//p' "$0" && exit 2 ;;
	esac
	shift
done

work=$(mktemp -d /tmp/tidegate-demo.XXXXXX) || exit 1
logs=$work/log
mkdir "$logs"

finish() {
	local code=$?
	end_processes
	[ $code = 0 ] && rm -rf "$work"
	[ $code = 0 ] || say "what was left behind to look at: $work"
	exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

die() {
	bad "$*"
	exit 1
}

# --- the parts ------------------------------------------------------------------------------------------------------------

build_tree() {
	cmake -S "$top" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo && cmake --build "$build"
}

start_tpm() {
	tpm_port=$(free_port)
	tcti="swtpm:host=127.0.0.1,port=$tpm_port"
	mkdir -p "$work/tpm"
	# The control port of swtpm's clients is the port after it: taken together or tried again.
	background swtpm swtpm socket --tpm2 --tpmstate dir="$work/tpm" \
		--server type=tcp,port="$tpm_port",bindaddr=127.0.0.1 \
		--ctrl type=tcp,port=$((tpm_port + 1)),bindaddr=127.0.0.1 \
		--flags not-need-init,startup-clear
	wait_for 10 "the TPM" env TPM2TOOLS_TCTI="$tcti" tpm2_getrandom --hex 4
}

start_cloud() {
	background aws-iot /usr/bin/python3 "$top/tests/fakes/aws_iot.py" --dir "$work/cloud"
	wait_for 30 "the AWS IoT stand-in" test -s "$work/cloud/port"
}

make_authority() {
	local d=$work/pki
	mkdir -p "$d" && cd "$d" || return 1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=demo broker CA" \
		-keyout ca.key -out ca.pem &&
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" \
			-keyout server.key -out server.csr &&
		printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n' >server.ext &&
		openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile server.ext \
			-out server.pem &&
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=demo subscriber" \
			-keyout subscriber.key -out subscriber.csr &&
		openssl x509 -req -in subscriber.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out subscriber.pem &&
		# The broker believes in gateways that the cloud has enrolled, and in the subscriber.
		cat ca.pem "$work/cloud/device-ca.pem" >clients.pem
}

start_broker() {
	broker_port=$(free_port)
	cat >"$work/mosquitto.conf" <<-END
		listener $broker_port 127.0.0.1
		cafile $work/pki/clients.pem
		certfile $work/pki/server.pem
		keyfile $work/pki/server.key
		require_certificate true
		use_subject_as_username true
		allow_anonymous true
		set_tcp_nodelay true
		log_type all
		user root
	END
	background mosquitto mosquitto -c "$work/mosquitto.conf"
	wait_for 10 "the broker" grep -q "running" "$logs/mosquitto.log"
}

start_modbus() {
	background modbus "$build/tests/fakes/modbus-server" --port 0
	wait_for 10 "the Modbus device" grep -q '^port' "$logs/modbus.log"
	modbus_port=$(awk '/^port/ { print $2 }' "$logs/modbus.log")
}

write_config() {
	cloud_port=$(cat "$work/cloud/port")
	mkdir -p "$work/etc/conf.d" "$work/run" "$work/state"
	cat >"$work/etc/tidegate.conf" <<-END
		[tpm]
		tcti = $tcti
		openssl-provider = $provider

		[enrolment]
		method = aws-fleet

		[enrolment.aws-fleet]
		endpoint = localhost
		port = $cloud_port
		ca = $work/cloud/server-ca.pem
		claim-certificate = $work/cloud/claim.pem
		claim-key = $work/cloud/claim.key
		template = tidegate-fleet
		rotation-template = tidegate-rotation

		[rotation]
		# Short, so that the demo sees the end of it.
		probation = 5s

		[mqtt]
		endpoint = localhost
		port = $broker_port
		ca = $work/pki/ca.pem
	END
	cat >"$work/etc/conf.d/boiler.conf" <<-END
		[bus plant]
		type = modbus-tcp
		host = 127.0.0.1
		port = $modbus_port

		[device boiler]
		bus = plant
		unit = 1
		every = 1s

		[point boiler/temperature]
		read = holding 4 float32
		unit = Cel

		[point boiler/return]
		read = holding 6 float32 order=CDAB
		unit = Cel

		[point boiler/level]
		read = holding 42 int16
		scale = 0.1
		unit = %

		[point boiler/pump]
		read = coil 0
	END
}

ctl() { "$build/agent/tidegate" --socket "$work/run/tidegate-control.sock" "$@"; }

start_agent() {
	background tidegated "$build/agent/tidegated" --config "$work/etc/tidegate.conf" --state-dir "$work/state" \
		--runtime-dir "$work/run" --helper "$build/provisioning/tidegate-provision"
	pid_agent=$pid
	wait_for 15 "the agent" ctl status
}

start_subscriber() {
	background readings mosquitto_sub -h localhost -p "$broker_port" --cafile "$work/pki/ca.pem" \
		--cert "$work/pki/subscriber.pem" --key "$work/pki/subscriber.key" -i demo-subscriber -v \
		-t 'tidegate/+/boiler' -t 'tidegate/+/status' -t 'tidegate/+/status/events'
	wait_for 10 "the subscriber" grep -q demo-subscriber "$logs/mosquitto.log"
}

enrolled() { ctl --json status | grep -q '"identity":{"state":"current"'; }
readings() { grep -c '/boiler ' "$logs/readings.log" || true; }
enough_readings() { [ "$(readings)" -ge 5 ]; }

# The values must move: the same reading five times over would prove little.
values_move() {
	local n
	n=$(grep '/boiler ' "$logs/readings.log" | grep -o '"n":"temperature"[^}]*"v":[-0-9.]*' | sort -u | wc -l)
	[ "$n" -ge 3 ]
}

subject_in_log() { grep -q "CN=AWS IoT Certificate\|AWS IoT Certificate" "$logs/mosquitto.log"; }

# --- the renewal ----------------------------------------------------------------------------------------------------------

json() { /usr/bin/python3 -c "import json, sys; data = json.load(sys.stdin); print($1)"; }

# What `tidegate renew --wait` tells, as it tells it: step() would keep it for the log.
renew() {
	ctl renew --wait | tee "$logs/renew.log" | sed 's/^/          /'
	[ "${PIPESTATUS[0]}" = 0 ]
}

renewed() { [ "$(ctl --json identity | json 'data["identity"]["generation"]')" = 2 ]; }
another_serial() { [ "$(ctl --json identity --history | json 'len({g["serial"] for g in data})')" = 2 ]; }
more_readings() { [ "$(readings)" -ge $((readings_before + 5)) ]; }
event() { sed -n 's,^tidegate/[^/]*/status/events ,,p' "$logs/readings.log" | grep "\"event\":\"$1\"" | head -n 1; }
was_told() { [ -n "$(event "$1")" ]; }

# Every number that the gateway has given to a reading is there, from the first to the last.
no_reading_lost() {
	grep '/boiler ' "$logs/readings.log" | grep -o '"_seq","v":[0-9]*' | grep -o '[0-9]*$' | sort -nu |
		awk 'NR > 1 && $1 != last + 1 { print "missing behind", last; bad = 1 } { last = $1 } END { exit bad || NR < 5 }'
}

old_key_gone() {
	local first=$work/state/identity/generations/000001
	[ -s "$first/chain.pem" ] && [ ! -e "$first/key.pem" ] && [ ! -e "$first/bundle.pem" ]
}

# At AWS a rule and a function do this when they hear the event (packaging/aws); this broker is not the cloud's, so the
# demo plays their part: the stand-in switches off what the event calls old.
end_old_certificate() {
	local id
	id=$(event certificate-retired | json 'data["old"]["certificate_id"]') && [ -n "$id" ] &&
		cloud "{\"op\": \"certificate\", \"id\": \"$id\", \"status\": \"INACTIVE\"}"
}

cloud() { /usr/bin/python3 "$top/tests/fakes/aws_iot.py" --dir "$work/cloud" --control "$1"; }
one_active() {
	[ "$(cloud '{"op": "status"}' | json 'sum(c["origin"] == "csr" and c["status"] == "ACTIVE" for c in data["certificates"])')" = 1 ]
}

# --- the story ------------------------------------------------------------------------------------------------------------

say "tidegate demo, in $work"
step "packages" install_packages "${build_packages[@]}" "${bench_packages[@]}" || exit 1
[ $built = yes ] || step "build" build_tree || exit 1
step "a TPM (swtpm)" start_tpm || exit 1
TPM2TOOLS_TCTI=$tcti tpm2_getcap properties-fixed 2>/dev/null | awk '/TPM2_PT_MANUFACTURER/ { f = 1 } f && /value/ { print "          maker " $2; exit }'
step "the cloud to enrol with (AWS IoT stand-in)" start_cloud || exit 1
step "a certificate authority for the broker" make_authority || exit 1
cd "$top" || exit 1
step "a broker that demands client certificates (mosquitto)" start_broker || exit 1
step "a device with moving values (Modbus TCP)" start_modbus || exit 1
step "a subscriber with its own certificate" start_subscriber || exit 1
write_config
step "the configuration" ctl check "$work/etc/tidegate.conf" || exit 1
step "the gateway starts" start_agent || { tail -n 5 "$logs/tidegated.log"; exit 1; }
step "it makes its key in the TPM and enrols by claim" wait_for 60 "a current identity" enrolled || { ctl status; exit 1; }
ctl identity | sed 's/^/          /'
step "its readings arrive at the subscriber" wait_for 30 "five readings" enough_readings || { ctl status; exit 1; }
step "the values move" values_move || exit 1
step "the broker saw the device certificate" subject_in_log || exit 1
say "what arrived:"
grep '/boiler ' "$logs/readings.log" | tail -n 3 | cut -c1-220 | sed 's/^/          /'
say "tidegate read boiler:"
ctl read boiler | sed 's/^/          /'
say "tidegate status:"
ctl status | sed 's/^/          /'

readings_before=$(readings)
say "a new key and a new certificate while readings go on: tidegate renew --wait"
renew || { bad "the renewal"; ctl status; tail -n 20 "$logs/tidegated.log"; exit 1; }
step "the gateway uses another certificate" renewed || exit 1
step "with another serial number" another_serial || { ctl identity --history; exit 1; }
step "readings go on arriving" wait_for 30 "five more readings" more_readings || { ctl status; exit 1; }
step "none of them was lost" no_reading_lost || exit 1
step "the old key is gone from the disk" wait_for 15 "its end" old_key_gone || exit 1
step "the gateway has told what has happened" wait_for 15 "the event" was_told certificate-retired || exit 1
event certificate-retired | cut -c1-220 | sed 's/^/          /'
step "the cloud switches the old certificate off" end_old_certificate || exit 1
step "one certificate is active" one_active || exit 1
say "tidegate identity --history:"
ctl identity --history | sed 's/^/          /'

if [ $keep = yes ]; then
	say "it goes on until ^C. Look at it from another shell:"
	cat <<-END
		          export TIDEGATE_SOCKET=$work/run/tidegate-control.sock
		          $build/agent/tidegate status
		          $build/agent/tidegate watch
		          $build/agent/tidegate renew --wait
		          tail -f $logs/tidegated.log
		          mosquitto_sub -h localhost -p $broker_port --cafile $work/pki/ca.pem \\
		              --cert $work/pki/subscriber.pem --key $work/pki/subscriber.key -v -t 'tidegate/#'
		          kill ${pids[2]}      # the broker dies: watch the spool grow
	END
	while sleep 1; do :; done
fi

step "the gateway stops in order" end_process "$pid_agent" || exit 1
good "done: a key that cannot leave the TPM, an enrolled certificate and its successor, readings over mutually authenticated TLS"
