/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/file.h"
#include "config/load.h"
#include "identity/generation.h"
#include "identity/journal.h"
#include "identity/tpm_name.h"
#include "json/json.h"
#include "mqtt/session.h"
#include "provisioning/begin.h"
#include "provisioning/by_hand.h"
#include "provisioning/check/check.h"
#include "provisioning/enrol/method.h"
#include "provisioning/enrolment.h"
#include "provisioning/failure.h"
#include "provisioning/operator_file.h"
#include "provisioning/options.h"
#include "provisioning/step_key.h"
#include "wallclock/look.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/*
 * tidegate-provision: one enrolment or renewal, then it ends. Started by the agent when it needs an
 * identity, or by hand. What it parses comes from a service on the network; a crash here does not touch the
 * data path.
 */

/* More than all waits of an enrolment one after the other: for the network, and for the TPM. */
#define ENROL_MAX_S 900
#define ENROL_JOBS  16

/* Tokens and a claim key pass through this process: no core dumps, no debugger of the same user. */
static void harden(void)
{
	const struct rlimit none = { 0, 0 };

	(void) umask(027);
	(void) setrlimit(RLIMIT_CORE, &none);
	(void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	tg_json_clear_memory();
}

static int load_config(const char *path, struct tg_config **ret)
{
	struct tg_complaints c = { 0 };
	int r = tg_config_load(path, &c, ret);

	for (size_t i = 0; i < c.n; i++)
		(void) fprintf(stderr, "%s%s\n", c.items[i].warning ? "warning: " : "",
			       c.items[i].text);
	if (r < 0 && c.errors == 0)
		(void) fprintf(stderr, "%s: %s\n", path, strerror(-r));
	tg_complaints_done(&c);
	return r;
}

/* Two helpers would make two keys and ask for two certificates. The lock goes with the descriptor.
 */
static int take_lock(const char *state_dir, int *ret, struct tg_fault *reterr)
{
	tg_autoclose int fd = -1;
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", state_dir, TG_DIR_IDENTITY), r;

	if (n < 0 || (size_t) n + sizeof("/lock") > sizeof(path))
		return tg_fault_set(reterr, -ENAMETOOLONG, "state directory: path too long");
	r = tg_file_mkdirs(path, 0750, reterr);
	if (r < 0)
		return r;
	memcpy(path + n, "/lock", sizeof("/lock"));
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return tg_fault_set(reterr, -errno, "%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return tg_fault_set(reterr, -EBUSY, "another enrolment is at work (%s is locked)",
				    path);
	*ret = tg_take_fd(fd);
	return 0;
}

/* The name is remembered, so that the agent knows it while the TPM is away. */
static int keep_name(struct tg_enrolment *e, struct tg_fault *reterr)
{
	bool replaced = false;
	int r = tg_tpm_name_write(e->state_dir, e->names.tpm, &replaced, reterr);

	if (r == 0 && replaced)
		tg_progress_note(e->progress, "this is another TPM than before; it is %s",
				 e->names.tpm);
	return r;
}

static int begin(struct tg_enrolment *e, const struct tg_options *o, struct tg_fault *reterr)
{
	int r;

	/* First, as what fails afterwards is dated, too. */
	tg_begin_time(e, o);
	r = tg_begin_tpm(e, reterr);
	if (r == 0)
		r = tg_begin_names(e, reterr);
	return r < 0 ? r : keep_name(e, reterr);
}

static int do_identity(struct tg_enrolment *e, const struct tg_options *o, struct tg_fault *reterr)
{
	int r = tg_begin_tpm(e, reterr);

	if (r == 0)
		r = tg_tpm_identity(e->tpm, e->names.tpm, reterr);
	if (r < 0)
		return r;
	(void) printf(o->json ? "{\"tpm\":\"%s\"}\n" : "%s\n", e->names.tpm);
	return 0;
}

/* The request of an enrolment by hand, and what is done with it. */
static int deliver(struct tg_enrolment *e, const char *file, struct tg_fault *reterr)
{
	int r = tg_by_hand_deliver(e, file, reterr);

	if (r < 0)
		return r;
	tg_progress_note(e->progress,
			 "have it signed, then: tidegate-provision --install FILE (the "
			 "certificate, and those of its issuers up to the root)");
	tg_progress_result(e->progress, "requested", 0, NULL);
	return 0;
}

/* "enrolled", or "present" when nothing had to be done. */
static int enrol(struct tg_enrolment *e, const struct tg_options *o, struct tg_fault *reterr)
{
	const char *done = e->order.kind == TG_ORDER_RENEW ? "renewed" : "enrolled";
	struct tg_manifest m = { 0 };
	int r = begin(e, o, reterr);

	if (r == 0 && tg_by_hand_known(e, &m)) {
		tg_progress_result(e->progress, "present", 0, &m);
		return 0;
	}
	/* A renewal never takes the place of a candidate on trial. */
	if (r == 0 && (!o->again || e->order.kind == TG_ORDER_RENEW))
		r = tg_enrolment_present(e, &m, reterr);
	if (r < 0)
		return tg_enrolment_not_begun(e, r, reterr);
	if (r > 0 && e->order.by_hand != TG_BY_HAND_NOT)
		return tg_by_hand_occupied(e, &m, reterr);
	if (r > 0) {
		tg_progress_result(e->progress, "present", 0, &m);
		return 0;
	}
	r = tg_enrolment_run(e, &m, reterr);
	if (r == 0 && e->order.by_hand == TG_BY_HAND_REQUEST)
		return deliver(e, o->file, reterr);
	if (r == 0)
		tg_progress_result(e->progress, done, e->base, &m);
	return r;
}

/*
 * Each wait of ours has a deadline, but not what other libraries do with the network or the TPM. The
 * agent starts no second helper while one runs; the journal makes it safe to die.
 */
static void set_deadline(const struct tg_config *c)
{
	(void) alarm(ENROL_MAX_S + (unsigned) (ENROL_JOBS * c->tpm.timeout_us / TG_US_PER_S));
}

static int do_enrol(struct tg_enrolment *e, const struct tg_options *o, struct tg_fault *reterr)
{
	tg_autoclose int lock = -1;
	/* Before the TPM's thread is there: it changes the environment. */
	int r = tg_mqtt_global_init(reterr);

	/* Before the clock runs: standard input may be a person. */
	if (r == 0 && e->order.by_hand == TG_BY_HAND_ANSWER)
		r = tg_by_hand_read(e, o->file, reterr);

	set_deadline(e->config);
	if (r == 0)
		r = tg_begin_owner(e->state_dir, reterr);
	if (r == 0)
		r = take_lock(e->state_dir, &lock, reterr);
	if (r == 0)
		r = tg_generation_recover(e->state_dir, reterr);
	if (r == 0)
		r = tg_journal_settle(e->state_dir, reterr);
	if (r == 0 && e->order.by_hand != TG_BY_HAND_NOT)
		tg_by_hand_order(e);
	if (r == 0)
		r = tg_enrolment_base(e, reterr);
	return r < 0 ? r : enrol(e, o, reterr);
}

/* What failed outside the steps has not been told yet; the steps tell for themselves. */
static void tell_failure(struct tg_enrolment *e, int r, const struct tg_fault *fault)
{
	struct tg_journal j = { .error_class = tg_failure_class(r), .error_step = TG_STEP_NONE };

	if (e->journal.error_class == TG_ENROL_OK) {
		(void) snprintf(j.error_text, sizeof(j.error_text), "%s", fault->text);
		tg_progress_failed(e->progress, &j);
	}
	tg_progress_result(e->progress, tg_progress_end(&e->journal), 0, NULL);
}

static int do_check(struct tg_enrolment *e, const struct tg_options *o)
{
	struct tg_report report = { .out = stdout, .json = o->json };
	struct tg_fault fault;

	if (tg_mqtt_global_init(&fault) < 0) {
		(void) fprintf(stderr, "tidegate-provision: %s\n", fault.text);
		return TG_EXIT_FAILED;
	}
	set_deadline(e->config);
	e->method = tg_method_get(e->config->enrolment.method, &fault);
	tg_check(e, o, &report);
	return tg_report_end(&report) ? TG_EXIT_OK : TG_EXIT_FAILED;
}

/* A method is carried out by hand, or not. */
static int check_command(const struct tg_options *o, const struct tg_config *c,
			 struct tg_fault *reterr)
{
	bool hand = o->order.by_hand != TG_BY_HAND_NOT;

	if (hand == (c->enrolment.method == TG_ENROL_MANUAL))
		return 0;
	return tg_fault_set(reterr, -EOPNOTSUPP,
			    hand ? "--csr and --install are for [enrolment] method = manual, which is not "
				   "what the configuration has"
				 : "[enrolment] method = manual: 'tidegate-provision --csr FILE' writes the "
				   "request, and --install FILE takes what was made of it");
}

static int run(const struct tg_options *o, const struct tg_config *config)
{
	/* What is asked for alone goes to standard output. */
	bool aside = o->command == TG_COMMAND_CSR && strcmp(o->file, "-") == 0;
	struct tg_progress progress = { .out = aside ? stderr : stdout, .json = o->json };
	tg_cleanup(tg_enrolment_done) struct tg_enrolment e = {
		.order = o->order,
		.config = config,
		.state_dir = o->state_dir,
		.progress = &progress,
	};
	struct tg_fault fault = { 0 };
	int r;

	tg_progress_begin(&progress);
	if (o->command == TG_COMMAND_CHECK)
		return do_check(&e, o);
	if (o->command == TG_COMMAND_IDENTITY) {
		r = do_identity(&e, o, &fault);
		if (r < 0)
			(void) fprintf(stderr, "tidegate-provision: %s\n", fault.text);
		return r < 0 ? TG_EXIT_FAILED : TG_EXIT_OK;
	}
	e.method = tg_method_get(config->enrolment.method, &fault);
	if (!e.method || check_command(o, config, &fault) < 0) {
		(void) fprintf(stderr, "tidegate-provision: %s\n", fault.text);
		return TG_EXIT_CONFIG;
	}
	r = do_enrol(&e, o, &fault);
	if (r < 0)
		tell_failure(&e, r, &fault);
	return r < 0 ? TG_EXIT_FAILED : TG_EXIT_OK;
}

int main(int argc, char **argv)
{
	struct tg_options o;
	tg_cleanup(tg_config_unrefp) struct tg_config *config = NULL;
	int code;

	tg_file_hold_standard();
	if (tg_options_parse(argc, argv, &o) < 0) {
		(void) fputs(tg_options_usage, stderr);
		return TG_EXIT_USAGE;
	}
	if (o.help || o.version) {
		(void) fputs(o.help ? tg_options_usage : "tidegate-provision " TIDEGATE_VERSION "\n", stdout);
		return TG_EXIT_OK;
	}
	harden();
	if (load_config(o.config, &config) < 0)
		return TG_EXIT_CONFIG;
	code = run(&o, config);
	/* One that hangs with the TPM may wake up any moment, and must not meet the exit handlers. */
	if (tg_tpm_threads() > 0) {
		(void) fflush(NULL);
		_exit(code);
	}
	return code;
}
