/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/csr.h"

#include <assert.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static EVP_PKEY *key;
	struct tg_csr_wishes wishes;
	struct tg_fault fault = { 0 };
	size_t size = 0;
	int r = tg_csr_attributes_parse(data, len, &wishes, &fault);

	if (r < 0) {
		assert(fault.text[0] && (r == -EOPNOTSUPP || r == -EBADMSG || r == -EFBIG));
		return 0;
	}
	assert(memchr(wishes.ignored, '\0', sizeof(wishes.ignored)));
	for (const char *p = wishes.ignored; *p; p++)
		assert(*p >= ' ' && *p <= '~');
	if (!key)
		key = EVP_EC_gen("P-256");
	/* Whatever is wished for can be asked for. */
	r = tg_csr_body_size(key, &(struct tg_csr_names){ .subject = "CN=gw", .wishes = &wishes },
			     wishes.channel_binding ? 44 : 0, &size, &fault);
	assert(r == 0);
	return 0;
}
