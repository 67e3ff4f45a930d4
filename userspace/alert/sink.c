/* SPDX-License-Identifier: Apache-2.0 */
#include "alert/sink.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define COMPLAIN_NS (60 * TIP_NSEC_PER_SEC)
#define STACK_SIZE  (128 * 1024)
#define HAND        64                 /* lines that the thread takes at once */
#define COMPANY     (64u << 10)        /* bytes for which a buffered line waits ... */
#define COMPANY_NS  TIP_NSEC_PER_SEC   /* ... and for how long */
#define AGAIN_MS    50                 /* until a way out that takes nothing now is asked again */
#define RETRY_FIRST (TIP_NSEC_PER_SEC) /* until a sink that is behind is tried again ... */
#define RETRY_LIMIT (30 * TIP_NSEC_PER_SEC) /* ... at most */
#define JOIN_NS     (400ULL * 1000000)      /* a thread that obeys has ended by then */

struct tip_sink {
	char *name;
	struct tip_sink_config config;
	pthread_t thread;
	int wake;             /* eventfd: the thread waits for it */
	pthread_mutex_t lock; /* of all below but what is said to be the thread's */
	pthread_cond_t done;  /* tip_sink_free() waits here */
	struct tip_line **ring;
	size_t size, head, count;
	size_t held;       /* lines that the thread has in its hand */
	size_t bytes;      /* of both */
	uint64_t first_ns; /* when the queue's first line came, while it is buffered */
	int next_fd;       /* -1: keep the one in use */
	bool stopping, finished;
	uint64_t deadline_ns;
	uint64_t written, dropped, refused, timeouts;
	struct tip_spool_stats on_disk; /* as the thread last saw it */

	uint64_t full_ns; /* the caller's: when it last complained that the queue is full */

	/* the thread's */
	struct tip_out *out;
	struct tip_line *hand[HAND];
	size_t nhand;
	uint64_t complained_ns;
	struct tip_spool *spool; /* NULL: none */
	bool behind;             /* lines are in the spool: all others go behind them */
	uint64_t retry_ns, backoff_ns;
};

