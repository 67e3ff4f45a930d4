/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/version.h"
#include "control/control.h"

/* The client end: blocking, with a limit on every wait but the one for the next event of a stream.
 */

#define WAIT_MS    30000        /* without a byte of progress */
#define MAX_ANSWER (256u << 20) /* a process table of a very large node is some tens of MiB */
#define MAX_EVENT  (16u << 20)
#define READ_CHUNK (64u << 10)

struct reader {
	int fd;
	struct tip_buf buf;
	size_t line; /* length of the line last returned, its newline included */
	size_t max;
	int wait_ms; /* -1: for ever */
};

static int hint_set(char **hint, const char *text)
{
	free(*hint);
	*hint = text ? tip_strdup(text) : NULL;
	return -1;
}

static int connect_raw(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, saved;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int tip_control_probe(const char *path)
{
	int fd = connect_raw(path);

	if (fd >= 0) {
		close(fd);
		return 1;
	}
	if (errno == EAGAIN) /* somebody listens, with a full backlog */
		return 1;
	return errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR ? 0 : -1;
}

/* Connects; a full backlog is waited for (connect() on AF_UNIX says EAGAIN and cannot be polled).
 */
static int dial(const char *path, struct tip_error *err, char **hint)
{
	const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
	int fd;

	for (int i = 0; (fd = connect_raw(path)) < 0 && errno == EAGAIN && i < 100; i++)
		nanosleep(&pause, NULL);
	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		hint_set(hint, "start it with `systemctl start tipstaffd`, or name the socket of a"
			       " running one with --socket or TIPSTAFF_SOCKET");
		return tip_error_set(err, "no daemon listens on %s", path);
	case EACCES:
	case EPERM:
		hint_set(hint, "only root may control the daemon: run it with sudo");
		return tip_error_set(err, "%s: permission denied", path);
	case EAGAIN:
		hint_set(hint, "look at the daemon's log: `journalctl -u tipstaffd`");
		return tip_error_set(err, "%s: the daemon does not accept connections", path);
	default: return tip_error_set(err, "%s: %s", path, strerror(errno));
	}
}

/* 1: ready, 0: time over, -1: error. */
static int wait_for(int fd, short what, int ms)
{
	uint64_t until = tip_clock_monotonic() + (uint64_t)(ms > 0 ? ms : 0) * 1000000;
	struct pollfd p = {.fd = fd, .events = what};

	for (;;) {
		int n = poll(&p, 1, ms);

		if (n >= 0 || errno != EINTR)
			return n;
		if (ms >= 0) {
			uint64_t now = tip_clock_monotonic();

			ms = now < until ? (int)((until - now) / 1000000) : 0;
		}
	}
}

static int timed_out(struct tip_error *err, char **hint)
{
	hint_set(hint, "look at the daemon's log: `journalctl -u tipstaffd`");
	return tip_error_set(err, "the daemon did not answer within %d seconds", WAIT_MS / 1000);
}

static int send_all(int fd, const char *data, size_t len, struct tip_error *err, char **hint)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			int ready = wait_for(fd, POLLOUT, WAIT_MS);

			if (ready == 0)
				return timed_out(err, hint);
			if (ready < 0)
				return tip_error_set(err, "poll: %s", strerror(errno));
		} else if (errno == EPIPE || errno == ECONNRESET) {
			/* It has stopped listening; why is in the answer that waits to be read. */
			return 0;
		} else if (errno != EINTR) {
			return tip_error_set(err, "cannot send the request: %s", strerror(errno));
		}
	}
	return 0;
}

/* The next line: 1 with `*line`, 0 at a clean end, -1 with `err`. It lives until the next call. */
static int read_line(struct reader *r, const char **line, size_t *len, struct tip_error *err,
		     char **hint)
{
	size_t searched = 0;

	tip_buf_consume(&r->buf, r->line);
	r->line = 0;
	for (;;) {
		const char *end = r->buf.len > searched ? memchr(r->buf.data + searched, '\n',
								 r->buf.len - searched)
							: NULL;
		ssize_t n;
		int ready;

		if (end) {
			*line = r->buf.data;
			*len = (size_t)(end - r->buf.data);
			r->line = *len + 1;
			return 1;
		}
		searched = r->buf.len;
		if (r->buf.len > r->max)
			return tip_error_set(err, "the daemon's answer is larger than %zu bytes",
					     r->max);
		ready = wait_for(r->fd, POLLIN, r->wait_ms);
		if (ready == 0)
			return timed_out(err, hint);
		if (ready < 0)
			return tip_error_set(err, "poll: %s", strerror(errno));
		tip_buf_reserve(&r->buf, READ_CHUNK);
		n = recv(r->fd, r->buf.data + r->buf.len, READ_CHUNK, 0);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0 && errno != ECONNRESET)
			return tip_error_set(err, "cannot read the answer: %s", strerror(errno));
		if (n <= 0) {
			if (r->buf.len == 0)
				return 0;
			return tip_error_set(err, "the daemon closed the connection in the middle"
						  " of its answer");
		}
		r->buf.len += (size_t)n;
		r->buf.data[r->buf.len] = '\0';
	}
}

