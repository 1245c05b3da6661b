/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

/*
 * A software TPM for one test: a process, a directory of its own, sockets in
 * that directory (so no port to race for). It dies with the test program
 * whatever becomes of that, and it is ended by its process id.
 *
 * Not thread-safe. Failures of the bench itself end the test (fail_msg).
 */
struct swtpm {
	char dir[64];	/* absolute; removed by swtpm_done() */
	char tcti[128]; /* "swtpm:path=..." */
	pid_t pid;	/* 0: not running */
};

/* A new TPM, as from the factory, started. */
void swtpm_init(struct swtpm *s);
/* Ends it and removes its directory. Works on one that is zeroed. */
void swtpm_done(struct swtpm *s);

/* Starts the process again with the state that it had: power comes back. */
void swtpm_start(struct swtpm *s);
/* SIGKILL: the power is cut, without the orderly shutdown command. */
void swtpm_cut(struct swtpm *s);
/* SIGSTOP and SIGCONT: it hangs, and goes on. */
void swtpm_freeze(struct swtpm *s);
void swtpm_thaw(struct swtpm *s);

/*
 * Runs @argv (NULL-terminated, found in PATH) with TPM2TOOLS_TCTI and TPM2OPENSSL_TCTI set to this TPM and its
 * standard output and error in the file @dir/output. Returns its exit status, -1 when it was killed.
 */
int swtpm_run(const struct swtpm *s, const char *const argv[]);
/* The first bytes of what the last swtpm_run() printed. Valid until the next call. */
const char *swtpm_output(const struct swtpm *s);
