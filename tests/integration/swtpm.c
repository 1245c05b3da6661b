/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/swtpm.h"

#include "base/clock.h"

#include <tidegate/cleanup.h>

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define START_US (20 * TG_US_PER_S)

/* Called by LeakSanitizer where there is one. The transport to swtpm forgets a copy of its path at
 * each start. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:Tss2_Tcti_Swtpm_Init\n";
}

static void nap(void)
{
	const struct timespec ts = { .tv_nsec = 10000000 };

	(void) nanosleep(&ts, NULL);
}

static bool listens(const struct swtpm *s, const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	tg_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void) snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", s->dir, name);
	return fd >= 0 && connect(fd, (const struct sockaddr *) &addr, sizeof(addr)) == 0;
}

/* It opens one socket after the other. */
static bool answers(const struct swtpm *s)
{
	return listens(s, "s.ctrl") && listens(s, "s");
}

/*
 * What runs in the child from here on. The transport's sockets are not closed on exec, and a copy of one
 * would keep a connection alive that its owner has closed.
 */
static void prepare_exec(void)
{
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	closefrom(STDERR_FILENO + 1);
}

static void exec_swtpm(const struct swtpm *s)
{
	char state[96], server[96], ctrl[96], log[96];

	(void) snprintf(state, sizeof(state), "dir=%s", s->dir);
	(void) snprintf(server, sizeof(server), "type=unixio,path=%s/s", s->dir);
	(void) snprintf(ctrl, sizeof(ctrl), "type=unixio,path=%s/s.ctrl", s->dir);
	(void) snprintf(log, sizeof(log), "file=%s/log,level=1", s->dir);
	(void) execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server,
		      "--ctrl", ctrl, "--flags", "not-need-init,startup-clear", "--log", log,
		      (char *) NULL);
	_exit(127);
}

void swtpm_start(struct swtpm *s)
{
	uint64_t deadline = tg_clock_boot_us() + START_US;
	char path[96];

	assert_int_equal(s->pid, 0);
	/* A TPM that was cut leaves its sockets behind. */
	(void) snprintf(path, sizeof(path), "%s/s", s->dir);
	(void) unlink(path);
	(void) snprintf(path, sizeof(path), "%s/s.ctrl", s->dir);
	(void) unlink(path);

	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		prepare_exec();
		exec_swtpm(s);
	}
	while (!answers(s)) {
		int status;

		if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
			s->pid = 0;
			fail_msg("swtpm ended at once; is it installed? See %s/log", s->dir);
		}
		if (tg_clock_boot_us() > deadline)
			fail_msg("swtpm did not start; see %s/log", s->dir);
		nap();
	}
}

void swtpm_init(struct swtpm *s)
{
	/* Otherwise it comes and goes with each connection, and what it leaks cannot be told from
	 * what we do. */
	(void) dlopen("libtss2-tcti-swtpm.so.0", RTLD_NOW | RTLD_NODELETE);
	*s = (struct swtpm){ 0 };
	(void) snprintf(s->dir, sizeof(s->dir), "/tmp/tidegate-swtpm.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	(void) snprintf(s->tcti, sizeof(s->tcti), "swtpm:path=%s/s", s->dir);
	swtpm_start(s);
}

void swtpm_cut(struct swtpm *s)
{
	if (s->pid <= 0)
		return;
	(void) kill(s->pid, SIGKILL);
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
	s->pid = 0;
}

void swtpm_freeze(struct swtpm *s)
{
	int status;

	assert_int_equal(kill(s->pid, SIGSTOP), 0);
	assert_int_equal(waitpid(s->pid, &status, WUNTRACED), s->pid);
	assert_true(WIFSTOPPED(status));
}

void swtpm_thaw(struct swtpm *s)
{
	assert_int_equal(kill(s->pid, SIGCONT), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st;
	(void) type;
	(void) ftw;
	return remove(path);
}

void swtpm_done(struct swtpm *s)
{
	swtpm_cut(s);
	if (s->dir[0])
		(void) nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	*s = (struct swtpm){ 0 };
}

static void exec_tool(const struct swtpm *s, const char *const argv[])
{
	char path[96];
	int fd;

	prepare_exec();
	(void) snprintf(path, sizeof(path), "%s/output", s->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(126);
	(void) setenv("TPM2TOOLS_TCTI", s->tcti, 1);
	(void) setenv("TPM2OPENSSL_TCTI", s->tcti, 1);
	(void) execvp(argv[0], (char *const *) argv);
	_exit(127);
}

int swtpm_run(const struct swtpm *s, const char *const argv[])
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0)
		exec_tool(s, argv);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *swtpm_output(const struct swtpm *s)
{
	static char text[4096];
	char path[96];
	size_t n = 0;

	(void) snprintf(path, sizeof(path), "%s/output", s->dir);
	FILE *f = fopen(path, "re");

	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		(void) fclose(f);
	}
	text[n] = '\0';
	return text;
}
