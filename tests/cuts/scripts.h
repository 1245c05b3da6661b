/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/cuts/subject.h"

/*
 * What is done to a spool while the power is cut at every operation of it.
 */
struct script {
	const char *name;
	/* Fits @limits, which are subject_limits() before; may be NULL. */
	void (*limit)(struct subject_limits *limits);
	/* What comes before, without cuts: its result is what the recorded part starts on. May be NULL. */
	void (*prepare)(struct subject *s);
	/* The recorded part. The spool is not open yet, and must be left open. */
	void (*run)(struct subject *s);
	bool damaged;   /* starts on a damaged file, which is told */
	bool large;     /* images of a megabyte: fewer of each cut, unless all are wanted */
	bool quick;     /* part of the shortest sample */
	unsigned every; /* a sample cuts at every so manieth operation; 0: all */
	/* Failing calls: 0: only if all are wanted; 1: also in the shortest sample; else in a sample, with fewer of them each. */
	unsigned failing;
};

extern const struct script scripts[];
extern const size_t n_scripts;
