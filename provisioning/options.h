/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/enrolment.h"

#include <stdbool.h>

/*
 * The helper's command line. Pure, but for getopt's state.
 */
enum tg_command {
	TG_COMMAND_ENROL,
	TG_COMMAND_RENEW,
	TG_COMMAND_IDENTITY,
	TG_COMMAND_CSR,     /* --csr */
	TG_COMMAND_INSTALL, /* --install */
	TG_COMMAND_CHECK,   /* --check */
};

struct tg_options {
	const char *config, *state_dir; /* borrowed from argv */
	enum tg_command command;
	const char *file; /* of CSR and INSTALL: a path, or "-"; borrowed from argv */
	struct tg_order order;
	int64_t time_floor_s; /* 0: not told */
	bool clock_synchronised;
	bool json, again, help, version;
};

/* 0, or -EINVAL: the usage is wrong, and standard error says how where getopt does not. */
int tg_options_parse(int argc, char **argv, struct tg_options *ret) TG_CHECKED;
extern const char tg_options_usage[];
