#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# documents.sh BUILD: what the package tells people against what the programs say: commands and options in the manual pages
# and in the completion, events in the journal's catalog, the example configuration.

set -u
build=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

complain() {
	echo "FAILED: $*"
	failed=1
}

# same WHAT FILE FILE: two lists, in whatever order, are the same and not empty.
same() {
	[ -s "$2" ] || complain "$1: nothing found to compare"
	diff <(sort -u "$2") <(sort -u "$3") >"$scratch/diff" && return
	complain "$1 differ (< the program, > the document)"
	cat "$scratch/diff"
}

options_of_help() { grep -oE -- '--[a-z-]+' | sort -u; }
options_of_page() { grep -oE '(^\.It|^\.Op|^\.Fl|Oo) ?.*' "$1" | grep -oE 'Fl -[a-z-]+|\| -[a-z-]+' | sed -E 's/(Fl|\|) -/--/' | sort -u; }

for pair in tidegated:agent:8 tidegate:agent:1 tidegate-provision:provisioning:8 tidegate-can:udev:8; do
	IFS=: read -r name dir section <<<"$pair"
	page=$top/packaging/man/$name.$section
	"$build/$dir/$name" --help >"$scratch/help" || complain "$name --help fails"
	options_of_help <"$scratch/help" >"$scratch/program"
	options_of_page "$page" >"$scratch/page"
	same "options of $name and $page" "$scratch/program" "$scratch/page"
done

# Commands, from the first column of the help and from the tags of the page.
"$build/agent/tidegate" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p' >"$scratch/program"
sed -n 's/^\.It Ic \([a-z][a-z-]*\).*/\1/p' "$top/packaging/man/tidegate.1" >"$scratch/page"
same "commands of tidegate and its page" "$scratch/program" "$scratch/page"

"$build/provisioning/tidegate-provision" --help | sed -n '/^commands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p' >"$scratch/program"
sed -n 's/^\.It Ic \([a-z][a-z-]*\).*/\1/p' "$top/packaging/man/tidegate-provision.8" >"$scratch/page"
same "commands of tidegate-provision and its page" "$scratch/program" "$scratch/page"

"$build/udev/tidegate-can" --help | sed -n '/^commands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p' >"$scratch/program"
sed -n '/^\.Sh COMMANDS/,/^\.Sh EXIT/s/^\.It Cm \([a-z][a-z-]*\).*/\1/p' "$top/packaging/man/tidegate-can.8" >"$scratch/page"
same "commands of tidegate-can and its page" "$scratch/program" "$scratch/page"
sed -nE 's/^\tKEY\("([a-z-]+)".*/\1/p' "$top/udev/can/settings.c" >"$scratch/program"
sed -n '/^\.Sh FILE/,/^\.Sh COMMANDS/s/^\.It Ic \([a-z-]*\) No.*/\1/p' "$top/packaging/man/tidegate-can.8" >"$scratch/page"
same "keys of files for CAN interfaces and their page" "$scratch/program" "$scratch/page"
"$build/udev/tidegate-can" check "$top"/packaging/examples/can/*.conf >"$scratch/check" 2>&1 ||
	complain "tidegate-can check says of the example: $(cat "$scratch/check")"

# The completion asks the program for its commands, with the same words as above; its options are a list of its own.
"$build/agent/tidegate" --help | options_of_help >"$scratch/program"
sed -n "s/.*compgen -W '\(--[^']*\)'.*/\1/p" "$top/packaging/completion/tidegate" | tr ' ' '\n' >"$scratch/page"
same "options of tidegate and its completion" "$scratch/program" "$scratch/page"
PATH=$build/agent:$PATH bash -c '. "$1"; _tidegate_commands' bash "$top/packaging/completion/tidegate" >"$scratch/completed"
sed -n 's/^\.It Ic \([a-z][a-z-]*\).*/\1/p' "$top/packaging/man/tidegate.1" >"$scratch/page"
same "commands that the completion offers and the page" "$scratch/completed" "$scratch/page"