static void wake(struct tip_sink *s)
{
	const uint64_t one = 1;

	/* A full counter is as good as a signal. */
	if (write(s->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
		tip_err("alert", "%s: eventfd: %s", s->name, strerror(errno));
}

static bool too_late(void *ctx)
{
	struct tip_sink *s = ctx;
	bool late;

	pthread_mutex_lock(&s->lock);
	late = s->stopping && tip_clock_monotonic() >= s->deadline_ns;
	pthread_mutex_unlock(&s->lock);
	return late;
}

static void complain(uint64_t *last_ns, const char *name, const char *why, const char *then)
{
	uint64_t now = tip_clock_monotonic();

	if (*last_ns && now - *last_ns < COMPLAIN_NS)
		return;
	*last_ns = now;
	tip_err("alert", "%s does not take alerts: %s; %s (see `tipstaff status`)", name, why,
		then);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Will it never take that line? It would stop all that is behind it. */
static bool is_final(int error)
{
	return error == EMSGSIZE || error == EBADMSG;
}

static const char *reason(int error)
{
	return error == EBADMSG ? "it refused one" : strerror(error);
}

/* Puts the first `n` lines of the hand down. */
static void put_down(struct tip_sink *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tip_line_put(s->hand[i]);
	s->nhand -= n;
	memmove(s->hand, s->hand + n, s->nhand * sizeof(*s->hand));
}

static void back_off(struct tip_sink *s)
{
	s->backoff_ns = s->backoff_ns ? s->backoff_ns * 2 : RETRY_FIRST;
	if (s->backoff_ns > RETRY_LIMIT)
		s->backoff_ns = RETRY_LIMIT;
	s->retry_ns = tip_clock_monotonic() + s->backoff_ns;
}

/* What the spool holds, for who asks from another thread. With the lock. */
static void note_spool(struct tip_sink *s)
{
	if (s->spool)
		tip_spool_stats(s->spool, &s->on_disk);
}

/* Puts a line into the spool, or counts it as lost. */
static bool spool_line(struct tip_sink *s, const struct tip_line *line)
{
	int error = tip_spool_put(s->spool, line);

	if (error)
		complain(&s->complained_ns, s->name,
			 error == ENOSPC ? "its spool is full" : strerror(error),
			 "they are dropped and counted");
	return !error;
}

/* Whatever is in the hand goes to the spool. */
static void spool_hand(struct tip_sink *s)
{
	size_t n = s->nhand, bytes = 0, lost = 0;

	for (size_t i = 0; i < n; i++) {
		bytes += s->hand[i]->len;
		lost += !spool_line(s, s->hand[i]);
	}
	tip_spool_sync(s->spool);
	s->behind = true;
	pthread_mutex_lock(&s->lock);
	s->bytes -= bytes;
	s->dropped += lost;
	s->held = 0;
	note_spool(s);
	pthread_mutex_unlock(&s->lock);
	put_down(s, n);
}

/* One line of the spool. False: there is none, or it is not taken now. */
static bool deliver_spooled(struct tip_sink *s, const struct tip_out_pace *pace)
{
	struct tip_line *line = tip_spool_next(s->spool);
	size_t taken = 0;
	int error = 0;

	s->behind = line != NULL;
	if (line) {
		error = s->out->ops->deliver(s->out, &line, 1, &taken, pace);
		if (!error || is_final(error))
			tip_spool_take(s->spool);
		else
			back_off(s);
		tip_line_put(line);
	}
	pthread_mutex_lock(&s->lock);
	s->written += taken;
	s->dropped += is_final(error);
	s->refused += is_final(error);
	note_spool(s);
	pthread_mutex_unlock(&s->lock);
	if (taken || is_final(error))
		s->backoff_ns = 0;
	if (is_final(error))
		complain(&s->complained_ns, s->name, reason(error), "it is dropped and counted");
	return line && (!error || is_final(error));
}

/* A handful of the spool, then there may be lines in the queue that have to go behind it. */
static void catch_up(struct tip_sink *s)
{
	const struct tip_out_pace pace = {s->config.timeout_ns, too_late, s};

	for (int i = 0; i < HAND && deliver_spooled(s, &pace); i++)
		;
}

/* Hands over what is in the hand. False: nothing more can be done now. */
static bool deliver(struct tip_sink *s)
{
	const struct tip_out_pace pace = {s->config.timeout_ns, too_late, s};
	uint64_t start = tip_clock_monotonic();
	size_t taken = 0, bytes = 0;
	bool lost, timeout;
	int error;

	error = s->out->ops->deliver(s->out, s->hand, s->nhand, &taken, &pace);
	lost = error && error != EAGAIN && error != ECANCELED;
	if (s->spool && !is_final(error))
		lost = false;
	/* Also EAGAIN: a program that is not started again yet. */
	timeout = error == EAGAIN && tip_clock_monotonic() - start >= s->config.timeout_ns;
	for (size_t i = 0; i < taken + lost; i++)
		bytes += s->hand[i]->len;
	pthread_mutex_lock(&s->lock);
	s->bytes -= bytes;
	s->written += taken;
	s->dropped += lost;
	s->refused += is_final(error);
	s->timeouts += timeout;
	s->held -= taken + lost;
	pthread_mutex_unlock(&s->lock);
	put_down(s, taken + lost);
	if (error && !is_final(error) && s->spool && s->nhand) {
		complain(&s->complained_ns, s->name,
			 timeout ? "its reader is too slow" : reason(error), "they are spooled");
		spool_hand(s);
		back_off(s);
		return true;
	}
	if (lost)
		complain(&s->complained_ns, s->name, reason(error), "they are dropped and counted");
	else if (timeout)
		complain(&s->complained_ns, s->name, "its reader is too slow",
			 "they wait, and are dropped and counted when the queue is full");
	return !error || lost;
}

/* How long lines may go on waiting for others, in ms; 0: they go now. With the lock. */
static int company(const struct tip_sink *s)
{
	uint64_t waited;

	if (!s->config.buffered || s->stopping || s->bytes >= COMPANY ||
	    s->count + s->held == s->size)
		return 0;
	waited = tip_clock_monotonic() - s->first_ns;
	return waited >= COMPANY_NS ? 0 : (int)((COMPANY_NS - waited) / 1000000) + 1;
}

/* Takes lines into the empty hand. With the lock. */
static void take(struct tip_sink *s)
{
	if (s->stopping && tip_clock_monotonic() >= s->deadline_ns)
		return;
	while (s->count && s->nhand < HAND) {
		s->hand[s->nhand++] = s->ring[s->head];
		s->head = (s->head + 1) % s->size;
		s->count--;
	}
	s->held = s->nhand;
	s->first_ns = tip_clock_monotonic();
}

/* Waits for something to do, at most `ms` (-1: without end). */
static void await_work(struct tip_sink *s, int ms)
{
	const int other = s->out->ops->watch ? s->out->ops->watch(s->out) : -1;
	struct pollfd p[] = {{.fd = s->wake, .events = POLLIN}, {.fd = other, .events = POLLIN}};
	uint64_t count;

	if (poll(p, other < 0 ? 1 : 2, ms) <= 0)
		return;
	if (p[0].revents && read(s->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
		poll(NULL, 0, AGAIN_MS);
	if (other >= 0 && p[1].revents)
		s->out->ops->attend(s->out);
}

/* A sink that is behind is tried when it is time to. How long to wait, in ms; 0: not at all. */
static int retry(struct tip_sink *s)
{
	uint64_t now = tip_clock_monotonic();

	if (now >= s->retry_ns)
		catch_up(s);
	now = tip_clock_monotonic();
	if (now >= s->retry_ns)
		return 0;
	return (int)((s->retry_ns - now) / 1000000) + 1;
}

/* One round. False: told to stop, and all is done that could be. */
static bool work(struct tip_sink *s)
{
	int fd, wait = -1;
	bool ended, busy;

	pthread_mutex_lock(&s->lock);
	fd = s->next_fd;
	s->next_fd = -1;
	if (!s->nhand && s->count) {
		wait = company(s);
		if (!wait)
			take(s);
	}
	ended = s->stopping && (!s->nhand || tip_clock_monotonic() >= s->deadline_ns);
	pthread_mutex_unlock(&s->lock);

	if (fd >= 0)
		s->out->ops->set_fd(s->out, fd);
	if (ended)
		return false;
	busy = s->nhand > 0;
	if (busy && s->behind)
		spool_hand(s);
	else if (busy)
		wait = deliver(s) ? 0 : AGAIN_MS;
	if (s->behind) {
		wait = retry(s);
		if (busy) /* there may be more in the queue than the hand holds */
			wait = 0;
	}
	if (wait)
		await_work(s, wait);
	return true;
}

/* The end: what was not delivered waits on disk for the next daemon. */
static void keep_rest(struct tip_sink *s)
{
	if (!s->spool)
		return;
	do {
		if (s->nhand)
			spool_hand(s);
		pthread_mutex_lock(&s->lock);
		s->deadline_ns = UINT64_MAX; /* take() is to give all */
		take(s);
		pthread_mutex_unlock(&s->lock);
	} while (s->nhand);
	tip_spool_close(s->spool);
	s->spool = NULL;
}

static void *run(void *arg)
{
	struct tip_sink *s = arg;
	uint64_t deadline;

	while (work(s))
		;
	deadline = s->deadline_ns;
	keep_rest(s);
	s->out->ops->close(s->out, deadline);
	pthread_mutex_lock(&s->lock);
	s->out = NULL;
	s->finished = true;
	pthread_cond_signal(&s->done);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- the caller's side -------------------------------------------------------------------------
 */

struct tip_sink *tip_sink_new(const char *name, struct tip_out *out,
			      const struct tip_sink_config *config)
{
	struct tip_sink *s = tip_alloc(sizeof(*s));
	sigset_t all, before;
	pthread_condattr_t clock;
	pthread_attr_t attr;
	int rc;

	s->name = tip_strdup(name);
	s->config = *config;
	s->size = config->queue;
	s->ring = tip_calloc(s->size, sizeof(*s->ring));
	s->next_fd = -1;
	s->out = out;
	s->spool = config->spool;
	if (s->spool) {
		note_spool(s);
		s->behind = s->on_disk.lines > 0;
	}
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&s->done, &clock);
	pthread_condattr_destroy(&clock);

	/* The daemon's signals are not for this thread; and SIGPIPE, which goes to who writes,
	 * stays pending here. */
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = s->wake < 0 ? errno : pthread_create(&s->thread, &attr, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (rc != 0) { /* no thread, no writer: everything is dropped, and said */
		tip_err("alert", "no thread for %s: %s; its alerts are dropped", name,
			strerror(rc));
		s->finished = true;
		s->size = 0;
	}
	return s;
}

void tip_sink_put(struct tip_sink *s, struct tip_line *line)
{
	bool full = false;

	pthread_mutex_lock(&s->lock);
	if (s->count + s->held >= s->size || s->bytes + line->len > TIP_SINK_BYTES || s->stopping) {
		s->dropped++;
		full = true;
	} else {
		s->ring[(s->head + s->count++) % s->size] = tip_line_ref(line);
		s->bytes += line->len;
		if (s->count == 1) {
			s->first_ns = tip_clock_monotonic();
			wake(s);
		} else if (s->config.buffered && !company(s)) {
			wake(s);
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (full)
		complain(&s->full_ns, s->name, "its reader is too slow and the queue is full",
			 "they are dropped and counted");
}

void tip_sink_set_fd(struct tip_sink *s, int fd)
{
	pthread_mutex_lock(&s->lock);
	if (s->next_fd >= 0)
		close(s->next_fd);
	s->next_fd = fd;
	wake(s);
	pthread_mutex_unlock(&s->lock);
}

size_t tip_sink_waiting(struct tip_sink *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->count + s->held;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void tip_sink_stats(struct tip_sink *s, struct tip_sink_stats *out)
{
	pthread_mutex_lock(&s->lock);
	*out = (struct tip_sink_stats){.written = s->written,
				       .dropped = s->dropped,
				       .refused = s->refused,
				       .timeouts = s->timeouts,
				       .waiting = s->count + s->held,
				       .spooled = s->on_disk.lines,
				       .spool_bytes = s->on_disk.bytes,
				       .spool_damaged = s->on_disk.damaged};
	pthread_mutex_unlock(&s->lock);
}

void tip_sink_stop(struct tip_sink *s, uint64_t deadline_ns)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	s->deadline_ns = deadline_ns;
	wake(s);
	pthread_mutex_unlock(&s->lock);
}

void tip_sink_free(struct tip_sink *s)
{
	bool threaded = s->size != 0, stuck;
	struct timespec until;
	uint64_t end;
	size_t left;

	pthread_mutex_lock(&s->lock);
	/* The thread notices the deadline soon, unless write(2) itself hangs (a stopped tty, a dead
	 * NFS). */
	end = s->deadline_ns + JOIN_NS;
	until.tv_sec = (time_t)(end / TIP_NSEC_PER_SEC);
	until.tv_nsec = (long)(end % TIP_NSEC_PER_SEC);
	while (!s->finished && pthread_cond_timedwait(&s->done, &s->lock, &until) != ETIMEDOUT)
		;
	stuck = !s->finished;
	pthread_mutex_unlock(&s->lock);
	if (stuck)
		pthread_cancel(s->thread); /* write(2) is a cancellation point, and no lock is held
					      there */
	if (threaded)
		pthread_join(s->thread, NULL);
	if (s->out)
		s->out->ops->close(s->out, 0);

	tip_spool_close(s->spool); /* of a thread that hung */
	left = s->count + s->nhand;
	if (left)
		tip_warn("alert", "%zu alerts that %s had not taken are lost", left, s->name);
	put_down(s, s->nhand);
	while (s->count) {
		tip_line_put(s->ring[s->head]);
		s->head = (s->head + 1) % s->size;
		s->count--;
	}
	if (s->next_fd >= 0)
		close(s->next_fd);
	if (s->wake >= 0)
		close(s->wake);
	pthread_cond_destroy(&s->done);
	pthread_mutex_destroy(&s->lock);
	free(s->ring);
	free(s->name);
	free(s);
}
