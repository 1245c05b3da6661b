#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Plants one violation after the other into a copy of the sources and expects layering.sh and style.sh to name it.
set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT
failed=0

fresh() {
	rm -rf "${copy:?}"/*
	for d in include lib agent provisioning; do
		[ -d "$tree/$d" ] && (cd "$tree" && find "$d" -name '*.[ch]' -exec cp --parents {} "$copy" \;)
	done
	mkdir -p "$copy"/lib/{base,tpm,mqtt,json} "$copy"/agent/{bus,spool} "$copy"/provisioning/net "$copy"/include/tidegate
}

fail() {
	echo "FAILED: $*"
	failed=1
}

# passes SCRIPT
passes() {
	local out
	out=$("$tree/tests/$1" "$copy" 2>&1) || fail "$1 refuses the sources as they are: $out"
}

# refuses SCRIPT FILE TEXT: with TEXT behind FILE
refuses() {
	local out file=$copy/$2 existed=1
	[ -e "$file" ] || existed=0
	[ $existed = 1 ] && cp "$file" "$copy/saved" || echo '/* SPDX-License-Identifier: Apache-2.0 */' >"$file"
	printf '%s\n' "$3" >>"$file"
	if out=$("$tree/tests/$1" "$copy" 2>&1); then
		fail "$1 accepts in $2: $3"
	elif ! grep -q "^$2:" <<<"$out"; then
		fail "$1 does not name $2: $out"
	fi
	if [ $existed = 1 ]; then mv "$copy/saved" "$file"; else rm "$file"; fi
}

fresh
passes layering.sh
passes style.sh

refuses layering.sh include/tidegate/planted.h '#include "base/clock.h"'
refuses layering.sh lib/base/planted.c '#include "json/json.h"'
refuses layering.sh lib/json/planted.c '#include "config/config.h"'
refuses layering.sh lib/x509/planted.c '#include "tls/peer.h"'
refuses layering.sh lib/tpm/planted.h '# include "config/config.h"'
refuses layering.sh lib/mqtt/planted.c '#include "agent/pack/parcel.h"'
refuses layering.sh agent/planted.c '#include "provisioning/progress.h"'
refuses layering.sh provisioning/planted.c '#include "agent/spool/spool.h"'
refuses layering.sh agent/bus/planted.c '#include "worker.h"'
refuses layering.sh agent/bus/planted.c '#include "../spool/spool.h"'
refuses layering.sh agent/spool/planted.c '	#include <MQTTAsync.h>'
refuses layering.sh provisioning/planted.c '#include <curl/curl.h>'
refuses layering.sh agent/planted.c '#include <curl/curl.h>'
refuses layering.sh provisioning/net/planted.c '#include <curl/curl.h>'
refuses layering.sh agent/bus/planted.c '#include <modbus.h>'
refuses layering.sh agent/bus/planted.c '#include <modbus/modbus.h>'
refuses layering.sh agent/pack/parcel.c '#include "sqlite3.h"'
refuses layering.sh agent/planted.c '#include <tss2/tss2_esys.h>'
refuses layering.sh lib/base/parse.c '#include <ini.h>'

refuses style.sh lib/base/planted.c "$(printf 'int f(void)\n{\n'; yes '	;' | head -n 79; printf '}')"
refuses style.sh agent/planted.c '	strcpy(a, b);'
refuses style.sh agent/planted.c '	n = atoi (s);'
printf 'int x;\n' >"$copy/lib/base/planted.c"
"$tree/tests/style.sh" "$copy" | grep -q '^lib/base/planted.c:1: no licence line' || fail "style.sh wants no licence line"
rm "$copy/lib/base/planted.c"

# Short functions are many here: enough long ones move the median.
long=$(printf 'int f(void)\n{\n'; yes '	;' | head -n 30; printf '}')
yes "$long" | head -n $((8000 * 33)) >"$copy/long.c"
{ echo '/* SPDX-License-Identifier: Apache-2.0 */'; cat "$copy/long.c"; } >"$copy/lib/base/planted.c"
"$tree/tests/style.sh" "$copy" | grep -q 'median function has' || fail "style.sh does not see a median beyond 20"

exit $failed
