/* SPDX-License-Identifier: Apache-2.0 */
#include "alert/out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/spawn.h"

#define MS            1000000ULL
#define BACKOFF_FIRST (100 * MS) /* before a program that died young is started again */
#define BACKOFF_LIMIT (30 * TIP_NSEC_PER_SEC)
#define YOUNG_NS      (5 * TIP_NSEC_PER_SEC)
#define LAST_MOMENT   (200 * MS)
#define SAY_LINES     20  /* lines of its standard error that reach our log in a second */
#define SAY_LEN       500 /* bytes of one */

struct out_program {
	struct tip_out out;
	char **argv;
	const char *name; /* of what is run, for the log */
	bool keep_alive, closing;
	pid_t pid; /* also its process group; 0: none runs */
	struct tip_writer in;
	int err_fd;
	uint64_t started_ns, next_start_ns, backoff_ns;
	struct tip_buf said;
	uint64_t said_second;
	uint32_t said_lines, unsaid;
};

/* ---- its standard error ------------------------------------------------------------------------
 */

static void say(struct out_program *o, const char *text, size_t len)
{
	uint64_t second = tip_clock_monotonic() / TIP_NSEC_PER_SEC;

	if (second != o->said_second) {
		if (o->unsaid)
			tip_warn("alert", "%s: %u more lines", o->name, o->unsaid);
		o->said_second = second;
		o->said_lines = o->unsaid = 0;
	}
	if (++o->said_lines > SAY_LINES)
		o->unsaid++;
	else if (len)
		tip_warn("alert", "%s: %.*s", o->name, (int)len, text);
}

/* Whole lines, and what is too long for one. */
static void hear(struct out_program *o, bool all)
{
	const char *nl;

	while (o->said.len) {
		size_t len;

		nl = memchr(o->said.data, '\n', o->said.len);
		if (!nl && !all && o->said.len < SAY_LEN)
			return;
		len = nl ? (size_t)(nl - o->said.data) : o->said.len;
		if (len > SAY_LEN)
			len = SAY_LEN;
		say(o, o->said.data, len);
		tip_buf_consume(&o->said, len + (nl && o->said.data + len == nl));
	}
}

static void close_err(struct out_program *o)
{
	if (o->err_fd >= 0)
		close(o->err_fd);
	o->err_fd = o->in.side = -1;
	hear(o, true);
}

static void read_err(void *ctx)
{
	struct out_program *o = ctx;
	char buf[1024];
	ssize_t n;

	/* Once: who writes without end does not keep the alerts waiting. */
	n = read(o->err_fd, buf, sizeof(buf));
	if (n > 0) {
		tip_buf_add(&o->said, buf, (size_t)n);
		hear(o, false);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close_err(o);
	}
}

/* ---- life and death ----------------------------------------------------------------------------
 */

static void close_in(struct out_program *o)
{
	if (o->in.fd >= 0)
		close(o->in.fd);
	tip_writer_use(&o->in, -1);
}

static void describe_end(const struct out_program *o, int status)
{
	if (WIFSIGNALED(status))
		tip_warn("alert", "%s died of signal %d", o->name, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		tip_warn("alert", "%s exited with %d", o->name, WEXITSTATUS(status));
	else if (o->keep_alive && !o->closing)
		tip_warn("alert", "%s ended", o->name);
}

static void back_off(struct out_program *o, bool young)
{
	if (!young)
		o->backoff_ns = 0;
	o->backoff_ns = o->backoff_ns ? o->backoff_ns * 2 : BACKOFF_FIRST;
	if (o->backoff_ns > BACKOFF_LIMIT)
		o->backoff_ns = BACKOFF_LIMIT;
	o->next_start_ns = tip_clock_monotonic() + o->backoff_ns;
}

/* Takes note that it has ended, if it has. */
static bool reaped(struct out_program *o)
{
	siginfo_t dead = {0};
	int status = 0;

	if (!o->pid)
		return true;
	if (waitid(P_PID, (id_t)o->pid, &dead, WEXITED | WNOHANG | WNOWAIT) < 0 || !dead.si_pid)
		return false;
	/*
	 * What it started and left behind must not pile up. While it is a zombie its number is that
	 * of no other process group.
	 */
	kill(-o->pid, SIGKILL);
	waitpid(o->pid, &status, 0);
	o->pid = 0;
	if (o->keep_alive)
		back_off(o, tip_clock_monotonic() - o->started_ns < YOUNG_NS);
	if (o->err_fd >= 0)
		read_err(o);
	close_err(o);
	close_in(o);
	describe_end(o, status);
	return true;
}

/* Waits until it has ended by itself; what it says meanwhile is heard. */
static bool await_end(struct out_program *o, uint64_t deadline_ns, const struct tip_out_pace *pace)
{
	while (!reaped(o)) {
		struct pollfd p = {.fd = o->err_fd, .events = POLLIN}; /* -1 is ignored */

		if (tip_clock_monotonic() >= deadline_ns || (pace && pace->late(pace->ctx)))
			return false;
		if (poll(&p, 1, 20) > 0)
			read_err(o);
	}
	return true;
}

/* With everything that it has started. */
static void end(struct out_program *o)
{
	close_in(o);
	if (!o->pid)
		return;
	kill(-o->pid, SIGKILL);
	while (!await_end(o, UINT64_MAX, NULL))
		;
}

static int spawn(struct out_program *o, int in, int err)
{
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/",
		"LC_ALL=C.UTF-8", NULL};
	const struct tip_spawn child = {
		.path = o->argv[0],
		.argv = (const char *const *)o->argv,
		.env = env,
		.fds = {in, TIP_SPAWN_NULL, err, TIP_SPAWN_SAME},
		.session = true,
	};

	return tip_spawn(&child, &o->pid);
}