static json_t *parse_line(const char *line, size_t len, struct tip_error *err)
{
	json_error_t jerr;
	json_t *doc = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &jerr);

	if (!doc)
		tip_error_set(err, "the daemon's answer is not JSON (column %d: %s)", jerr.column,
			      jerr.text);
	return doc;
}

/* Turns {"error":{...}} into `err` and `*hint`. */
static int answer_error(json_t *error, struct tip_error *err, char **hint)
{
	const char *text = json_string_value(json_object_get(error, "text"));
	const char *file = json_string_value(json_object_get(error, "file"));

	hint_set(hint, json_string_value(json_object_get(error, "hint")));
	return tip_error_at(err, file, (int)json_integer_value(json_object_get(error, "line")),
			    (int)json_integer_value(json_object_get(error, "column")), "%s",
			    text ? text : "the daemon refused without a reason");
}

/* Checks the first line of an answer: its version, then whether it is an error. */
static int answer_check(json_t *doc, const char *method, struct tip_error *err, char **hint)
{
	const char *version = json_string_value(json_object_get(doc, "version"));
	json_t *error = json_object_get(doc, "error");

	if (!version)
		return tip_error_set(err, "what answers there is not a tipstaffd");
	if (strcmp(version, TIP_VERSION) && strcmp(method, TIP_CONTROL_HANDOVER)) {
		hint_set(hint, "restart tipstaffd after an upgrade, or use the tipstaff that was"
			       " installed with it");
		return tip_error_set(err, "the daemon is version %.32s, this client is version %s",
				     version, TIP_VERSION);
	}
	return error ? answer_error(error, err, hint) : 0;
}

/* Connects, sends the request and reads the first line of the answer. NULL with `err`. */
static json_t *ask(const char *path, const char *method, json_t *params, struct reader *r,
		   struct tip_error *err, char **hint)
{
	json_t *request = NULL, *doc = NULL;
	const char *line = "";
	char *text = NULL;
	size_t len;
	int got;

	memset(r, 0, sizeof(*r));
	r->max = MAX_ANSWER;
	r->wait_ms = WAIT_MS;
	r->fd = -1;
	*hint = NULL;
	request = json_pack("{s:s, s:s, s:O*}", "version", TIP_VERSION, "method", method, "params",
			    params);
	text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	if (!text) {
		tip_error_set(err, "the request cannot be written as JSON");
		goto out;
	}
	len = strlen(text);
	if (len > TIP_CONTROL_MAX_REQUEST) {
		tip_error_set(err, "the request is %zu bytes; %u are allowed", len,
			      TIP_CONTROL_MAX_REQUEST);
		goto out;
	}
	text[len] = '\n'; /* in the place of the NUL: len + 1 bytes are sent */
	r->fd = dial(path, err, hint);
	if (r->fd < 0 || send_all(r->fd, text, len + 1, err, hint))
		goto out;
	got = read_line(r, &line, &len, err, hint);
	if (got == 0)
		tip_error_set(err, "the daemon closed the connection without an answer");
	if (got <= 0)
		goto out;
	doc = parse_line(line, len, err);
	if (doc && answer_check(doc, method, err, hint)) {
		json_decref(doc);
		doc = NULL;
	}
out:
	json_decref(request);
	free(text);
	return doc;
}

static void reader_end(struct reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	tip_buf_free(&r->buf);
}

json_t *tip_control_call(const char *path, const char *method, json_t *params,
			 struct tip_error *err, char **hint)
{
	struct reader r;
	json_t *doc = ask(path, method, params, &r, err, hint);
	json_t *result = json_incref(json_object_get(doc, "result"));

	if (doc && !result)
		tip_error_set(err, "the daemon's answer has neither a result nor an error");
	json_decref(doc);
	reader_end(&r);
	return result;
}

int tip_control_follow(const char *path, const char *method, json_t *params,
		       bool (*event)(void *ctx, json_t *ev), void *ctx, struct tip_error *err,
		       char **hint)
{
	struct reader r;
	json_t *doc = ask(path, method, params, &r, err, hint);
	bool streams = json_is_true(json_object_get(doc, "stream"));
	bool more = true;
	int ret = -1;

	if (!doc)
		goto out;
	json_decref(doc);
	if (!streams) {
		tip_error_set(err, "the daemon did not start a stream");
		goto out;
	}
	r.max = MAX_EVENT;
	r.wait_ms = -1;
	while (more) {
		const char *line = "";
		json_t *ev;
		size_t len = 0;
		int got = read_line(&r, &line, &len, err, hint);

		if (got == 0) {
			hint_set(hint,
				 "it was stopped, or this reader was too slow; run the command"
				 " again");
			tip_error_set(err, "the daemon ended the stream");
		}
		if (got <= 0)
			goto out;
		doc = parse_line(line, len, err);
		if (!doc)
			goto out;
		ev = json_object_get(doc, "event");
		if (ev)
			more = event(ctx, ev);
		json_decref(doc);
	}
	ret = 0;
out:
	reader_end(&r);
	return ret;
}
