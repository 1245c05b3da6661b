#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# style.sh [TREE]: the rules of the house that a machine can count, for C sources that are not tests: functions of at most 80 lines, a
# median of at most 20, nine in ten at most 50; a licence line at the top; no function that cannot be used safely.
# Prints what is wrong and exits 1, else one line of figures.
set -u
tree=${1:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$tree" || exit 2

dirs=()
for d in include lib agent provisioning; do
	[ -d "$d" ] && dirs+=("$d")
done
[ ${#dirs[@]} -gt 0 ] || { echo "style: no sources in $tree" >&2; exit 2; }
mapfile -t files < <(find "${dirs[@]}" -name '*.[ch]' | sort)
bad=0

if awk 'FNR == 1 && !/SPDX-License-Identifier: Apache-2.0/ { print FILENAME ":1: no licence line"; n++ }
	END { exit n == 0 }' "${files[@]}"; then
	bad=1
fi

# What overruns, forks a shell, or hides errors; base/parse.h, base/buffer.h and snprintf() do their work.
banned='strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|sscanf|system|popen|alloca|strtok'
if grep -nE "(^|[^A-Za-z0-9_>.])($banned)[[:space:]]*\(" "${files[@]}" | grep -vE ':[0-9]+:[[:space:]]*(/\*|\*|//)'; then
	echo "style: these functions are not used here"
	bad=1
fi

# The layout has the brace of a function, and of nothing else, alone in the first column.
sizes=$(awk '
FNR == 1 { open = 0 }
/^\{/ { open = FNR }
/^\}/ && open { print FNR - open + 2, FILENAME ":" open - 1; open = 0 }
' "${files[@]}" | sort -n)
[ -n "$sizes" ] || { echo "style: no functions found" >&2; exit 2; }

figures=$(awk '
$1 > 80 { print $2 ": a function of " $1 " lines"; bad = 1 }
{ n[NR] = $1 }
END {
	median = n[int((NR + 1) / 2)]
	ninth = n[int((NR * 9 + 9) / 10)]
	if (median > 20) { print "style: the median function has " median " lines, more than 20"; bad = 1 }
	if (ninth > 50) { print "style: one function in ten has more than " ninth " lines, not 50"; bad = 1 }
	if (!bad) print NR " functions, median " median ", nine in ten at most " ninth ", longest " n[NR] " lines"
	exit bad
}' <<<"$sizes") || bad=1
echo "$figures"
exit "$bad"
