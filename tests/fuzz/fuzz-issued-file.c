/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/issued_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *c = NULL;
	struct tg_fault fault;

	/* A set that was handed out has something in it. */
	if (tg_issued_file_parse(data, len, &c, &fault) == 0 && tg_certs_n(c) == 0)
		abort();
	return 0;
}
