/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <openssl/types.h>

/*
 * Subjects as people write them: RFC 4514 with its usual attributes, such as "CN=gw-7,O=Plant\,
 * North". As there, the first one written is the last in the certificate.
 *
 * Attributes: CN O OU C ST L DC UID serialNumber. Special characters are escaped by a backslash or
 * as two hex digits; quotes and multi-valued parts ("+") are not taken. Pure.
 */
#define TG_SUBJECT_MAX   512 /* bytes of text */
#define TG_SUBJECT_PARTS 16

/* 0 and an owned name (X509_NAME_free), or -EINVAL; the text says where. */
int tg_subject_parse(const char *text, X509_NAME **ret, struct tg_fault *reterr) TG_CHECKED;

/*
 * @name as one line of UTF-8 in RFC 2253 order, made printable and cut to @size (> 3). 0, or -EBADMSG when it cannot be
 * printed.
 */
int tg_subject_print(const X509_NAME *name, char *out, size_t size,
		     struct tg_fault *reterr) TG_CHECKED;

/* @in as one value of such a text: 0, or -ENAMETOOLONG when it does not fit in @size. */
int tg_subject_escape(const char *in, char *out, size_t size) TG_CHECKED;
