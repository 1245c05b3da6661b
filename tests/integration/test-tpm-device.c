/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/clock.h"
#include "base/parse.h"
#include "tests/integration/swtpm.h"
#include "tpm/key.h"
#include "tpm/tpm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>

/*
 * The transport of production, device:, without a device: a pseudo-terminal takes the place of the node, and a
 * thread carries whole commands from it to a software TPM and the answers back.
 */
#define HEADER      10
#define MESSAGE_MAX 4096

struct node {
	struct swtpm swtpm;
	char path[64], tcti[80];
	int master, keep;
	pthread_t thread;
	struct tg_tpm *tpm;
	struct tg_tpm_key *key;
};

static bool get(int fd, uint8_t *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, buf, len);

		if (n <= 0)
			return false;
		buf += n;
		len -= (size_t) n;
	}
	return true;
}

static size_t get_message(int fd, uint8_t buf[static MESSAGE_MAX])
{
	size_t len;

	if (!get(fd, buf, HEADER))
		return 0;
	len = (size_t) buf[4] << 8 | buf[5];
	return len >= HEADER && len <= MESSAGE_MAX && get(fd, buf + HEADER, len - HEADER) ? len : 0;
}

static int dial(const struct node *n)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void) snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", n->swtpm.dir);
	if (fd >= 0 && connect(fd, (const struct sockaddr *) &a, sizeof(a)) < 0) {
		(void) close(fd);
		return -1;
	}
	return fd;
}

static void *carry(void *arg)
{
	const struct node *n = arg;
	uint8_t buf[MESSAGE_MAX];
	size_t len;

	while ((len = get_message(n->master, buf)) > 0) {
		tg_autoclose int tpm = dial(n);

		if (tpm < 0 || write(tpm, buf, len) != (ssize_t) len ||
		    (len = get_message(tpm, buf)) == 0 ||
		    write(n->master, buf, len) != (ssize_t) len)
			break;
	}
	return NULL;
}

static void open_pty(struct node *n)
{
	struct termios raw;

	n->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(n->master >= 0);
	assert_int_equal(grantpt(n->master), 0);
	assert_int_equal(unlockpt(n->master), 0);
	assert_int_equal(ptsname_r(n->master, n->path, sizeof(n->path)), 0);
	/* Kept open, or the master reads an error between two users. */
	n->keep = open(n->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(n->keep >= 0);
	assert_int_equal(tcgetattr(n->keep, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(n->keep, TCSANOW, &raw), 0);
	(void) snprintf(n->tcti, sizeof(n->tcti), "device:%s", n->path);
}

static int setup(void **state)
{
	struct node *n = calloc(1, sizeof(*n));
	struct tg_tpm_options o = { .timeout_us = 20 * TG_US_PER_S };
	tg_autofree char *pem = NULL;
	struct tg_fault f = { 0 };

	assert_non_null(n);
	swtpm_init(&n->swtpm);
	open_pty(n);
	assert_int_equal(pthread_create(&n->thread, NULL, carry, n), 0);
	o.tcti = n->tcti;
	assert_int_equal(tg_tpm_new(&o, &n->tpm, &f), 0);
	if (tg_tpm_ensure_srk(n->tpm, TG_TPM_SRK_DEFAULT, &f) < 0 ||
	    tg_tpm_create_key(n->tpm, TG_TPM_SRK_DEFAULT, &pem, &f) < 0 ||
	    tg_tpm_key_from_pem(pem, strlen(pem), &n->key, &f) < 0)
		fail_msg("%s", f.text);
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	struct node *n = *state;

	tg_tpm_free(n->tpm);
	tg_tpm_key_unref(n->key);
	(void) close(n->keep); /* the last user of the terminal: the thread's read() ends */
	(void) pthread_join(n->thread, NULL);
	(void) close(n->master);
	swtpm_done(&n->swtpm);
	free(n);
	return 0;
}

static int sign(const struct node *n)
{
	uint8_t digest[32] = { 1 }, sig[TG_TPM_SIGNATURE_MAX];
	size_t len;

	return tg_tpm_sign(n->tpm, n->key, digest, sizeof(digest), sig, &len, NULL);
}

/* How many fds of this process, but for the bench's own, lead to the node; how many of those would survive an exec. */
static void count_fds(const struct node *n, unsigned *ret_open, unsigned *ret_inherited)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *e;

	*ret_open = *ret_inherited = 0;
	while (dir && (e = readdir(dir))) {
		char to[64];
		ssize_t len = readlinkat(dirfd(dir), e->d_name, to, sizeof(to) - 1);
		uint64_t fd;

		to[len > 0 ? len : 0] = '\0';
		if (strcmp(to, n->path) != 0 || tg_parse_u64(e->d_name, &fd) < 0 ||
		    (int) fd == n->keep)
			continue;
		++*ret_open;
		*ret_inherited += !(fcntl((int) fd, F_GETFD) & FD_CLOEXEC);
	}
	if (dir)
		(void) closedir(dir);
}

static void the_device_node_is_not_inherited_by_programs(void **state)
{
	const struct node *n = *state;
	unsigned fds, inherited;

	assert_int_equal(sign(n), 0);
	count_fds(n, &fds, &inherited);
	assert_int_equal(fds, 1);
	assert_int_equal(inherited, 0);
}

static void a_child_lets_go_of_the_parents_connection(void **state)
{
	const struct node *n = *state;
	int status = -1;
	pid_t pid;

	assert_int_equal(sign(n), 0);
	pid = fork();
	if (pid == 0) {
		unsigned fds, inherited;

		count_fds(n, &fds, &inherited);
		_exit(fds == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* The parent's is as it was. */
	assert_int_equal(sign(n), 0);
}

static void nothing_is_open_after_the_end(void **state)
{
	struct node *n = *state;
	unsigned fds, inherited;

	assert_int_equal(sign(n), 0);
	n->tpm = tg_tpm_free(n->tpm);
	count_fds(n, &fds, &inherited);
	assert_int_equal(fds, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(the_device_node_is_not_inherited_by_programs),
		TEST(a_child_lets_go_of_the_parents_connection),
		TEST(nothing_is_open_after_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
