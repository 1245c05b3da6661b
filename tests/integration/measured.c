/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * measured FILE COMMAND...: runs the command, writes the most memory that it had resident, in KiB, to
 * FILE, and exits as it did.
 *
 * The kernel counts what a process had before exec() as the command's own. A test in Python has more
 * than what is to be measured; this has next to nothing.
 */
int main(int argc, char **argv)
{
	struct rusage usage;
	int status;
	FILE *out;
	pid_t pid;

	if (argc < 3)
		return 2;
	pid = fork();
	if (pid == 0) {
		(void) execv(argv[2], argv + 2);
		(void) fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
		_exit(2);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 2;
	if (pid < 0 || getrusage(RUSAGE_CHILDREN, &usage) < 0)
		return 2;
	out = fopen(argv[1], "we");
	if (!out || fprintf(out, "%ld\n", usage.ru_maxrss) < 0 || fclose(out) < 0)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
