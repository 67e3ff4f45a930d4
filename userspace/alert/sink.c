/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "alert/sink.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define POLL_MS     200 /* how late a stop is noticed while the reader does not read */
#define COMPLAIN_NS (60 * TIP_NSEC_PER_SEC)
#define STACK_SIZE  (128 * 1024)

struct tip_sink {
	char *name;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below but what is said to be the thread's */
	pthread_cond_t wake;  /* the thread waits here */
	pthread_cond_t done;  /* tip_sink_free() waits here */
	struct tip_line **ring;
	size_t size, head, count, bytes;
	int next_fd; /* -1: keep the one in use */
	bool stopping, finished;
	uint64_t deadline_ns;
	uint64_t written, dropped;

	uint64_t full_ns; /* the caller's: when it last complained that the queue is full */

	/* the thread's */
	int fd;
	bool own_fd;
	bool is_socket, chunked;
	bool torn; /* the last line in the file has no end */
	struct tip_line *current;
	uint64_t complained_ns;
};

struct tip_line *tip_line_new(const char *text, size_t len)
{
	struct tip_line *line = tip_alloc(sizeof(*line) + len + 2);

	atomic_init(&line->refs, 1);
	memcpy(line->text, text, len);
	line->text[len] = '\n';
	line->len = len + 1;
	return line;
}

struct tip_line *tip_line_ref(struct tip_line *line)
{
	atomic_fetch_add_explicit(&line->refs, 1, memory_order_relaxed);
	return line;
}

void tip_line_put(struct tip_line *line)
{
	if (line && atomic_fetch_sub_explicit(&line->refs, 1, memory_order_acq_rel) == 1)
		free(line);
}

/* What kind of thing the descriptor is decides how to write without being caught in write(2). */
static void use_fd(struct tip_sink *s, int fd, bool own)
{
	struct stat st;

	s->fd = fd;
	s->own_fd = own;
	s->torn = false;
	s->is_socket = s->chunked = false;
	if (fstat(fd, &st) == 0) {
		s->is_socket = S_ISSOCK(st.st_mode);
		/*
		 * A pipe that poll() calls writable takes PIPE_BUF bytes at once. Its O_NONBLOCK is
		 * not ours to set: stdout's file description is shared with whoever started us.
		 */
		s->chunked = S_ISFIFO(st.st_mode);
	}
}

static bool too_late(struct tip_sink *s)
{
	bool late;

	pthread_mutex_lock(&s->lock);
	late = s->stopping && tip_clock_monotonic() >= s->deadline_ns;
	pthread_mutex_unlock(&s->lock);
	return late;
}

