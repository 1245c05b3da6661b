/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/subject.h"

#include <openssl/x509.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_autofree char *text = strndup((const char *) data, len);
	X509_NAME *name = NULL;
	struct tg_fault fault;

	if (text && tg_subject_parse(text, &name, &fault) == 0)
		X509_NAME_free(name);
	return 0;
}