static int start(struct out_program *o)
{
	int in[2], err[2], error;

	if (pipe2(in, O_CLOEXEC) < 0)
		return errno;
	if (pipe2(err, O_CLOEXEC) < 0) {
		error = errno;
		close(in[0]);
		close(in[1]);
		return error;
	}
	error = spawn(o, in[0], err[1]);
	close(in[0]);
	close(err[1]);
	o->started_ns = tip_clock_monotonic();
	if (error) {
		close(in[1]);
		close(err[0]);
		tip_err("alert", "%s cannot be started: %s", o->name, strerror(error));
		return error;
	}
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	tip_writer_use(&o->in, in[1]);
	o->err_fd = o->in.side = err[0];
	return 0;
}

/* 0 when one runs. EAGAIN: not now. */
static int running(struct out_program *o)
{
	if (!reaped(o))
		return 0;
	if (tip_clock_monotonic() < o->next_start_ns)
		return EAGAIN;
	if (start(o)) {
		back_off(o, true);
		return EAGAIN;
	}
	return 0;
}

/* ---- alerts -------------------------------------------------------------------------------------
 */

static int deliver_kept(struct out_program *o, struct tip_line *const *lines, size_t n,
			size_t *taken, const struct tip_out_pace *pace)
{
	int error = running(o);

	*taken = 0;
	if (error)
		return error;
	error = tip_writer_deliver(&o->in, lines, n, taken, pace);
	if (!error || error == EAGAIN || error == ECANCELED)
		return error;
	/* It has closed its standard input, most likely because it has ended: for another one. */
	end(o);
	return EAGAIN;
}

/* A program for this one line. */
static int deliver_one(struct out_program *o, struct tip_line *const *line, size_t *taken,
		       const struct tip_out_pace *pace)
{
	int error = running(o);
	size_t one = 0;

	if (error)
		return error;
	error = tip_writer_deliver(&o->in, line, 1, &one, pace);
	close_in(o);
	/* Who reads nothing and ends, as `true` does, has had its alert. */
	if (error == EPIPE)
		error = 0;
	if (!await_end(o, tip_clock_monotonic() + pace->timeout_ns, pace)) {
		tip_warn("alert", "%s does not end and is killed", o->name);
		end(o);
	}
	*taken += error == 0;
	return error;
}

static int deliver(struct tip_out *out, struct tip_line *const *lines, size_t n, size_t *taken,
		   const struct tip_out_pace *pace)
{
	struct out_program *o = (struct out_program *)out;
	int error = 0;

	if (o->keep_alive)
		return deliver_kept(o, lines, n, taken, pace);
	*taken = 0;
	while (*taken < n && !error)
		error = deliver_one(o, lines + *taken, taken, pace);
	return error;
}

static int watch(const struct tip_out *out)
{
	return ((const struct out_program *)out)->err_fd;
}

static void attend(struct tip_out *out)
{
	struct out_program *o = (struct out_program *)out;

	read_err(o);
	/* Descriptors are closed a moment before there is an end to be waited for. */
	if (o->err_fd < 0)
		await_end(o, tip_clock_monotonic() + LAST_MOMENT, NULL);
}

static void close_program(struct tip_out *out, uint64_t deadline_ns)
{
	struct out_program *o = (struct out_program *)out;

	o->closing = true;
	/* The end of its input tells it to end; it may read what is in the pipe before. */
	close_in(o);
	if (!await_end(o, deadline_ns, NULL)) {
		tip_warn("alert", "%s does not end and is killed", o->name);
		end(o);
	}
	for (size_t i = 0; o->argv[i]; i++)
		free(o->argv[i]);
	free(o->argv);
	tip_buf_free(&o->said);
	free(o);
}

static const struct tip_out_ops program_ops = {.deliver = deliver,
					       .watch = watch,
					       .attend = attend,
					       .close = close_program};

struct tip_out *tip_out_program(const char *const *argv, bool keep_alive)
{
	struct out_program *o = tip_alloc(sizeof(*o));
	size_t n = 0;

	while (argv[n])
		n++;
	o->out.ops = &program_ops;
	o->argv = tip_calloc(n + 1, sizeof(*o->argv));
	for (size_t i = 0; i < n; i++)
		o->argv[i] = tip_strdup(argv[i]);
	o->name = "the program";
	o->keep_alive = keep_alive;
	o->err_fd = -1;
	o->in.attend = read_err;
	o->in.ctx = o;
	o->in.side = -1;
	tip_writer_use(&o->in, -1);
	return &o->out;
}