# Every event has its explanation, and none explains what does not happen.
sed -nE 's/.*\[TG_EV_[A-Z_]+\] = "([0-9a-f]{32})".*/\1/p' "$top/lib/base/log.c" >"$scratch/program"
sed -nE 's/^-- ([0-9a-f]{32})$/\1/p' "$top/systemd/tidegate.catalog" >"$scratch/page"
same "events and their catalog" "$scratch/program" "$scratch/page"
events=$(sed -nE '/^enum tg_event_id/,/COUNT_/s/^\t(TG_EV_[A-Z_]+),$/\1/p' "$top/include/tidegate/log.h" | wc -l)
[ "$(sort -u "$scratch/page" | wc -l)" = "$events" ] || complain "the catalog has not one entry for each of $events events"
[ "$(grep -c '^Subject: ' "$top/systemd/tidegate.catalog")" = "$events" ] || complain "entries of the catalog without Subject"
# Each says what to do: nothing, a command, a key of the configuration, a thing to look at; or that it goes on by itself.
awk -v RS='\n-- ' 'NR > 1 { gsub(/\n/, " ")
	if (!/[Nn]othing needs to be done|"tidegate|by itself|\[[a-z.-]+\]|\?|may be deleted|[Ll]ook for|usual cause/) print $1 }' \
	"$top/systemd/tidegate.catalog" >"$scratch/helpless"
[ ! -s "$scratch/helpless" ] || complain "entries of the catalog that do not say what to do: $(tr '\n' ' ' <"$scratch/helpless")"
# Fields that it shows are ones that the programs set.
grep -oE '@[A-Z_]+@' "$top/systemd/tidegate.catalog" | tr -d @ | sort -u |
	while read -r field; do
		grep -q "\"$field\"" "$top/include/tidegate/log.h" || echo "$field"
	done >"$scratch/unknown"
[ ! -s "$scratch/unknown" ] || complain "the catalog shows fields that do not exist: $(tr '\n' ' ' <"$scratch/unknown")"

# The words about servers' certificates; what is never right to see needs no advice.
tr -s '\n\t' ' ' <"$top/lib/tls/words.c" | sed 's/" "//g' | grep -oE 'DETAIL_[A-Z]+, "[^"]+"' | cut -d'"' -f2 |
	grep -v '^could not be judged$' >"$scratch/program"
sed -nE 's/^\| \*\*(.*)\*\* \|.*/\1/p' "$top/doc/servers.md" | grep -vE '^(speaks neither|refused our)' >"$scratch/page"
same "words of lib/tls and servers.md" "$scratch/program" "$scratch/page"

# Without a warning too: people copy it.
cp -r "$top/packaging/examples" "$scratch/etc" && chmod -R go-w "$scratch/etc"
"$build/agent/tidegate" check "$scratch/etc" >"$scratch/check" 2>&1 || complain "tidegate check refuses the example"
if ! grep -q ': ok, ' "$scratch/check" || grep -q warning "$scratch/check"; then
	complain "tidegate check says of the example: $(cat "$scratch/check")"
fi
for method in est manual; do
	if ! "$build/agent/tidegate" check "$scratch/etc/$method" >"$scratch/check" 2>&1 ||
		! grep -q ': ok, ' "$scratch/check" || grep -q warning "$scratch/check"; then
		complain "tidegate check says of the example for $method: $(cat "$scratch/check")"
	fi
done

# Each piece of configuration in the guide, as it stands there; systemd's own files have no bus in them.
mkdir "$scratch/guide"
awk -v dir="$scratch/guide" '/^```ini/ { n++; take = 1; next } /^```/ { take = 0 }
	take { print > (dir "/" n ".conf") }' "$top/doc/buses.md"
pieces=0
for piece in "$scratch"/guide/*.conf; do
	grep -q '^\[bus ' "$piece" || continue
	pieces=$((pieces + 1))
	{ cat "$top/packaging/examples/manual/tidegate.conf" && echo && cat "$piece"; } >"$scratch/gateway.conf"
	chmod go-w "$scratch/gateway.conf"
	"$build/agent/tidegate" check "$scratch/gateway.conf" >"$scratch/check" 2>&1
	if ! grep -q ': ok, ' "$scratch/check" || grep -q warning "$scratch/check"; then
		complain "tidegate check says of piece ${piece##*/} of buses.md: $(cat "$scratch/check")"
	fi
done
sections=$(grep -c '^| .*| \[`' "$top/doc/buses.md")
[ "$pieces" -ge "$sections" ] || complain "buses.md has $pieces pieces of configuration for $sections kinds of devices"

[ $failed = 0 ] && echo "manual pages, completion, catalog and example say what the programs say"
exit $failed