static ssize_t write_some(const struct tip_sink *s, const char *text, size_t len)
{
	if (s->is_socket)
		return send(s->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(s->fd, text, s->chunked && len > PIPE_BUF ? PIPE_BUF : len);
}

/* 0, or the errno that ended it (ETIMEDOUT: told to stop). */
static int write_all(struct tip_sink *s, const char *text, size_t len, size_t *done)
{
	*done = 0;
	while (*done < len) {
		struct pollfd p = {.fd = s->fd, .events = POLLOUT};
		ssize_t n;

		if (poll(&p, 1, POLL_MS) <= 0) {
			if (too_late(s))
				return ETIMEDOUT;
			continue;
		}
		n = write_some(s, text + *done, len - *done);
		if (n > 0)
			*done += (size_t)n;
		else if (n == 0)
			return EIO;
		else if (errno == EAGAIN) /* writable for poll(), but not for that much: a full tty,
					     a socket */
			poll(NULL, 0, 10);
		else if (errno != EINTR)
			return errno;
		if (n < 0 && too_late(s))
			return ETIMEDOUT;
	}
	return 0;
}

static void complain(uint64_t *last_ns, const char *name, const char *why)
{
	uint64_t now = tip_clock_monotonic();

	if (*last_ns && now - *last_ns < COMPLAIN_NS)
		return;
	*last_ns = now;
	tip_err("alert",
		"%s does not take alerts: %s; they are dropped and counted (see `tipstaff "
		"status`)",
		name, why);
}

/* One line, whole or counted as dropped. */
static void deliver(struct tip_sink *s, const struct tip_line *line)
{
	size_t done = 0;
	int error = 0;

	/* A line that was cut off by a full disk is ended, so that it spoils only itself. */
	if (s->torn) {
		error = write_all(s, "\n", 1, &done);
		if (!error)
			s->torn = false;
	}
	if (!error) {
		error = write_all(s, line->text, line->len, &done);
		if (error && done)
			s->torn = true;
	}
	if (error &&
	    error != ETIMEDOUT) /* that is the end, and tip_sink_free() says what is lost */
		complain(&s->complained_ns, s->name, strerror(error));
	pthread_mutex_lock(&s->lock);
	if (error)
		s->dropped++;
	else
		s->written++;
	pthread_mutex_unlock(&s->lock);
}

/* Takes the next line into s->current, and a new descriptor if there is one. False: told to stop.
 */
static bool next_line(struct tip_sink *s)
{
	int fd;

	pthread_mutex_lock(&s->lock);
	while (!s->count && s->next_fd < 0 && !s->stopping)
		pthread_cond_wait(&s->wake, &s->lock);
	fd = s->next_fd;
	s->next_fd = -1;
	if (s->count && !(s->stopping && tip_clock_monotonic() >= s->deadline_ns)) {
		s->current = s->ring[s->head];
		s->head = (s->head + 1) % s->size;
		s->count--;
		s->bytes -= s->current->len;
	}
	pthread_mutex_unlock(&s->lock);

	if (fd >= 0) {
		if (s->own_fd)
			close(s->fd);
		use_fd(s, fd, true);
	}
	return s->current || fd >= 0;
}

static void *writer(void *arg)
{
	struct tip_sink *s = arg;

	while (next_line(s)) {
		struct tip_line *line = s->current;

		if (!line)
			continue;
		deliver(s, line);
		s->current = NULL;
		tip_line_put(line);
	}
	pthread_mutex_lock(&s->lock);
	s->finished = true;
	pthread_cond_signal(&s->done);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

struct tip_sink *tip_sink_new(const char *name, int fd, bool own, size_t queue)
{
	struct tip_sink *s = tip_alloc(sizeof(*s));
	sigset_t all, before;
	pthread_condattr_t clock;
	pthread_attr_t attr;
	int rc;

	s->name = tip_strdup(name);
	s->size = queue;
	s->ring = tip_calloc(queue, sizeof(*s->ring));
	s->next_fd = -1;
	use_fd(s, fd, own);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
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
	rc = pthread_create(&s->thread, &attr, writer, s);
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
	if (s->count >= s->size || s->bytes + line->len > TIP_SINK_BYTES || s->stopping) {
		s->dropped++;
		full = true;
	} else {
		s->ring[(s->head + s->count++) % s->size] = tip_line_ref(line);
		s->bytes += line->len;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	if (full)
		complain(&s->full_ns, s->name, "its reader is too slow and the queue is full");
}

void tip_sink_set_fd(struct tip_sink *s, int fd)
{
	pthread_mutex_lock(&s->lock);
	if (s->next_fd >= 0)
		close(s->next_fd);
	s->next_fd = fd;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

size_t tip_sink_waiting(struct tip_sink *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->count;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void tip_sink_stats(struct tip_sink *s, uint64_t *written, uint64_t *dropped)
{
	pthread_mutex_lock(&s->lock);
	*written = s->written;
	*dropped = s->dropped;
	pthread_mutex_unlock(&s->lock);
}

void tip_sink_stop(struct tip_sink *s, uint64_t deadline_ns)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	s->deadline_ns = deadline_ns;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void tip_sink_free(struct tip_sink *s)
{
	bool threaded = s->size != 0, stuck;
	struct timespec until;
	uint64_t end;
	size_t left;

	pthread_mutex_lock(&s->lock);
	/* The thread notices the deadline within POLL_MS, unless write(2) itself hangs (a stopped
	 * tty, a dead NFS). */
	end = s->deadline_ns + 2ULL * POLL_MS * 1000000;
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

	left = s->count + (s->current ? 1 : 0);
	if (left)
		tip_warn("alert", "%zu alerts that %s had not taken are lost", left, s->name);
	while (s->count) {
		tip_line_put(s->ring[s->head]);
		s->head = (s->head + 1) % s->size;
		s->count--;
	}
	tip_line_put(s->current);
	if (s->next_fd >= 0)
		close(s->next_fd);
	if (s->own_fd)
		close(s->fd);
	pthread_cond_destroy(&s->wake);
	pthread_cond_destroy(&s->done);
	pthread_mutex_destroy(&s->lock);
	free(s->ring);
	free(s->name);
	free(s);
}

int tip_sink_open(const char *path, struct tip_error *err)
{
	struct stat st;
	int fd;

	/* O_NONBLOCK: a FIFO without a reader must not hold the daemon up; it is refused below. */
	fd = open(path,
		  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
		  0600);
	if (fd < 0) {
		tip_error_set(err, "cannot open the alert file %s: %s%s", path, strerror(errno),
			      errno == ELOOP    ? " (a symbolic link is not followed)"
			      : errno == ENOENT ? " (its folder has to exist)"
						: "");
		return -1;
	}
	if (fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISCHR(st.st_mode))) {
		close(fd);
		return tip_error_set(err, "the alert file %s is not a regular file", path);
	}
	return fd;
}
