#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# layering.sh [TREE]: says which #include crosses a border it must not cross, and exits 1 if there is one.
#
#   include/tidegate <- lib/base <- lib/{json,x509} <- lib/tls <- lib/{tpm,mqtt,config,identity,...} <- agent | provisioning | udev
#
# Folders of one level of lib do not know each other, nor do agent, provisioning and udev. A foreign library is included in its own
# place only. The linker enforces most of it; this catches what headers alone bring in.
set -u
tree=${1:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$tree" || exit 2

dirs=()
for d in include lib agent provisioning udev; do
	[ -d "$d" ] && dirs+=("$d")
done
[ ${#dirs[@]} -gt 0 ] || { echo "layering: no sources in $tree" >&2; exit 2; }

grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include' "${dirs[@]}" | awk '
function wrong(why) {
	printf "%s:%s: %s: %s\n", file, line, target, why
	bad++
}

# Where a file lives: "include", "base", "json", another folder of lib, "agent", "provisioning".
function home_of(path,    part) {
	split(path, part, "/")
	return part[1] == "lib" ? part[2] : part[1]
}

# The same for what an include names, as the include paths are the tree, lib/ and include/.
function home_of_include(name,    part) {
	split(name, part, "/")
	return part[1] == "tidegate" ? "include" : part[1]
}

function level_of(home) {
	if (home == "include") return 0
	if (home == "base") return 1
	if (home == "json" || home == "x509") return 2
	if (home == "tls") return 3
	if (home == "agent" || home == "provisioning" || home == "udev") return 5
	return 4
}

function check_own(    from, to) {
	from = home_of(file)
	to = home_of_include(target)
	if (target !~ /\// || target ~ /\.\.\//)
		wrong("name the folder, from the root of the tree or of lib")
	else if (to != from && level_of(to) >= level_of(from))
		wrong(from " must not know " to)
}

BEGIN {
	# foreign header (a pattern) -> the file or folder that may include it
	place["^MQTT(Async|Client|Properties|ReasonCodes)\\.h$"] = "lib/mqtt/"
	place["^mosquitto\\.h$"] = "agent/bus/mqtt/client.c"
	place["^curl/"] = "provisioning/net/http.c"
	place["^(modbus/)?modbus(-[a-z]+)?\\.h$"] = "agent/bus/modbus/tcp.c"
	place["^sqlite3\\.h$"] = "agent/spool/"
	place["^tss2/"] = "lib/tpm/"
	place["^ini\\.h$"] = "lib/config/ini.c"
}

{
	# FILE:LINE:the directive, as grep prints it
	match($0, /^[^:]*:[0-9]+:/)
	rest = substr($0, RLENGTH + 1)
	split($0, part, ":")
	file = part[1]
	line = part[2]
	if (!match(rest, /[<"][^>"]*[>"]/))
		next
	quoted = substr(rest, RSTART, 1) == "\""
	target = substr(rest, RSTART + 1, RLENGTH - 2)
	foreign = 0
	for (header in place) {
		if (target !~ header)
			continue
		foreign = 1
		if (index(file, place[header]) != 1)
			wrong("belongs to " place[header] " only")
	}
	if (!foreign && (quoted || target ~ /^tidegate\//))
		check_own()
}

END { exit bad > 0 }
'
